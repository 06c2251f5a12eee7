//! What a request must be before it is executed: the rules of the transport, the headers that say
//! what the body says, and `_meta`. Pure; what is wrong becomes a [`Refusal`].

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    META_CAPABILITIES, META_CLIENT_INFO, META_VERSION,
    headers::{agree, decoded, mirrored, text_of},
};
use crate::raw::{accepts, member};

/// The members of a message that are looked at.
#[derive(Deserialize)]
pub(super) struct Envelope<'a> {
    #[serde(borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) params: Option<&'a RawValue>,
}

/// A request that may be executed.
pub(super) struct Accepted {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) params: Bytes,
}

/// Why a request is not executed, and the response that says so.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// The request's id, if it could be read.
    pub(super) id: Option<String>,
    pub(super) code: i64,
    pub(super) message: String,
    pub(super) data: Option<Box<Value>>,
}

/// A message that passed: a request, or a notification, which asks for nothing.
pub(super) enum Message {
    Request(Accepted),
    Notification,
}

/// Checks everything but what only the server's offer can tell.
pub(super) fn check(
    headers: &HeaderMap,
    body: &Bytes,
    supported: &[String],
) -> Result<Message, Refusal> {
    check_forms(headers)?;
    let message: Envelope<'_> = serde_json::from_slice(body)
        .map_err(|error| bad(-32700, format!("not one JSON-RPC message: {error}")))?;
    if message.jsonrpc.is_none_or(|version| version.get() != r#""2.0""#) {
        return Err(bad(-32600, "jsonrpc is not \"2.0\""));
    }
    let Some(method) = message.method else {
        return Err(bad(-32600, "a client sends no responses"));
    };
    let Some(id) = message.id else { return Ok(Message::Notification) };
    let id = id.get().to_owned();
    if !id.starts_with('"') && id.parse::<i64>().is_err() {
        return Err(bad(-32600, "an id is a text or a whole number"));
    }
    let params = message.params.map_or_else(
        || Bytes::from_static(b"{}"),
        |params| body.slice_ref(params.get().as_bytes()),
    );
    let request = Accepted { id, method: method.into_owned(), params };
    let checked = check_version(headers, &request, supported)
        .and_then(|()| check_standard_headers(headers, &request))
        .and_then(|()| check_answers(&request));
    match checked {
        Ok(()) => Ok(Message::Request(request)),
        Err(refusal) => Err(Refusal { id: Some(request.id), ..refusal }),
    }
}

/// Checks the headers that mirror a tool's parameters.
pub(super) fn check_mirrored(
    headers: &HeaderMap,
    request: &Accepted,
    definition: &str,
) -> Result<(), Refusal> {
    let input_schema: Value = member(definition.as_bytes(), "inputSchema").unwrap_or_default();
    // A tool with annotations that are invalid has none; a good client does not call it at all.
    let all = mirrored(&input_schema).unwrap_or_default();
    if all.is_empty() {
        return Ok(());
    }
    let arguments: Value = member(&request.params, "arguments").unwrap_or_default();
    for one in all {
        let name = format!("Mcp-Param-{}", one.header);
        let in_body = text_of(&arguments, &one.path);
        let in_header = single(headers, &name).map_err(|refusal| refusal.of(request))?;
        let value = one.path.iter().try_fold(&arguments, |value, key| value.get(key));
        let is_number = value.is_some_and(Value::is_number);
        let wrong = match (in_header, in_body) {
            (None, None) => None,
            (None, Some(_)) => Some(format!("{name} is missing")),
            (Some(_), None) => Some(format!("{name} is there, its parameter is not")),
            (Some(in_header), Some(in_body)) => match decoded(in_header) {
                None => Some(format!("{name} is not encoded as it says: {in_header:?}")),
                Some(said) if agree(&said, &in_body, is_number) => None,
                Some(said) => Some(format!("{name} is {said:?}, the parameter is {in_body:?}")),
            },
        };
        if let Some(wrong) = wrong {
            return Err(mismatch(wrong).of(request));
        }
    }
    Ok(())
}

