//! What vmcp adds to traces: the span of a request, and of the same request at its backend.
//!
//! Names and attributes are those of OpenTelemetry's conventions for MCP, generative AI and HTTP. The
//! difference of the two spans is vmcp's own time. What a tool is called with, and what proves a caller,
//! is in neither.

mod attributes;
mod random;
mod tracer;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use vmcp_model::trail::{End, Trail, Why};

pub(crate) use random::fraction;
pub use tracer::Tracer;

/// A part of a trace that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    pub trace: [u8; 16],
    pub id: [u8; 8],
    pub parent: Option<[u8; 8]>,
    /// What others have added to the trace.
    pub state: Option<Box<str>>,
    pub name: String,
    pub side: Side,
    pub start: SystemTime,
    pub end: SystemTime,
    pub attributes: Vec<Attribute>,
    /// When the backend began to answer.
    pub answered: Option<SystemTime>,
    /// What went wrong, if that was the fault of whoever was asked. It may be empty.
    pub error: Option<String>,
}

/// Which side of a request a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A client has asked vmcp.
    Server,
    /// vmcp has asked a backend.
    Client,
}

/// A name, and what it has.
pub type Attribute = (&'static str, AttributeValue);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    Text(Box<str>),
    Name(&'static str),
    Int(i64),
}

/// How spans are written.
#[derive(Debug, Clone)]
pub struct Style {
    /// vmcp's own name.
    pub server_name: Arc<str>,
    /// Whether attributes have the names of earlier conventions as well (`useLegacyAttributes`).
    pub legacy: bool,
}

/// The longest text of an attribute, and of an error's message, in bytes.
const MAX_TEXT: usize = 256;

/// The spans of a request that has ended: vmcp's, and its backend's if it was sent to one. There is none
/// if it is not recorded. `zero` is the time when the trail's observer began to count.
pub fn spans_of(
    trail: &Trail,
    took: Duration,
    zero: SystemTime,
    style: &Style,
) -> Option<(Span, Option<Span>)> {
    let trace = trail.asked().trace.as_ref().filter(|trace| trace.sampled)?;
    let (began, ended) = (trail.began(), trail.began() + took);
    let name = attributes::span_name(trail);
    let common = attributes::common(trail, style);
    let (sent, answered) = trail.at_backend();
    // A clock that is read by several threads may seem to go back between them.
    let within = |time: Duration| zero + time.clamp(began, ended);
    let client = sent.map(|sent| Span {
        trace: trace.trace,
        id: trace.onward,
        parent: Some(trace.span),
        state: trace.state.clone(),
        name: name.clone(),
        side: Side::Client,
        start: within(sent),
        end: zero + ended,
        attributes: attributes::at_backend(trail, common.clone()),
        answered: answered.filter(|answered| *answered >= sent).map(within),
        error: error_at_backend(trail.end()),
    });
    let server = Span {
        trace: trace.trace,
        id: trace.span,
        parent: trace.parent,
        state: trace.state.clone(),
        name,
        side: Side::Server,
        start: zero + began,
        end: zero + ended,
        attributes: attributes::at_vmcp(trail, style, common),
        answered: None,
        error: error_at_vmcp(trail.end()),
    };
    Some((server, client))
}

/// The conventions for HTTP: a server's span has no error where the client has made it. Those for MCP
/// say less, and `error.type` is there in either case.
fn error_at_vmcp(end: Option<&End>) -> Option<String> {
    match end? {
        End::Answered => None,
        End::ToolError => Some(String::new()),
        End::Error { code, message } => (!is_clients(*code)).then(|| cut(message).to_owned()),
        End::Failed { why, message, .. } => match why {
            Why::Unauthenticated | Why::Denied | Why::Invalid | Why::OverBound | Why::Cancelled => {
                None
            }
            Why::Unavailable | Why::Backend | Why::Timeout | Why::Internal => {
                Some(cut(message).to_owned())
            }
        },
    }
}

/// Here vmcp is the client, so that every error counts, but that somebody needs no answer any more.
fn error_at_backend(end: Option<&End>) -> Option<String> {
    match end? {
        End::Answered | End::Failed { why: Why::Cancelled, .. } => None,
        End::ToolError => Some(String::new()),
        End::Error { message, .. } | End::Failed { message, .. } => Some(cut(message).to_owned()),
    }
}

/// Whether an error says that the request was wrong (JSON-RPC 2.0, section 5.1, and MCP's code for a
/// resource that is not there).
fn is_clients(code: i64) -> bool {
    matches!(code, -32700 | -32600 | -32601 | -32602 | -32002)
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

impl From<&str> for AttributeValue {
    fn from(text: &str) -> Self {
        Self::Text(cut(text).into())
    }
}

#[cfg(test)]
mod tests;
