//! Answers as a server of the modern era gives them, and as one of the legacy era refuses them.

use serde_json::{Value, json};

use super::{SERVER_INFO, VERSION};
use crate::raw::Answer;

/// A result of type `complete` with these members, as literal JSON without the braces.
pub fn complete(members: &str) -> Answer {
    Answer::from(format!(
        r#"{{"resultType":"complete","_meta":{{"io.modelcontextprotocol/serverInfo":{SERVER_INFO}}},{members}}}"#
    ))
}

/// A tool's result that is one text.
pub fn text(text: impl AsRef<str>) -> Answer {
    let text = Value::from(text.as_ref());
    complete(&format!(r#""content":[{{"type":"text","text":{text}}}]"#))
}

/// A result of type `input_required`. `requests` is the literal value of `inputRequests`; one of the
/// two must be there.
pub fn asks(requests: Option<&str>, state: Option<&str>) -> Answer {
    let requests = requests.map(|all| format!(r#","inputRequests":{all}"#)).unwrap_or_default();
    let state = state.map(|state| format!(r#","requestState":{}"#, Value::from(state)));
    let state = state.unwrap_or_default();
    Answer::from(format!(
        r#"{{"resultType":"input_required","_meta":{{"io.modelcontextprotocol/serverInfo":{SERVER_INFO}}}{requests}{state}}}"#
    ))
}

/// An error. Its HTTP status is the one that the specification has for the code.
pub fn error(code: i64, message: &str) -> Answer {
    Answer::Error(json!({"code": code, "message": message}).to_string().into())
}

/// An error with `data`.
pub fn error_with(code: i64, message: &str, data: &Value) -> Answer {
    Answer::Error(json!({"code": code, "message": message, "data": data}).to_string().into())
}

/// -32020, as when a header is missing or says something else than the body.
pub fn header_mismatch(message: &str) -> Answer {
    error(-32020, message)
}

/// -32021 for a client that lacks these capabilities.
pub fn missing_capability(capabilities: &Value) -> Answer {
    let data = json!({"requiredCapabilities": capabilities});
    error_with(-32021, "Missing required client capability", &data)
}

/// -32022 from a server that speaks these versions.
pub fn unsupported_version(supported: &[&str]) -> Answer {
    let data = json!({"supported": supported, "requested": VERSION});
    error_with(-32022, "Unsupported protocol version", &data)
}

/// How servers of the legacy era answer a modern request, each with a name: what is in the field,
/// and what the specification says about it. None of them is a reason to think that the server is
/// modern, or that it is broken.
pub fn legacy_refusals() -> Vec<(&'static str, Answer)> {
    let http = |status, content_type, body: &str| Answer::Http {
        status,
        content_type: Some(content_type),
        body: body.to_owned().into(),
    };
    let json = |status, body| http(status, "application/json", body);
    vec![
        ("404 without a body", Answer::Http { status: 404, content_type: None, body: "".into() }),
        ("404 with a page", http(404, "text/html", "<html><body>Not Found</body></html>")),
        ("405", http(405, "text/plain", "Method Not Allowed")),
        ("400 without a body", Answer::Http { status: 400, content_type: None, body: "".into() }),
        ("400 with a text", http(400, "text/plain", "Bad Request: Session ID is required")),
        (
            "400 for the version",
            json(
                400,
                r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: Unsupported protocol version: 2026-07-28 (supported versions: 2025-11-25, 2025-06-18)"},"id":null}"#,
            ),
        ),
        (
            "400 for the session",
            json(
                400,
                r#"{"jsonrpc":"2.0","error":{"code":-32600,"message":"Bad Request: Missing session ID"},"id":"server-error"}"#,
            ),
        ),
        (
            "-32601 with 200",
            json(
                200,
                r#"{"jsonrpc":"2.0","id":$id,"error":{"code":-32601,"message":"Method not found"}}"#,
            ),
        ),
        (
            "-32602 with 200",
            json(
                200,
                r#"{"jsonrpc":"2.0","id":$id,"error":{"code":-32602,"message":"Invalid request parameters","data":""}}"#,
            ),
        ),
        (
            "-32601 on a stream",
            http(
                200,
                "text/event-stream",
                "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":$id,\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}\n\n",
            ),
        ),
        ("200 with a page", http(200, "text/html", "<html><body>Welcome</body></html>")),
        ("422", http(422, "text/plain", "Unexpected message, expect initialize request")),
    ]
}