/// The value that `Mcp-Name` mirrors, for the methods that have one.
pub(super) fn named_in(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

impl Refusal {
    pub(super) fn of(self, request: &Accepted) -> Self {
        Self { id: Some(request.id.clone()), ..self }
    }
}

/// A refusal with 400.
pub(super) fn bad(code: i64, message: impl Into<String>) -> Refusal {
    let (status, message) = (StatusCode::BAD_REQUEST, message.into());
    Refusal { status, id: None, code, message, data: None }
}

fn mismatch(message: impl Into<String>) -> Refusal {
    bad(-32020, message)
}

fn check_forms(headers: &HeaderMap) -> Result<(), Refusal> {
    let json = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !json.is_some_and(|kind| kind.starts_with("application/json")) {
        let refusal = bad(-32600, "Content-Type is not application/json");
        return Err(Refusal { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, ..refusal });
    }
    if !accepts(headers, "application/json") || !accepts(headers, "text/event-stream") {
        let refusal = bad(-32600, "a client accepts both JSON and a stream");
        return Err(Refusal { status: StatusCode::NOT_ACCEPTABLE, ..refusal });
    }
    Ok(())
}

fn check_version(
    headers: &HeaderMap,
    request: &Accepted,
    supported: &[String],
) -> Result<(), Refusal> {
    let unsupported = |code, message: String, requested: Option<&str>| {
        let data = json!({"supported": supported, "requested": requested});
        Refusal { data: Some(Box::new(data)), ..bad(code, message) }
    };
    let Some(header) = single(headers, "MCP-Protocol-Version")? else {
        let speaks = supported.join(", ");
        let message = format!("MCP-Protocol-Version is missing; this server speaks {speaks}");
        return Err(unsupported(-32020, message, None));
    };
    let Some(meta) = member::<Box<RawValue>>(&request.params, "_meta") else {
        return Err(bad(-32602, "_meta is missing"));
    };
    let of_meta = |key| member::<Value>(meta.get().as_bytes(), key).unwrap_or_default();
    let version = of_meta(META_VERSION);
    let Some(version) = version.as_str() else {
        return Err(bad(-32602, format!("{META_VERSION} is missing")));
    };
    if !of_meta(META_CAPABILITIES).is_object() {
        return Err(bad(-32602, format!("{META_CAPABILITIES} is missing")));
    }
    let client = of_meta(META_CLIENT_INFO);
    let says_who = client["name"].is_string() && client["version"].is_string();
    if !client.is_null() && !says_who {
        return Err(bad(-32602, format!("{META_CLIENT_INFO} is {client}")));
    }
    if header != version {
        let message = format!("MCP-Protocol-Version is {header:?}, _meta has {version:?}");
        return Err(mismatch(message));
    }
    if !supported.iter().any(|known| known == version) {
        let message = "Unsupported protocol version".to_owned();
        return Err(unsupported(-32022, message, Some(version)));
    }
    Ok(())
}

fn check_standard_headers(headers: &HeaderMap, request: &Accepted) -> Result<(), Refusal> {
    let method = request.method.as_str();
    match single(headers, "Mcp-Method")? {
        None => return Err(mismatch("Mcp-Method is missing")),
        Some(said) if said != method => {
            return Err(mismatch(format!("Mcp-Method is {said:?}, the method is {method:?}")));
        }
        Some(_) => {}
    }
    let Some(key) = named_in(method) else { return Ok(()) };
    let Some(name) = member::<String>(&request.params, key) else {
        return Err(bad(-32602, format!("{key} is missing")));
    };
    let Some(said) = single(headers, "Mcp-Name")? else {
        return Err(mismatch("Mcp-Name is missing"));
    };
    match decoded(said) {
        Some(said) if said == name => Ok(()),
        said => Err(mismatch(format!("Mcp-Name is {said:?}, the {key} is {name:?}"))),
    }
}

/// What a retry brings must have its form, and must stand where a question can have been asked.
fn check_answers(request: &Accepted) -> Result<(), Refusal> {
    let responses: Option<Value> = member(&request.params, "inputResponses");
    let state: Option<Value> = member(&request.params, "requestState");
    if responses.as_ref().is_some_and(|all| !all.is_object())
        || state.as_ref().is_some_and(|state| !state.is_string())
    {
        return Err(bad(-32602, "inputResponses is an object, requestState a text"));
    }
    let can_ask =
        matches!(request.method.as_str(), "tools/call" | "prompts/get" | "resources/read");
    if !can_ask && (responses.is_some() || state.is_some()) {
        return Err(bad(-32602, format!("{} has asked nothing", request.method)));
    }
    Ok(())
}

/// A header that may stand once, as visible ASCII.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(mismatch(format!("{name} stands twice")));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim_matches([' ', '\t']))),
        Err(_) => Err(mismatch(format!("{name} holds what no header may"))),
    }
}
