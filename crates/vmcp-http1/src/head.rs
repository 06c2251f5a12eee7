//! Reads the heads of requests and responses.

use std::mem::MaybeUninit;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header,
};

use crate::body::Length;

/// The longest head that is read.
pub const MAX_HEAD: usize = 64 << 10;

/// Header lines of one head.
const MAX_LINES: usize = 100;

/// Names of MCP's own headers, and those that it needs: known names are not copied.
static KNOWN: [HeaderName; 5] = [
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
    HeaderName::from_static("last-event-id"),
];

/// Looks for the end of a head while its bytes arrive. Each byte is looked at once, however few
/// come at a time.
#[derive(Debug, Default)]
pub struct HeadScan {
    /// Bytes in which no head ends.
    seen: usize,
}

/// The head of a request.
#[derive(Debug)]
pub struct RequestHead {
    pub request: Request<()>,
    pub length: Length,
    /// Whether the client wants to send another request on this connection.
    pub keeps_alive: bool,
    /// Whether it sends the body only once it is told to (RFC 9110, section 10.1.1).
    pub awaits_continue: bool,
}

/// The head of a response.
#[derive(Debug)]
pub struct ResponseHead {
    pub response: Response<()>,
    pub length: Length,
    /// Whether the server takes another request on this connection.
    pub keeps_alive: bool,
}

/// A head that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    #[error("the head is not one of HTTP/1.1")]
    Malformed,
    #[error("the head is longer than {MAX_HEAD} bytes, or has more than {MAX_LINES} lines")]
    TooLarge,
    #[error("the length of the body is told in more than one way")]
    AmbiguousLength,
    #[error("the body has another transfer coding than chunked")]
    UnknownCoding,
}

impl BadHead {
    /// What a client is told that has sent such a head.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed | Self::AmbiguousLength => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
        }
    }
}

impl HeadScan {
    /// Takes the head of a request off the front of what has arrived. `None` if there is more to
    /// come of it.
    pub fn request(&mut self, buffer: &mut BytesMut) -> Result<Option<RequestHead>, BadHead> {
        // A client may send an empty line too many behind a body (RFC 9112, section 2.2).
        while buffer.starts_with(b"\r\n") {
            buffer.advance(2);
            self.seen = 0;
        }
        // What is no method will never become one: a client that speaks TLS, for one, is told at once.
        let first = buffer.first().copied();
        if first.is_some_and(|first| first != b'\r' && !first.is_ascii_alphabetic()) {
            return Err(BadHead::Malformed);
        }
        let Some(text) = self.head(buffer)? else { return Ok(None) };
        let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
        let mut parsed = httparse::Request::new(&mut []);
        let read = parsed.parse_with_uninit_headers(&text, &mut lines).map_err(bad_head)?;
        let (Some(method), Some(target), true) = (parsed.method, parsed.path, read.is_complete())
        else {
            return Err(BadHead::Malformed);
        };
        let method = Method::from_bytes(method.as_bytes()).map_err(|_error| BadHead::Malformed)?;
        // It would be cut off, and other readers do not (RFC 9112, section 3.2).
        if memchr::memchr(b'#', target.as_bytes()).is_some() {
            return Err(BadHead::Malformed);
        }
        let target = Uri::from_maybe_shared(text.slice_ref(target.as_bytes()));
        let target = target.map_err(|_error| BadHead::Malformed)?;
        let version = version(parsed.version);
        let headers = headers(&text, parsed.headers)?;

        let length = match transfer_length(&headers, version)? {
            Length::UntilClose => Length::Known(0),
            length @ (Length::Known(_) | Length::Chunked) => length,
        };
        let keeps_alive = keeps_alive(&headers, version);
        let expected = headers.get(header::EXPECT).map(HeaderValue::as_bytes);
        let awaits_continue = version == Version::HTTP_11
            && expected.is_some_and(|expected| expected.eq_ignore_ascii_case(b"100-continue"));
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = target;
        *request.version_mut() = version;
        *request.headers_mut() = headers;
        Ok(Some(RequestHead { request, length, keeps_alive, awaits_continue }))
    }

