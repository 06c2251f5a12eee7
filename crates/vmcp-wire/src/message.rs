//! One JSON-RPC message, read for what routing needs.
//!
//! What is read are spans into the message's own bytes. A message in which a routing member stands
//! twice, or twice in different case, is refused: vmcp and the peer it forwards to must never read
//! different names out of the same bytes.

use std::{borrow::Cow, ops::Range, sync::Arc};

use bytes::Bytes;
use vmcp_model::{
    Method, Topic,
    raw::{self, Edit},
    trail::Trail,
};

use crate::{
    error::Fault,
    id::{Id, IdKey, unquote},
};

mod parse;

/// Where a value stands in a message.
type Span = Range<usize>;

/// The most messages that one batch may hold.
pub const MAX_BATCH: usize = 100;

/// What a body holds.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a batch is rare, and a call must not pay for a box")]
pub enum Incoming {
    Single(Message),
    /// A JSON-RPC batch. Only revision 2025-03-26 allows one.
    Batch(Vec<Message>),
}

/// One message and where its parts stand.
#[derive(Debug, Clone)]
pub struct Message {
    text: Bytes,
    shape: Shape,
    id: Option<Span>,
    /// Where the method of a request or notification stands, and which it is.
    method: Option<(Span, Method)>,
    result: Option<Span>,
    params: Params,
    trail: Option<Arc<Trail>>,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Has a method and an id.
    Request,
    /// Has a method and no id.
    Notification,
    /// Has a result or an error, and an id.
    Response,
}

/// Where the members of `params` stand that routing needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params {
    /// Where the first member begins: its opening quote. `None` if there is no member, or its name is
    /// written with escapes.
    pub first: Option<usize>,
    pub name: Option<Span>,
    pub arguments: Option<Span>,
    pub uri: Option<Span>,
    pub reference: Option<Span>,
    pub cursor: Option<Span>,
    pub task_id: Option<Span>,
    /// Present if the sender asks for the request to run as a task (revision 2025-11-25).
    pub task: Option<Span>,
    pub request_state: Option<Span>,
    /// Of `logging/setLevel` and `notifications/message`.
    pub level: Option<Span>,
    /// Of `notifications/cancelled`.
    pub request_id: Option<Span>,
    /// Of `notifications/progress`.
    pub progress_token: Option<Span>,
    pub meta: Meta,
}

/// Where the members of `params._meta` stand that routing needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    pub present: bool,
    /// All members, from the first one's quote to the last one's end. `None` if there is none, or a
    /// name is written with escapes.
    pub inner: Option<Span>,
    pub progress_token: Option<Span>,
    /// The whole value of `io.modelcontextprotocol/related-task`.
    pub related_task: Option<Span>,
    /// `io.modelcontextprotocol/protocolVersion`: the sender speaks the modern era.
    pub protocol_version: Option<Span>,
    /// `io.modelcontextprotocol/clientInfo`.
    pub client_info: Option<Span>,
    /// `io.modelcontextprotocol/clientCapabilities`.
    pub client_capabilities: Option<Span>,
    /// `io.modelcontextprotocol/logLevel`: the client wants to be told from there on.
    pub log_level: Option<Span>,
}

/// Why a body is not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not JSON at all.
    #[error("the body is not valid JSON")]
    NotJson,
    /// JSON, but not a message of JSON-RPC 2.0.
    #[error("{0}")]
    NotAMessage(Cow<'static, str>),
}

impl Incoming {
    /// Reads a body.
    pub fn parse(body: Bytes) -> Result<Self, Malformed> {
        let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
        if first != Some(&b'[') {
            return Message::parse(body).map(Self::Single);
        }
        let spans = raw::elements(&body).ok_or(Malformed::NotJson)?;
        if spans.is_empty() || spans.len() > MAX_BATCH {
            let why = format!("a batch holds 1 to {MAX_BATCH} messages, not {}", spans.len());
            return Err(Malformed::NotAMessage(why.into()));
        }
        let messages = spans.into_iter().map(|span| Message::parse(body.slice(span)));
        messages.collect::<Result<_, _>>().map(Self::Batch)
    }
}

impl Message {
    /// Reads one message. Members that routing does not need are not looked at.
    pub fn parse(text: Bytes) -> Result<Self, Malformed> {
        parse::message(text)
    }

    /// The whole text.
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// Gives the whole text away.
    pub fn into_text(self) -> Bytes {
        self.text
    }

