//! Reads a message in one pass over its bytes.

use std::borrow::Cow;

use bytes::Bytes;
use vmcp_model::{
    Method,
    raw::{self, Cursor, NotJson, same_name},
};

use super::{Malformed, Message, Meta, Params, Shape, Span};
use crate::{
    id::{Id, unquote},
    meta::{CAPABILITIES, CLIENT_INFO, LOG_LEVEL, RELATED_TASK, VERSION},
};

/// Reads one message.
pub(super) fn message(text: Bytes) -> Result<Message, Malformed> {
    // Looked at as a whole, once, instead of string by string.
    let json = simdutf8::basic::from_utf8(&text).map_err(|_error| Malformed::NotJson)?;
    let mut parts = Parts::default();
    let mut cursor = Cursor::new(json);
    let read = parts.read(&mut cursor).and_then(|()| Ok(cursor.end()?));
    match read {
        Ok(()) => {}
        Err(Stop::NotJson) if cursor.has_nameless() => return Err(nameless()),
        Err(Stop::NotJson) => return Err(Malformed::NotJson),
        Err(Stop::Refused(why)) => return Err(Malformed::NotAMessage(why)),
    }
    if let Some(absent) = parts.absent(&text) {
        // Not for clients either, of which some refuse it.
        return message(raw::without(&text, |name| name == absent));
    }
    let shape = parts.shape(&text).map_err(|why| Malformed::NotAMessage(why.into()))?;
    // What is asked here is one thing to vmcp and another to who reads it next. In a result it harms nobody
    // but who sent it.
    if shape != Shape::Response && cursor.has_nameless() {
        return Err(nameless());
    }
    let Parts { id, method, result, params, .. } = parts;
    let method = method.map(|span| (span.clone(), method_at(&text[span])));
    Ok(Message { text, shape, id, method, result, params, trail: None })
}

/// Why reading stopped.
enum Stop {
    NotJson,
    Refused(Cow<'static, str>),
}

impl From<NotJson> for Stop {
    fn from(NotJson: NotJson) -> Self {
        Self::NotJson
    }
}

/// The members of a message as they are found.
#[derive(Default)]
struct Parts {
    jsonrpc: Option<Span>,
    id: Option<Span>,
    method: Option<Span>,
    result: Option<Span>,
    error: Option<Span>,
    params: Params,
    has_params: bool,
}

impl Parts {
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
        object(cursor, |cursor, name| {
            let name = cursor.unquoted(name)?;
            let slot = match known(&name, &TOP_LEVEL) {
                None => {
                    cursor.value()?;
                    return Ok(());
                }
                Some(exact) if exact != name => {
                    let why = format!("member {name:?} must be written {exact:?}");
                    return Err(Stop::Refused(why.into()));
                }
                Some("params") => {
                    if std::mem::replace(&mut self.has_params, true) {
                        return Err(twice("params"));
                    }
                    return read_params(&mut self.params, cursor);
                }
                Some("jsonrpc") => &mut self.jsonrpc,
                Some("id") => &mut self.id,
                Some("method") => &mut self.method,
                Some("result") => &mut self.result,
                Some(_) => &mut self.error,
            };
            if slot.is_some() {
                return Err(twice(&name));
            }
            *slot = Some(cursor.value()?);
            Ok(())
        })
    }

    /// The outcome that a response says it does not have: some write `null` for it.
    fn absent(&self, text: &[u8]) -> Option<&'static str> {
        let (result, error) = self.result.clone().zip(self.error.clone())?;
        match (&text[result], &text[error]) {
            (b"null", b"null") => None,
            (b"null", _) => Some("result"),
            (_, b"null") => Some("error"),
            (_, _) => None,
        }
    }

    /// Decides what the message is, and refuses what JSON-RPC 2.0 or MCP does not allow.
    fn shape(&self, text: &[u8]) -> Result<Shape, &'static str> {
        let version = self.jsonrpc.clone().map(|span| &text[span]);
        if version != Some(b"\"2.0\"") {
            return Err("\"jsonrpc\" must be \"2.0\"");
        }
        if let Some(span) = self.id.clone()
            && Id::parse(&text[span]).is_none()
        {
            return Err("\"id\" must be a string or a plainly written integer, at most 1 KiB long");
        }
        if let Some(span) = self.method.clone() {
            if text[span.start] != b'"' {
                return Err("\"method\" must be a string");
            }
            if self.result.is_some() || self.error.is_some() {
                return Err("a message has either a \"method\" or a result, not both");
            }
            return Ok(if self.id.is_some() { Shape::Request } else { Shape::Notification });
        }
        match (&self.result, &self.error) {
            (Some(_), Some(_)) => Err("a response has a \"result\" or an \"error\", not both"),
            (None, None) => Err("a message needs a \"method\", a \"result\" or an \"error\""),
            (Some(_), None) if self.id.is_none() => Err("a \"result\" needs an \"id\""),
            (Some(_), None) | (None, Some(_)) => Ok(Shape::Response),
        }
    }
}

