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

/// Whether the `Accept` header allows a media type such as `text/event-stream`. No header allows
/// everything (RFC 9110, section 12.5.1); a weight of 0 forbids.
pub fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    let Some(first) = values.peek() else { return true };
    // As nearly all clients write it.
    if **first == ACCEPT_BOTH
        && (media_type == "application/json" || media_type == "text/event-stream")
    {
        return true;
    }
    let kind = media_type.split('/').next().unwrap_or_default();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts.any(|part| {
            part.strip_prefix("q=")
                .is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight <= 0.0))
        });
        let any_of_kind =
            name.strip_suffix("/*").is_some_and(|prefix| prefix.eq_ignore_ascii_case(kind));
        !refused && (name == "*/*" || any_of_kind || name.eq_ignore_ascii_case(media_type))
    })
}