    /// Takes the head of the response to a request other than HEAD and CONNECT off the front of what
    /// has arrived. `None` if there is more to come of it. Interim responses are heads too.
    pub fn response(&mut self, buffer: &mut BytesMut) -> Result<Option<ResponseHead>, BadHead> {
        // What begins otherwise speaks another protocol, and may wait to be spoken to.
        const BEGINNING: &[u8] = b"HTTP/1.";
        if !buffer.iter().zip(BEGINNING).all(|(byte, expected)| byte == expected) {
            return Err(BadHead::Malformed);
        }
        let Some(text) = self.head(buffer)? else { return Ok(None) };
        let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
        let mut parsed = httparse::Response::new(&mut []);
        let read = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut parsed, &text, &mut lines)
            .map_err(bad_head)?;
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let (Some(status), true) = (status, read.is_complete()) else {
            return Err(BadHead::Malformed);
        };
        let version = version(parsed.version);
        let headers = headers(&text, parsed.headers)?;

        // RFC 9112, section 6.3, in its order.
        let length = if is_bodiless(status) {
            Length::Known(0)
        } else {
            transfer_length(&headers, version)?
        };
        let keeps_alive = length != Length::UntilClose && keeps_alive(&headers, version);
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.version_mut() = version;
        *response.headers_mut() = headers;
        Ok(Some(ResponseHead { response, length, keeps_alive }))
    }

    /// Splits a head off, with the empty line that ends it, once that has arrived.
    fn head(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, BadHead> {
        let window = &buffer[..buffer.len().min(MAX_HEAD)];
        for at in memchr::memchr_iter(b'\n', &window[self.seen.min(window.len())..]) {
            let line = &window[..=self.seen + at];
            // A line feed alone ends a line to some readers only.
            if !line.ends_with(b"\r\n") {
                return Err(BadHead::Malformed);
            }
            if line.ends_with(b"\r\n\r\n") {
                let end = line.len();
                self.seen = 0;
                return Ok(Some(buffer.split_to(end).freeze()));
            }
        }
        self.seen = window.len();
        if buffer.len() >= MAX_HEAD { Err(BadHead::TooLarge) } else { Ok(None) }
    }
}

/// The headers, whose values are slices of the head.
fn headers(head: &Bytes, lines: &[httparse::Header<'_>]) -> Result<HeaderMap, BadHead> {
    let mut headers = HeaderMap::with_capacity(lines.len() + 1);
    for line in lines {
        let value = HeaderValue::from_maybe_shared(head.slice_ref(line.value));
        let value = value.map_err(|_error| BadHead::Malformed)?;
        headers.append(name_of(line.name.as_bytes())?, value);
    }
    Ok(headers)
}

fn name_of(name: &[u8]) -> Result<HeaderName, BadHead> {
    // All of the known ones begin with one of these.
    let known = match name.first() {
        Some(b'm' | b'M' | b'l' | b'L') => {
            KNOWN.iter().find(|known| name.eq_ignore_ascii_case(known.as_str().as_bytes()))
        }
        Some(_) | None => None,
    };
    match known {
        Some(known) => Ok(known.clone()),
        None => HeaderName::from_bytes(name).map_err(|_error| BadHead::Malformed),
    }
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 }
}

fn bad_head(error: httparse::Error) -> BadHead {
    match error {
        httparse::Error::TooManyHeaders => BadHead::TooLarge,
        _ => BadHead::Malformed,
    }
}

/// How long the body is, by its headers (RFC 9112, section 6.3).
fn transfer_length(headers: &HeaderMap, version: Version) -> Result<Length, BadHead> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(coding) = codings.next() {
        if lengths.next().is_some() || version == Version::HTTP_10 {
            return Err(BadHead::AmbiguousLength);
        }
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(BadHead::UnknownCoding);
        }
        return Ok(Length::Chunked);
    }
    let Some(first) = lengths.next() else { return Ok(Length::UntilClose) };
    if lengths.any(|other| other != first) {
        return Err(BadHead::AmbiguousLength);
    }
    // Digits alone: `parse` would also take a sign.
    let digits = first.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let length = digits.and_then(|digits| digits.parse().ok()).ok_or(BadHead::Malformed)?;
    Ok(Length::Known(length))
}

/// Whether the connection outlives this message (RFC 9112, section 9.3).
fn keeps_alive(headers: &HeaderMap, version: Version) -> bool {
    let says = |option| has_token(headers, &header::CONNECTION, option);
    !says("close") && (version == Version::HTTP_11 || says("keep-alive"))
}

/// Whether a list header holds a token.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lists = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}

/// Whether a response of this status has no body, whatever its headers say (RFC 9110, section
/// 6.4.1).
pub fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

#[cfg(test)]
mod tests;