/// Goes through an object; anything else is refused.
fn object(
    cursor: &mut Cursor<'_>,
    each: impl FnMut(&mut Cursor<'_>, Span) -> Result<(), Stop>,
) -> Result<(), Stop> {
    if cursor.peek() == Some(b'{') {
        return cursor.object(each);
    }
    cursor.value()?;
    Err(Stop::Refused("a message is a JSON object of JSON-RPC 2.0".into()))
}

/// The same, but for `null`, which some senders write for no members.
fn object_or_null(
    cursor: &mut Cursor<'_>,
    each: impl FnMut(&mut Cursor<'_>, Span) -> Result<(), Stop>,
) -> Result<(), Stop> {
    if cursor.peek() == Some(b'n') {
        cursor.value()?;
        return Ok(());
    }
    object(cursor, each)
}

/// Reads the members of `params`.
fn read_params(params: &mut Params, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    // Which routing members were seen, whatever their case.
    let mut seen = 0_u16;
    object_or_null(cursor, |cursor, quoted| {
        let name = cursor.unquoted(quoted.clone())?;
        if params.first.is_none() {
            params.first = place(&name, &quoted);
        }
        let Some(at) = position(&name, &PARAMS) else {
            cursor.value()?;
            return Ok(());
        };
        if seen & (1 << at) != 0 {
            return Err(twice(&name));
        }
        seen |= 1 << at;
        if PARAMS[at] != name {
            cursor.value()?;
            return Ok(());
        }
        let slot = match PARAMS[at] {
            "_meta" => {
                params.meta.present = true;
                return read_meta(&mut params.meta, cursor);
            }
            "name" => &mut params.name,
            "arguments" => &mut params.arguments,
            "uri" => &mut params.uri,
            "ref" => &mut params.reference,
            "cursor" => &mut params.cursor,
            "taskId" => &mut params.task_id,
            "task" => &mut params.task,
            "requestState" => &mut params.request_state,
            "level" => &mut params.level,
            "requestId" => &mut params.request_id,
            _ => &mut params.progress_token,
        };
        *slot = Some(cursor.value()?);
        Ok(())
    })
}

/// Reads the members of `params._meta`.
fn read_meta(meta: &mut Meta, cursor: &mut Cursor<'_>) -> Result<(), Stop> {
    let mut is_plain = true;
    object_or_null(cursor, |cursor, quoted| {
        let name = cursor.unquoted(quoted.clone())?;
        let place = place(&name, &quoted);
        let value = cursor.value()?;
        is_plain &= place.is_some();
        meta.inner = place
            .filter(|_| is_plain)
            .map(|place| meta.inner.as_ref().map_or(place, |inner| inner.start)..value.end);
        let slot = match known(&name, &META) {
            Some("progressToken") if name == "progressToken" => &mut meta.progress_token,
            Some(RELATED_TASK) if name == RELATED_TASK => &mut meta.related_task,
            Some(VERSION) if name == VERSION => &mut meta.protocol_version,
            Some(CLIENT_INFO) if name == CLIENT_INFO => &mut meta.client_info,
            Some(CAPABILITIES) if name == CAPABILITIES => &mut meta.client_capabilities,
            Some(LOG_LEVEL) if name == LOG_LEVEL => &mut meta.log_level,
            _ => return Ok(()),
        };
        if slot.is_some() {
            return Err(twice(&name));
        }
        *slot = Some(value);
        Ok(())
    })
}

/// Where a name's opening quote stands. `None` for one that is written with escapes.
fn place(name: &str, quoted: &Span) -> Option<usize> {
    // Every escape is longer than what it stands for.
    (name.len() + 2 == quoted.len()).then_some(quoted.start)
}

const TOP_LEVEL: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

const PARAMS: [&str; 12] = [
    "name",
    "_meta",
    "arguments",
    "uri",
    "ref",
    "cursor",
    "taskId",
    "task",
    "requestState",
    "level",
    "requestId",
    "progressToken",
];

const META: [&str; 6] =
    ["progressToken", RELATED_TASK, VERSION, CLIENT_INFO, CAPABILITIES, LOG_LEVEL];

/// The method that is written here (a JSON string).
fn method_at(json: &[u8]) -> Method {
    let plain = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    match Method::from_bytes(plain) {
        Method::Other => match unquote(json) {
            // It was written with escapes.
            Some(Cow::Owned(name)) => Method::from_name(&name),
            Some(Cow::Borrowed(_)) | None => Method::Other,
        },
        known => known,
    }
}

/// Which of `names` this is to the reader that is the least strict.
fn position(name: &str, names: &[&'static str]) -> Option<usize> {
    // Nearly always it is written as it should be.
    let exact = names.iter().position(|known| *known == name);
    exact.or_else(|| names.iter().position(|known| same_name(name, known)))
}

fn known(name: &str, names: &[&'static str]) -> Option<&'static str> {
    position(name, names).map(|at| names[at])
}

fn nameless() -> Malformed {
    let why = "a member's name must not have half of a surrogate pair, which everybody reads in another way";
    Malformed::NotAMessage(why.into())
}

fn twice(name: &str) -> Stop {
    Stop::Refused(format!("member {name:?} must not stand there twice, in whatever case").into())
}
