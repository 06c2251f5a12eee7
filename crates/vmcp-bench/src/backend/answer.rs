//! What the fake backend answers, in the era of the question; pure.
//!
//! - `/mcp` has the tools `echo` (its argument as JSON), `stream` (the same as an event stream) and
//!   `fill` (as many bytes as asked for).
//! - `/legacy/mcp` is the same without the modern era.
//! - `/many/<n>/<tools>/mcp` has so many tools, named after `n`: one of many backends.
//!
//! It is an authorization server, too: `/keys` has the key of one issuer, and `/token` gives everybody the same
//! token, whatever is asked for.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request};
use http_body_util::Full;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The revision that this backend speaks.
pub(crate) const VERSION: &str = "2025-11-25";
/// The revision of the modern era, which it speaks too.
pub(crate) const MODERN: &str = "2026-07-28";
/// The header that names the revision.
pub(crate) const PROTOCOL_VERSION: &str = "mcp-protocol-version";
/// The header that carries a session's id.
pub(crate) const SESSION_ID: &str = "mcp-session-id";

/// What the path of a backend begins with that speaks the legacy era only.
pub(crate) const LEGACY: &str = "/legacy";

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
/// A gateway may put the keys in any order, but they stand before what is long.
const HEAD: usize = 512;

/// The key of the issuer whose token `instructions/credentials.rs` shows.
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"bench","use":"sig","alg":"ES256","x":"QmLDgULQ-HMJ5ScKSl9ap-ykJjMyrGWzmXwDLtX_SI8","y":"AQuAw9UoB6pWnzQNdNT7hyRr4Qmy3UJHD4qYZKtsglY"}]}"#;

const TOKEN: &str = r#"{"access_token":"a-token-of-the-bench","token_type":"Bearer","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","expires_in":86400}"#;

/// Answers one request.
pub(crate) fn answer(head: &request::Parts, body: &[u8]) -> Response<Full<Bytes>> {
    if head.method == Method::DELETE {
        return with(StatusCode::OK, Bytes::new(), None);
    }
    match head.uri.path() {
        "/keys" => return json(KEYS.into()),
        "/token" => return json(TOKEN.into()),
        _ => {}
    }
    if head.method != Method::POST {
        return refusal(StatusCode::METHOD_NOT_ALLOWED);
    }
    let Some(message) = Message::scan(body).or_else(|| Message::parse(body)) else {
        return refusal(StatusCode::BAD_REQUEST);
    };
    let Some(id) = message.id else { return with(StatusCode::ACCEPTED, Bytes::new(), None) };
    let version = head.headers.get(PROTOCOL_VERSION);
    let era = if version.is_some_and(|version| version == MODERN) { &COMPLETE } else { &PLAIN };
    match message.method {
        "tools/call" => call(id, body, era.result),
        "tools/list" => json(result(id, &tools(head.uri.path(), era.list))),
        "server/discover" if !head.uri.path().starts_with(LEGACY) => {
            json(result(id, &discovered()))
        }
        "ping" => json(result(id, "{}")),
        "initialize" => {
            let mut response = json(result(id, &capabilities()));
            // Sessions are not kept, so that every one may have the same id.
            response.headers_mut().insert(SESSION_ID, HeaderValue::from_static("bench-session"));
            response
        }
        _ => json(failure(id, -32601, "Method not found")),
    }
}

/// The members with which results begin.
struct Beginnings {
    result: &'static str,
    list: &'static str,
}

const PLAIN: Beginnings = Beginnings { result: "", list: "" };
const COMPLETE: Beginnings = Beginnings {
    result: r#""resultType":"complete","#,
    list: r#""resultType":"complete","ttlMs":3600000,"cacheScope":"public","#,
};

/// An answer without a body.
pub(crate) fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    with(status, Bytes::new(), None)
}

/// What every answer depends on.
#[derive(Debug, PartialEq, Eq)]
struct Message<'a> {
    /// As it was sent; a notification has none.
    id: Option<&'a str>,
    method: &'a str,
}

impl<'a> Message<'a> {
    /// Finds both by looking for their names, which is enough for what clients of this program and
    /// gateways send.
    fn scan(body: &'a [u8]) -> Option<Self> {
        let head = &body[..body.len().min(HEAD)];
        let id = behind(head, b"\"id\":")?;
        let id = &id[..memchr::memchr2(b',', b'}', id)?];
        let method = behind(head, b"\"method\":\"")?;
        let method = &method[..memchr::memchr(b'"', method)?];
        Some(Self { id: Some(str::from_utf8(id).ok()?), method: str::from_utf8(method).ok()? })
    }

