//! The headers of Streamable HTTP (specification 2025-11-25, basic/transports).

use http::{HeaderMap, HeaderName, HeaderValue, header};

pub const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
/// What a client of Streamable HTTP must accept.
pub const ACCEPT_BOTH: HeaderValue =
    HeaderValue::from_static("application/json, text/event-stream");

/// What a body is, by its `Content-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    Json,
    EventStream,
    Other,
}

impl MediaType {
    /// Reads the `Content-Type`, parameters aside. An absent header is [`MediaType::Other`].
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Self::Other };
        // As nearly all write it.
        if *value == JSON {
            return Self::Json;
        }
        let Ok(value) = value.to_str() else { return Self::Other };
        let essence = value.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            Self::Json
        } else if essence.eq_ignore_ascii_case("text/event-stream") {
            Self::EventStream
        } else {
            Self::Other
        }
    }
}

/// What a client takes for an answer, by its `Accept` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepts {
    pub json: bool,
    pub events: bool,
}

impl Accepts {
    /// Reads the header. None at all, or one that names nothing, allows everything (RFC 9110, section
    /// 12.5.1).
    pub fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(header::ACCEPT).iter();
        let (first, second) = (values.next(), values.next());
        // As nearly all clients write it.
        if first.is_none() || (first == Some(&ACCEPT_BOTH) && second.is_none()) {
            return Self { json: true, events: true };
        }
        let mut ranges = Vec::new();
        for value in headers.get_all(header::ACCEPT) {
            let text = value.to_str().unwrap_or_default();
            ranges.extend(items(text, ',').filter(|item| !item.is_empty()));
        }
        if ranges.is_empty() && values.all(|value| value.is_empty()) {
            return Self { json: true, events: true };
        }
        let allow = |kind, name| allows(&ranges, kind, name);
        Self { json: allow("application", "json"), events: allow("text", "event-stream") }
    }
}

/// Whether these ranges allow a media type: the most specific one that fits decides.
fn allows(ranges: &[&str], kind: &str, name: &str) -> bool {
    let fitting = ranges.iter().filter_map(|range| {
        let mut parts = items(range, ';');
        let (range_kind, range_name) = parts.next()?.split_once('/')?;
        let precision = match (range_kind, range_name) {
            ("*", "*") => 0,
            (range_kind, "*") if range_kind.eq_ignore_ascii_case(kind) => 1,
            (range_kind, range_name)
                if range_kind.eq_ignore_ascii_case(kind)
                    && range_name.eq_ignore_ascii_case(name) =>
            {
                2
            }
            _ => return None,
        };
        let weight = parts.filter_map(|part| part.split_once('=')).find(|(parameter, _)| {
            // A parameter's name has no case.
            parameter.trim().eq_ignore_ascii_case("q")
        });
        let is_refused = weight.is_some_and(|(_, weight)| {
            weight.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0)
        });
        Some((precision, !is_refused))
    });
    // Of two that are as specific, one that allows it is enough.
    fitting.max().is_some_and(|(_, allowed)| allowed)
}

/// The items of a list, trimmed. A separator within quotes is none.
fn items(list: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut in_quotes, mut is_escaped) = (false, false);
    let split = list.split(move |character| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match character {
            '"' if !was_escaped => in_quotes = !in_quotes,
            '\\' if in_quotes && !was_escaped => is_escaped = true,
            _ => {}
        }
        character == separator && !in_quotes
    });
    split.map(str::trim)
}

/// The name of a header that stands there more than once with different values, though it must have
/// one: two readers could take two of them.
pub fn ambiguous(headers: &HeaderMap) -> Option<&'static HeaderName> {
    static SINGLE: [HeaderName; 7] = [
        SESSION_ID,
        PROTOCOL_VERSION,
        LAST_EVENT_ID,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::AUTHORIZATION,
        header::ORIGIN,
    ];
    // Most requests have no header twice.
    if headers.len() == headers.keys_len() {
        return None;
    }
    SINGLE.iter().find(|name| {
        let mut values = headers.get_all(*name).iter();
        values.next().is_some_and(|first| values.any(|other| other != first))
    })
}

/// Whether a body is sent as it is, by its `Content-Encoding`.
pub fn is_plain(headers: &HeaderMap) -> bool {
    if !headers.contains_key(header::CONTENT_ENCODING) {
        return true;
    }
    headers.get_all(header::CONTENT_ENCODING).iter().all(|value| {
        value.to_str().is_ok_and(|codings| {
            items(codings, ',')
                .all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(values: &[&str]) -> Accepts {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT, HeaderValue::from_str(value).unwrap());
        }
        Accepts::of(&headers)
    }

    #[test]
    fn the_most_specific_range_decides() {
        for (values, json, events) in [
            (&[][..], true, true),
            (&[""], true, true),
            (&["application/json, text/event-stream"], true, true),
            (&["application/json", "text/event-stream"], true, true),
            (&["*/*"], true, true),
            (&["Application/JSON"], true, false),
            (&["text/event-stream"], false, true),
            (&["text/*"], false, true),
            (&["text/html"], false, false),
            (&["application/json;q=0, text/event-stream"], false, true),
            (&["application/json;Q=0, text/event-stream"], false, true),
            (&["application/json; q=0.000, */*"], false, true),
            (&["*/*, application/json;q=0"], false, true),
            (&["*/*;q=0, application/json;q=0.001"], true, false),
            (&["text/*;q=0, text/event-stream, */*"], true, true),
            (&["application/json;q=0, application/json"], true, false),
            (&["application/json;charset=utf-8"], true, false),
            (&["text/html;a=\",application/json,\", text/event-stream"], false, true),
            (&["text/html;a=\"\\\",application/json\", text/event-stream"], false, true),
        ] {
            assert_eq!(accepting(values), Accepts { json, events }, "{values:?}");
        }
    }

    #[test]
    fn only_what_two_readers_could_take_differently_is_ambiguous() {
        for (name, one, two, expected) in [
            ("mcp-session-id", "a", "b", true),
            ("mcp-session-id", "a", "a", false),
            ("content-type", "application/json", "text/plain", true),
            ("authorization", "Bearer a", "Bearer b", true),
            ("accept", "application/json", "text/event-stream", false),
            ("x-anything", "a", "b", false),
        ] {
            let mut headers = HeaderMap::new();
            let name = HeaderName::from_static(name);
            headers.append(&name, HeaderValue::from_static(one));
            assert_eq!(ambiguous(&headers), None);
            headers.append(&name, HeaderValue::from_static(two));
            assert_eq!(ambiguous(&headers), expected.then_some(&name), "{name}");
        }
    }
}
