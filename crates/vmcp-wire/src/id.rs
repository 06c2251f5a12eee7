//! Request ids.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use vmcp_model::{Method, raw};

use crate::reply;

/// What the id of a backend's question begins with when a client sees it.
const QUESTION_PREFIX: &str = "vmcp.";

/// The longest id, in bytes of JSON text.
const MAX_LENGTH: usize = 1024;

/// A request id in the bytes it was written in: a JSON string or a JSON integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id<'a>(&'a [u8]);

/// An id that can be kept and compared: two ids that a JSON reader takes for the same value have
/// the same key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdKey(Box<[u8]>);

impl IdKey {
    /// Whether it is a string that begins so.
    pub fn begins_with(&self, text: &str) -> bool {
        self.0.strip_prefix(b"\"").is_some_and(|rest| rest.starts_with(text.as_bytes()))
    }
}

impl<'a> Id<'a> {
    /// Takes the text of a JSON value. `None` unless it is a string, or an integer written plainly:
    /// MCP allows no null, and `1.0` or `1e0` would be the same id as `1` to some readers only.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let (first, rest) = text.split_first()?;
        let plain = match first {
            b'"' => true,
            b'-' => !rest.is_empty() && rest != b"0" && rest.iter().all(u8::is_ascii_digit),
            b'0'..=b'9' => rest.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        plain.then_some(Self(text))
    }

    /// The JSON text.
    pub fn text(self) -> &'a [u8] {
        self.0
    }

    /// The value of a string id, or `None` for a number.
    pub fn as_string(self) -> Option<Cow<'a, str>> {
        if self.0.first() != Some(&b'"') {
            return None;
        }
        unquote(self.0)
    }

    /// The form to keep and compare.
    pub fn key(self) -> IdKey {
        match self.as_string() {
            // A string with escapes is kept as its plain text behind a quote.
            Some(Cow::Owned(text)) => {
                let mut key = Vec::with_capacity(text.len() + 1);
                key.push(b'"');
                key.extend_from_slice(text.as_bytes());
                IdKey(key.into())
            }
            Some(Cow::Borrowed(_)) => IdKey(self.0[..self.0.len() - 1].into()),
            None => IdKey(self.0.into()),
        }
    }

    /// Whether it is that id but for its JSON type: `7` and `"7"`.
    pub fn resembles(self, key: &IdKey) -> bool {
        let own = self.0.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        own.unwrap_or(self.0) == key.0.strip_prefix(b"\"").unwrap_or(&key.0)
    }

    /// Whether this is the id that a key was made from.
    pub fn is(self, key: &IdKey) -> bool {
        match self.as_string() {
            Some(text) => key.0.split_first() == Some((&b'"', text.as_bytes())),
            None => *self.0 == *key.0,
        }
    }
}

/// The id of a request that a backend made, as its client sees it: it names the backend and holds
/// the backend's own id, so that any replica can deliver the answer.
pub fn question_id(backend: &str, id: Id<'_>) -> String {
    let original = String::from_utf8_lossy(id.text());
    format!("{QUESTION_PREFIX}{backend}:{original}")
}

/// The backend and its own id (JSON text) out of an id that [`question_id`] made.
pub fn split_question_id(id: &str) -> Option<(&str, &str)> {
    let (backend, original) = id.strip_prefix(QUESTION_PREFIX)?.split_once(':')?;
    Id::parse(original.as_bytes()).filter(|id| is_json_id(*id)).map(|_| (backend, original))
}

/// Whether the text of an id is well-formed JSON, which matters where it did not come out of a
/// parsed message.
fn is_json_id(id: Id<'_>) -> bool {
    serde_json::from_slice::<&serde_json::value::RawValue>(id.text()).is_ok()
}

impl IdKey {
    /// The id as JSON text, which may be escaped differently than the text it came from.
    pub fn to_json(&self) -> Vec<u8> {
        match self.0.split_first() {
            Some((b'"', text)) => raw::string(&String::from_utf8_lossy(text)),
            Some(_) | None => self.0.to_vec(),
        }
    }

    /// A notification that the request of this id is cancelled.
    pub fn cancellation(&self, reason: &str) -> Bytes {
        let mut params = br#"{"requestId":"#.to_vec();
        params.extend_from_slice(&self.to_json());
        params.extend_from_slice(br#","reason":"#);
        params.extend_from_slice(&raw::string(reason));
        params.push(b'}');
        reply::notification(Method::Cancelled, Some(&params))
    }
}

/// The text between the quotes of a JSON string, copied only if it has escapes.
pub(crate) fn unquote(json: &[u8]) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if memchr::memchr(b'\\', inner).is_some() {
        return serde_json::from_slice(json).ok().map(Cow::Owned);
    }
    std::str::from_utf8(inner).ok().map(Cow::Borrowed)
}

impl fmt::Debug for IdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}