    /// Has what is known of it noted there. A message is large, so it is not carried about for that.
    pub fn follow(&mut self, trail: Option<Arc<Trail>>) {
        self.trail = trail;
    }

    /// Where to note what is known of it, if anybody wants to know.
    pub fn trail(&self) -> Option<&Arc<Trail>> {
        self.trail.as_ref()
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The id of a request or response.
    pub fn id(&self) -> Option<Id<'_>> {
        self.id.clone().and_then(|span| Id::parse(&self.text[span]))
    }

    /// The method of a request or notification. `None` for a response.
    pub fn method(&self) -> Option<Method> {
        self.method.as_ref().map(|(_, method)| *method)
    }

    /// The name of the method, whatever it is; empty for a response.
    pub fn method_name(&self) -> Cow<'_, str> {
        match &self.method {
            None => Cow::Borrowed(""),
            Some((span, Method::Other)) => unquote(&self.text[span.clone()]).unwrap_or_default(),
            Some((_, known)) => Cow::Borrowed(known.name()),
        }
    }

    /// What a request is about.
    pub fn topic(&self) -> Topic {
        match self.method() {
            None => Topic::Other,
            Some(Method::Other) => Topic::of(&self.method_name()),
            Some(known) => known.topic(),
        }
    }

    /// A copy of the first bytes of `params`, at most so many. `None` if it has none.
    pub fn params_text(&self, most: usize) -> Option<Bytes> {
        let params = raw::Members::parse(&self.text)?.value(&self.text, "params")?;
        Some(Bytes::copy_from_slice(&params[..params.len().min(most)]))
    }

    /// A text that stands in `params._meta` under this name.
    pub fn meta_string(&self, name: &str) -> Option<String> {
        let inner = &self.text[self.params.meta.inner.clone()?];
        // Nearly always there is none.
        memchr::memmem::find(inner, name.as_bytes())?;
        let member = |text, name| raw::Members::parse(text)?.value(text, name);
        let meta = member(member(&self.text, "params")?, "_meta")?;
        member(meta, name).and_then(raw::as_string)
    }

    /// Where the members of `params` stand.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The `result` of a response; `None` if it is an error.
    pub fn result(&self) -> Option<&[u8]> {
        self.result.clone().map(|span| &self.text[span])
    }

    /// Where the `result` of a response stands.
    pub fn result_span(&self) -> Option<Span> {
        self.result.clone()
    }

    /// The token that a `notifications/progress` is about.
    pub fn progress_token(&self) -> Option<IdKey> {
        self.params.progress_token.clone().and_then(|span| self.key_at(span))
    }

    /// The token under which a request wants to be told of its progress.
    pub fn requested_token(&self) -> Option<IdKey> {
        self.params.meta.progress_token.clone().and_then(|span| self.key_at(span))
    }

    /// The cursor of a request for a page of a list; `null` counts as none.
    pub fn cursor(&self) -> Result<Option<Cow<'_, str>>, Fault> {
        match &self.params.cursor {
            None => Ok(None),
            Some(span) if self.text[span.clone()] == *b"null" => Ok(None),
            span => self
                .string(span.as_ref())
                .map(Some)
                .ok_or(Fault::InvalidParams("the parameter \"cursor\" must be a string".into())),
        }
    }

    fn key_at(&self, span: Span) -> Option<IdKey> {
        Id::parse(&self.text[span]).map(Id::key)
    }

    /// The text of a JSON string that stands at `span`. `None` if something else stands there.
    pub fn string(&self, span: Option<&Span>) -> Option<Cow<'_, str>> {
        span.cloned().and_then(|span| unquote(&self.text[span]))
    }

    /// The bytes that stand at `span`.
    pub fn slice(&self, span: &Span) -> Bytes {
        self.text.slice(span.clone())
    }

    /// The message with the string at `span` replaced.
    pub fn with_string(&self, span: &Span, value: &str) -> Bytes {
        raw::splice(&self.text, vec![Edit { span: span.clone(), with: raw::string(value).into() }])
    }

    /// The message with another id.
    pub fn with_id(&self, id: &[u8]) -> Bytes {
        let Some(span) = self.id.clone() else { return self.text.clone() };
        raw::splice(&self.text, vec![Edit { span, with: Bytes::copy_from_slice(id) }])
    }
}

#[cfg(test)]
mod tests;
