//! Reads a message in one pass over its bytes.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use vmcp_model::raw::{same_name, span_in};

use super::{Malformed, Message, Meta, Params, Shape, Span};
use crate::{
    id::Id,
    meta::{CAPABILITIES, CLIENT_INFO, LOG_LEVEL, RELATED_TASK, VERSION},
};

/// Reads one message.
pub(super) fn message(text: Bytes) -> Result<Message, Malformed> {
    // Looked at as a whole, once, instead of string by string.
    let json = std::str::from_utf8(&text).map_err(|_error| Malformed::NotJson)?;
    let mut parts = Parts::default();
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let read = Object { text: &text, into: &mut parts }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end());
    if let Err(error) = read {
        return Err(match parts.refusal.take() {
            Some(why) => Malformed::NotAMessage(why),
            None if error.is_data() => {
                Malformed::NotAMessage("a message is a JSON object of JSON-RPC 2.0".into())
            }
            None => Malformed::NotJson,
        });
    }
    let shape = parts.shape(&text).map_err(|why| Malformed::NotAMessage(why.into()))?;
    let Parts { id, method, result, params, .. } = parts;
    let known = method.clone().and_then(|span| known_method(&text[span]));
    Ok(Message { text, shape, id, method, known, result, params })
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
    /// Why reading stopped, if it was not the JSON.
    refusal: Option<Cow<'static, str>>,
}

impl Parts {
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

/// Reads the message's own members.
struct Object<'a, 'p> {
    text: &'a [u8],
    into: &'p mut Parts,
}

impl<'de> DeserializeSeed<'de> for Object<'de, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON-RPC message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { text, into } = self;
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let slot = match known(&name.0, &TOP_LEVEL) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                Some(exact) if exact != name.0 => {
                    into.refusal =
                        Some(format!("member {:?} must be written {exact:?}", name.0).into());
                    return Err(A::Error::custom("case"));
                }
                Some("params") => {
                    if std::mem::replace(&mut into.has_params, true) {
                        return Err(twice(&mut into.refusal, "params"));
                    }
                    let Parts { params, refusal, .. } = &mut *into;
                    map.next_value_seed(ParamsObject { text, params, refusal })?;
                    continue;
                }
                Some("jsonrpc") => &mut into.jsonrpc,
                Some("id") => &mut into.id,
                Some("method") => &mut into.method,
                Some("result") => &mut into.result,
                Some(_) => &mut into.error,
            };
            if slot.is_some() {
                return Err(twice(&mut into.refusal, &name.0));
            }
            *slot = Some(value_span(text, &mut map)?);
        }
        Ok(())
    }
}

/// Reads the members of `params`.
struct ParamsObject<'a, 'p> {
    text: &'a [u8],
    params: &'p mut Params,
    refusal: &'p mut Option<Cow<'static, str>>,
}

impl<'de> DeserializeSeed<'de> for ParamsObject<'de, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ParamsObject<'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"params\" as an object")
    }

    /// `null` is what some senders write for no parameters.
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { text, params, refusal } = self;
        // Which routing members were seen, whatever their case.
        let mut seen = 0_u16;
        while let Some(name) = map.next_key::<Name<'de>>()? {
            if params.first.is_none() {
                params.first = name.place(text);
            }
            let Some(at) = position(&name.0, &PARAMS) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if seen & (1 << at) != 0 {
                return Err(twice(refusal, &name.0));
            }
            seen |= 1 << at;
            if PARAMS[at] != name.0 {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let slot = match PARAMS[at] {
                "_meta" => {
                    params.meta.present = true;
                    map.next_value_seed(MetaObject { text, meta: &mut params.meta, refusal })?;
                    continue;
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
            *slot = Some(value_span(text, &mut map)?);
        }
        Ok(())
    }
}

/// Reads the members of `params._meta`.
struct MetaObject<'a, 'p> {
    text: &'a [u8],
    meta: &'p mut Meta,
    refusal: &'p mut Option<Cow<'static, str>>,
}

impl<'de> DeserializeSeed<'de> for MetaObject<'de, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MetaObject<'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"_meta\" as an object")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { text, meta, refusal } = self;
        let mut is_borrowed = true;
        while let Some(name) = map.next_key::<Name<'de>>()? {
            let place = name.place(text);
            let value = value_span(text, &mut map)?;
            is_borrowed &= place.is_some();
            meta.inner = place
                .filter(|_| is_borrowed)
                .map(|place| meta.inner.as_ref().map_or(place, |inner| inner.start)..value.end);
            let slot = match known(&name.0, &META) {
                Some("progressToken") if name.0 == "progressToken" => &mut meta.progress_token,
                Some(RELATED_TASK) if name.0 == RELATED_TASK => &mut meta.related_task,
                Some(VERSION) if name.0 == VERSION => &mut meta.protocol_version,
                Some(CLIENT_INFO) if name.0 == CLIENT_INFO => &mut meta.client_info,
                Some(CAPABILITIES) if name.0 == CAPABILITIES => &mut meta.client_capabilities,
                Some(LOG_LEVEL) if name.0 == LOG_LEVEL => &mut meta.log_level,
                _ => continue,
            };
            if slot.is_some() {
                return Err(twice(refusal, &name.0));
            }
            *slot = Some(value);
        }
        Ok(())
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl Name<'_> {
    /// Where the name's opening quote stands. `None` for one that is written with escapes.
    fn place(&self, text: &[u8]) -> Option<usize> {
        match &self.0 {
            Cow::Borrowed(name) => span_in(text, name.as_bytes()).start.checked_sub(1),
            Cow::Owned(_) => None,
        }
    }
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

/// Methods that are asked for again and again while a message is on its way.
const METHODS: [&str; 8] = [
    "tools/call",
    "tools/list",
    "resources/read",
    "prompts/get",
    "ping",
    "initialize",
    "notifications/progress",
    "notifications/message",
];

/// The method that is written here (JSON text), if it is one of [`METHODS`].
fn known_method(json: &[u8]) -> Option<&'static str> {
    let method = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    METHODS.into_iter().find(|known| known.as_bytes() == method)
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

fn value_span<'de, A: MapAccess<'de>>(text: &[u8], map: &mut A) -> Result<Span, A::Error> {
    let value: &'de RawValue = map.next_value()?;
    Ok(span_in(text, value.get().as_bytes()))
}

/// Notes that a member stands twice, and stops reading.
fn twice<E: serde::de::Error>(refusal: &mut Option<Cow<'static, str>>, name: &str) -> E {
    *refusal = Some(format!("member {name:?} must not stand there twice, in whatever case").into());
    E::custom("twice")
}