    fn parse(body: &'a [u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Envelope<'a> {
            #[serde(borrow)]
            id: Option<&'a RawValue>,
            method: &'a str,
        }
        let Envelope { id, method } = serde_json::from_slice(body).ok()?;
        Some(Self { id: id.map(RawValue::get), method })
    }
}

fn call(id: &str, body: &[u8], beginning: &str) -> Response<Full<Bytes>> {
    // The name may stand behind the arguments, which hold nothing that looks like it.
    let is = |tool: &[u8]| memmem::find(body, tool).is_some();
    if let Some(size) = behind(body, b"\"size\":") {
        let digits = size.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let size = str::from_utf8(&size[..digits]).ok().and_then(|size| size.parse().ok());
        return json(echo(id, "x".repeat(size.unwrap_or(0)).as_bytes(), beginning));
    }
    let text = behind(body, b"\"text\":\"")
        .and_then(|text| memchr::memchr(b'"', text).map(|end| &text[..end]));
    let Some(text) = text else { return json(failure(id, -32602, "no text")) };
    let answer = echo(id, text, beginning);
    // Only a short message can ask for a stream, so that a long one is not searched.
    if body.len() > HEAD || !is(b"\"stream\"") {
        return json(answer);
    }
    let event = [b"event: message\ndata: ", answer.as_slice(), b"\n\n"].concat();
    with(StatusCode::OK, event.into(), Some(EVENT_STREAM))
}

fn echo(id: &str, text: &[u8], beginning: &str) -> Vec<u8> {
    let mut answer = Vec::with_capacity(text.len() + 128);
    answer.extend_from_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    answer.extend_from_slice(id.as_bytes());
    answer.extend_from_slice(b",\"result\":{");
    answer.extend_from_slice(beginning.as_bytes());
    answer.extend_from_slice(b"\"content\":[{\"type\":\"text\",\"text\":\"");
    answer.extend_from_slice(text);
    answer.extend_from_slice(b"\"}]}}");
    answer
}

fn result(id: &str, result: &str) -> Vec<u8> {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into_bytes()
}

fn failure(id: &str, code: i32, message: &str) -> Vec<u8> {
    let error = format!(r#"{{"code":{code},"message":"{message}"}}"#);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#).into_bytes()
}

fn capabilities() -> String {
    let server = r#"{"name":"vmcp-bench","version":"1"}"#;
    format!(
        r#"{{"protocolVersion":"{VERSION}","capabilities":{{"tools":{{}}}},"serverInfo":{server}}}"#
    )
}

fn discovered() -> String {
    let versions = format!(r#"["{MODERN}","{VERSION}"]"#);
    let beginning = COMPLETE.list;
    format!(r#"{{{beginning}"supportedVersions":{versions},"capabilities":{{"tools":{{}}}}}}"#)
}

fn tools(path: &str, beginning: &str) -> String {
    let names: Vec<String> = match one_of_many(path) {
        Some((number, tools)) => (0..tools).map(|tool| format!("b{number}_tool_{tool}")).collect(),
        None => ["echo", "stream", "fill"].map(String::from).into(),
    };
    let mut text = format!("{{{beginning}\"tools\":[");
    for (index, name) in names.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _infallible = write!(
            text,
            r#"{comma}{{"name":"{name}","title":"Tool {index}","description":"Does what a tool of about this length of description does, and then gives its text back.","inputSchema":{{"type":"object","properties":{{"text":{{"type":"string","description":"What to give back"}},"size":{{"type":"integer","minimum":0}}}}}}}}"#
        );
    }
    text.push_str("]}");
    text
}

/// Which of many backends is meant, and how many tools it has.
fn one_of_many(path: &str) -> Option<(&str, usize)> {
    let (number, rest) = path.strip_prefix("/many/")?.split_once('/')?;
    let (tools, _endpoint) = rest.split_once('/')?;
    Some((number, tools.parse().ok()?))
}

fn json(body: Vec<u8>) -> Response<Full<Bytes>> {
    with(StatusCode::OK, body.into(), Some(JSON))
}

fn with(status: StatusCode, body: Bytes, kind: Option<HeaderValue>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

/// What follows the first `needle`.
fn behind<'a>(text: &'a [u8], needle: &[u8]) -> Option<&'a [u8]> {
    memmem::find(text, needle).map(|at| &text[at + needle.len()..])
}

#[cfg(test)]
mod tests;
