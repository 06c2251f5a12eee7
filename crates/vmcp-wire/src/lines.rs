//! The headers that go with one request: those that repeat what a modern request's body says, for those who do not
//! read bodies (specification 2026-07-28, basic/transports/streamable-http, "Request Metadata"), and where it stands
//! in a trace.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use vmcp_model::{Method, ProtocolVersion, Topic, trace::Trace};

use crate::{
    error::Fault,
    headers::PROTOCOL_VERSION,
    message::Message,
    traced::{TRACE_PARENT, TRACE_STATE},
};

pub const METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub const NAME: HeaderName = HeaderName::from_static("mcp-name");

/// What the header of a parameter begins with.
pub const PARAMETER: &str = "mcp-param-";

/// What stands around a value that is written in Base64.
const SENTINEL: (&str, &str) = ("=?base64?", "?=");

/// What one request says in its headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lines {
    /// It is one of the modern era, and repeats what its body says.
    repeats: bool,
    method: Option<HeaderValue>,
    name: Option<HeaderValue>,
    parameters: Vec<(HeaderName, HeaderValue)>,
    /// `traceparent` and `tracestate`. Boxed, as most requests have none.
    trace: Option<Box<(HeaderValue, Option<HeaderValue>)>>,
}

impl Lines {
    /// The lines of a request. `name` is what [`named_by`] says that names its target.
    pub fn new(method: &str, name: Option<&str>) -> Self {
        Self {
            repeats: true,
            method: HeaderValue::from_str(method).ok(),
            name: name.map(encode),
            ..Self::default()
        }
    }

    /// Whether they are those of a request of the modern era.
    pub fn repeat(&self) -> bool {
        self.repeats
    }

    /// Adds where the request stands in a trace.
    pub fn trace(&mut self, trace: &Trace) {
        let state = trace.state.as_ref().and_then(|state| HeaderValue::from_str(state).ok());
        self.trace =
            HeaderValue::from_bytes(&trace.header()).ok().map(|parent| Box::new((parent, state)));
    }

    /// Whether a header of this name is among those that say where the request stands in a trace.
    pub fn traces(&self, name: &str) -> bool {
        self.trace.is_some() && [TRACE_PARENT, TRACE_STATE].contains(&name)
    }

    /// Adds a parameter, beside one of that name if it is there already.
    pub fn add_parameter(&mut self, name: HeaderName, value: HeaderValue) {
        self.parameters.push((name, value));
    }

    /// Adds a parameter; in the place of one that is there already.
    pub fn set_parameter(&mut self, name: HeaderName, value: HeaderValue) {
        self.parameters.retain(|(other, _)| *other != name);
        self.parameters.push((name, value));
    }

    /// Takes a parameter out.
    pub fn remove_parameter(&mut self, name: &HeaderName) {
        self.parameters.retain(|(other, _)| other != name);
    }

    /// Goes through the lines, the revision among them.
    pub fn each(&self, mut visit: impl FnMut(&HeaderName, &HeaderValue)) {
        if let Some((parent, state)) = self.trace.as_deref() {
            visit(&HeaderName::from_static(TRACE_PARENT), parent);
            if let Some(state) = state {
                visit(&HeaderName::from_static(TRACE_STATE), state);
            }
        }
        if !self.repeats {
            return;
        }
        visit(&PROTOCOL_VERSION, &HeaderValue::from_static(ProtocolVersion::MODERN.name()));
        if let Some(method) = &self.method {
            visit(&METHOD, method);
        }
        if let Some(name) = &self.name {
            visit(&NAME, name);
        }
        for (name, value) in &self.parameters {
            visit(name, value);
        }
    }
}

/// The header of a parameter that a tool calls `name`; `None` if that is no name of a header.
pub fn parameter(name: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(format!("{PARAMETER}{}", name.to_ascii_lowercase()).as_bytes()).ok()
}

/// Where the parameter stands that names the target of a request.
pub fn named_by(message: &Message) -> Option<Option<Cow<'_, str>>> {
    let params = message.params();
    let span = match message.method()? {
        Method::ToolsCall | Method::PromptsGet => &params.name,
        Method::ResourcesRead => &params.uri,
        // The extension `io.modelcontextprotocol/tasks` names them by their ids.
        Method::TasksGet | Method::TasksUpdate | Method::TasksCancel => &params.task_id,
        _ => return None,
    };
    Some(message.string(span.as_ref()))
}

/// Refuses a request whose headers say anything else than its body.
pub fn check(headers: &HeaderMap, message: &Message) -> Result<(), Fault> {
    let method = message.method_name();
    let said = single(headers, &METHOD)?.ok_or(Fault::HeaderMismatch(
        "the Mcp-Method header is missing; send the method of the body".into(),
    ))?;
    if said.as_bytes() != method.as_bytes() {
        let why = format!("the Mcp-Method header differs from the method of the body, {method:?}");
        return Err(Fault::HeaderMismatch(why.into()));
    }
    let Some(name) = named_by(message) else { return Ok(()) };
    let said = match single(headers, &NAME)? {
        Some(said) => said,
        // No revision of the extension makes the header of a task a duty.
        None if message.topic() == Topic::Tasks => return Ok(()),
        None => {
            let why = "the Mcp-Name header is missing; send the name or URI that the body has";
            return Err(Fault::HeaderMismatch(why.into()));
        }
    };
    let said = decode(said).ok_or(Fault::HeaderMismatch(
        "the Mcp-Name header has characters that must be written as =?base64?...?=".into(),
    ))?;
    match name {
        // A body that names nothing is refused for that.
        None => Ok(()),
        Some(name) if said == name => Ok(()),
        Some(_) => {
            Err(Fault::HeaderMismatch("the Mcp-Name header differs from what the body has".into()))
        }
    }
}

/// A header that may stand there once.
pub fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Fault> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        let why = format!("the header {name} must not stand there twice");
        return Err(Fault::HeaderMismatch(why.into()));
    }
    Ok(first)
}

/// A value as a header carries it: as it is where that is safe, otherwise in Base64.
pub fn encode(value: &str) -> HeaderValue {
    let is_safe = value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
        && value.trim_matches([' ', '\t']) == value
        && !(value.starts_with(SENTINEL.0) && value.ends_with(SENTINEL.1));
    let text = if is_safe {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(format!("{}{}{}", SENTINEL.0, BASE64_STANDARD.encode(value), SENTINEL.1))
    };
    HeaderValue::from_str(&text).expect("Base64 and visible ASCII can stand in a header")
}

/// The value that a header carries. `None` if it has characters that it must not have.
pub fn decode(value: &HeaderValue) -> Option<Cow<'_, str>> {
    let text = value.to_str().ok()?;
    let coded = text.strip_prefix(SENTINEL.0).and_then(|rest| rest.strip_suffix(SENTINEL.1));
    match coded {
        Some(coded) => String::from_utf8(BASE64_STANDARD.decode(coded).ok()?).ok().map(Cow::Owned),
        None => Some(Cow::Borrowed(text)),
    }
}

#[cfg(test)]
mod tests;
