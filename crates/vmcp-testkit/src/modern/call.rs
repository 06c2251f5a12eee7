//! One request on its way through a modern server.

use std::{future::Future, io, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::{Value, value::RawValue};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{META_CAPABILITIES, META_LOG_LEVEL, running::Server};
use crate::raw::{Answer, Emit, member, notification};

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

/// A request as a handler sees it: it has passed every check.
#[derive(Clone)]
pub struct Call {
    /// The JSON-RPC method.
    pub method: String,
    /// The request's id, as the client wrote it.
    pub id: String,
    /// The request's `params`, as the client wrote them.
    pub params: Bytes,
    /// The request's HTTP headers.
    pub headers: HeaderMap,
    /// Cancelled when the client leaves before it has its answer.
    pub cancelled: CancellationToken,
    /// The server itself, for handlers that change it.
    pub server: Server,
    pub(super) events: mpsc::Sender<Emit>,
}

const LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

impl Call {
    /// Sends a notification on this request's own stream; `params` is literal JSON. The answer then
    /// travels on that stream, whatever the server's form. Fails when the client no longer reads.
    pub async fn notify(&self, method: &str, params: &str) -> io::Result<()> {
        let message = Emit::Message(notification(method, params));
        self.events.send(message).await.map_err(io::Error::other)
    }

    /// Says how far it is, if the client gave a token for that.
    pub async fn progress(&self, progress: u64, total: u64) -> io::Result<()> {
        let Some(token) = self.meta("progressToken") else { return Ok(()) };
        let params =
            format!(r#"{{"progressToken":{token},"progress":{progress},"total":{total}}}"#);
        self.notify("notifications/progress", &params).await
    }

    /// Logs, if the request wants messages of this level; `data` is literal JSON.
    pub async fn log(&self, level: &str, data: &str) -> io::Result<()> {
        let rank = |level: &str| LEVELS.iter().position(|known| *known == level);
        let wanted: Option<String> = self.meta_as(META_LOG_LEVEL);
        if wanted.and_then(|wanted| rank(&wanted)).is_none_or(|wanted| rank(level) < Some(wanted)) {
            return Ok(());
        }
        let params = format!(r#"{{"level":"{level}","data":{data}}}"#);
        self.notify("notifications/message", &params).await
    }

    /// A member of `params`, if it is there and of that type.
    pub fn param<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        member(&self.params, name)
    }

    /// A member of `params`, as the client wrote it.
    pub fn raw_param(&self, name: &str) -> Option<Box<RawValue>> {
        self.param(name)
    }

    /// A member of `params.arguments`, if it is there and of that type.
    pub fn argument<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        member(self.raw_param("arguments")?.get().as_bytes(), name)
    }

    /// A member of `params._meta`, as the client wrote it.
    pub fn meta(&self, key: &str) -> Option<Box<RawValue>> {
        self.meta_as(key)
    }

    /// What the client says it can do.
    pub fn capabilities(&self) -> Value {
        self.meta_as(META_CAPABILITIES).unwrap_or_default()
    }

    /// `inputResponses`, as the client wrote them.
    pub fn input_responses(&self) -> Option<Box<RawValue>> {
        self.raw_param("inputResponses")
    }

    /// `requestState`, if the client brings one back.
    pub fn request_state(&self) -> Option<String> {
        self.param("requestState")
    }

    fn meta_as<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        member(self.raw_param("_meta")?.get().as_bytes(), key)
    }
}
