//! One request on its way through a raw server, and the ways to answer it.

use std::{future::Future, io, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{running::Server, session::Session};

/// What answers a request.
pub type Handler = Arc<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// A handler from an async closure.
pub fn handler<H, F>(answer: H) -> Handler
where
    H: Fn(Call) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    Arc::new(move |call| Box::pin(answer(call)))
}

/// A handler that always gives the same answer.
pub fn fixed(answer: impl Into<Answer>) -> Handler {
    let answer = answer.into();
    handler(move |_| {
        let answer = answer.clone();
        async move { answer }
    })
}

/// How a request is answered. Bytes are sent as they stand; `$id` in [`Answer::Http`] and
/// [`Answer::Messages`] is replaced by the request's own id.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The value of `result`.
    Result(Bytes),
    /// The value of `error`.
    Error(Bytes),
    /// A whole HTTP response instead of anything that MCP would expect.
    Http { status: u16, content_type: Option<&'static str>, body: Bytes },
    /// These messages, verbatim, in place of the answer: one JSON body each on a stream,
    /// or only the first if the server answers JSON.
    Messages(Vec<Bytes>),
    /// Takes the request and never answers.
    Hang,
    /// Closes the connection without a response.
    Close,
    /// Starts an answer of so many bytes of text and closes the connection before its end.
    CutOff(u64),
    /// A result with so many bytes of text, made while it is sent.
    Huge(u64),
    /// Log notifications on the request's stream for as long as somebody reads them.
    Flood,
}

/// A request as a handler sees it.
#[derive(Clone)]
pub struct Call {
    /// The JSON-RPC method.
    pub method: String,
    /// The request's id, as the client wrote it.
    pub id: String,
    /// The request's `params`, as the client wrote them; `{}` if there were none.
    pub params: Bytes,
    /// The request's HTTP headers.
    pub headers: HeaderMap,
    /// The session that the request belongs to.
    pub session: Arc<Session>,
    /// Cancelled when the client sends `notifications/cancelled` for this request.
    pub cancelled: CancellationToken,
    /// The server itself, for handlers that change it.
    pub server: Server,
    pub(super) events: mpsc::Sender<Emit>,
}

/// What a handler puts on its request's response.
pub(crate) enum Emit {
    Message(Bytes),
    Answer(Answer),
}

impl Answer {
    /// A tool result that holds one text; the text must not need escapes.
    pub fn text(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        Self::Result(format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#).into())
    }

    /// An error with a code and a message that needs no escapes.
    pub fn error(code: i64, message: impl AsRef<str>) -> Self {
        let message = message.as_ref();
        Self::Error(format!(r#"{{"code":{code},"message":"{message}"}}"#).into())
    }
}

impl From<&str> for Answer {
    fn from(result: &str) -> Self {
        Self::Result(Bytes::copy_from_slice(result.as_bytes()))
    }
}

impl From<String> for Answer {
    fn from(result: String) -> Self {
        Self::Result(result.into())
    }
}

impl Call {
    /// Sends a notification on this request's own stream; `params` is literal JSON.
    /// Fails when the client no longer reads.
    pub async fn notify(&self, method: &str, params: &str) -> io::Result<()> {
        self.emit(notification(method, params)).await
    }

    /// Asks the client something on this request's own stream and waits for its answer, which is
    /// returned as the whole message that the client posted.
    pub async fn ask(&self, method: &str, params: &str) -> io::Result<Bytes> {
        let (question, answer) = self.session.question(method, params);
        self.emit(question).await?;
        answer.await.map_err(io::Error::other)
    }

    /// A member of `params`, if it is there and of that type.
    pub fn param<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        member(&self.params, name)
    }

    /// A member of `params.arguments`, if it is there and of that type.
    pub fn argument<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        member(self.raw_param("arguments")?.get().as_bytes(), name)
    }

    /// A member of `params`, as the client wrote it.
    pub fn raw_param(&self, name: &str) -> Option<Box<RawValue>> {
        self.param(name)
    }

    /// `params._meta.progressToken`, as the client wrote it.
    pub fn progress_token(&self) -> Option<Box<RawValue>> {
        member(self.raw_param("_meta")?.get().as_bytes(), "progressToken")
    }

    async fn emit(&self, message: Bytes) -> io::Result<()> {
        self.events.send(Emit::Message(message)).await.map_err(io::Error::other)
    }
}

/// A notification as it goes over the wire.
pub(crate) fn notification(method: &str, params: &str) -> Bytes {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#).into()
}

/// A member of an object, if it is there and of that type.
pub(crate) fn member<T: DeserializeOwned>(object: &[u8], name: &str) -> Option<T> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Object<'a>(#[serde(borrow)] std::collections::BTreeMap<String, &'a RawValue>);
    let object: Object<'_> = serde_json::from_slice(object).ok()?;
    serde_json::from_str(object.0.get(name)?.get()).ok()
}
