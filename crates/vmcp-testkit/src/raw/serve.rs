//! The transport's rules: which HTTP request is served, and which is refused and how.

use std::{borrow::Cow, io, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header, request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::{
    call::{Answer, Call, Emit},
    counters::Counters,
    methods,
    running::Server,
    send::{self, Reply},
    session::Session,
    state::{Lost, Seen, Shared},
};
use crate::body::whole;

/// The part of a message that the transport looks at.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// A refusal: the response that says what was wrong.
struct Refusal(StatusCode, String);

pub(super) async fn respond(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Reply> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    respond_to(shared, head, body).await
}

/// The same for a request whose body was read already.
pub(crate) async fn respond_to(
    shared: Arc<Shared>,
    head: request::Parts,
    body: Bytes,
) -> io::Result<Reply> {
    let mut seen = Seen {
        verb: head.method.clone(),
        headers: head.headers.clone(),
        method: String::new(),
        body: body.clone(),
    };
    if let Ok(Envelope { method: Some(method), .. }) = serde_json::from_slice(&body) {
        seen.method = method.into_owned();
    }
    shared.remember(seen);
    let is_of_a_later_era = is_of_a_later_era(&head.headers);
    let response = match head.method {
        Method::POST => post(&shared, head.headers, body).await?,
        Method::GET => get(&shared, &head.headers),
        Method::DELETE => delete(&shared, &head.headers),
        _ => Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "unknown HTTP method".to_owned())),
    };
    Ok(response.unwrap_or_else(|refusal| refuse(&shared, is_of_a_later_era, refusal)))
}

async fn post(
    shared: &Arc<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> io::Result<Result<Reply, Refusal>> {
    if let Err(refusal) = check_post_headers(&headers) {
        return Ok(Err(refusal));
    }
    let envelope: Envelope<'_> = match serde_json::from_slice(&body) {
        Ok(envelope) => envelope,
        Err(error) => return Ok(Err(bad_request(format!("not one JSON-RPC message: {error}")))),
    };
    let id = envelope.id.map(|id| id.get().to_owned());
    let params = envelope.params.map_or_else(
        || Bytes::from_static(b"{}"),
        |params| body.slice_ref(params.get().as_bytes()),
    );
    let Some(method) = envelope.method.map(Cow::into_owned) else {
        return Ok(client_answer(shared, &headers, id.as_deref(), &body));
    };
    Counters::add(&shared.counters.requests, &method);
    if method == "initialize" && id.is_some() {
        let version = methods::negotiate(shared, &params);
        let session = Arc::new(Session::new(version, params.clone()));
        return request(shared, method, id.unwrap_or_default(), params, headers, session, true)
            .await
            .map(Ok);
    }
    let session = match find_session(shared, &headers) {
        Ok(session) => session,
        Err(Refusal(StatusCode::NOT_FOUND, _)) if shared.knobs().lost == Lost::Answered => {
            let id = id.unwrap_or_else(|| "null".to_owned());
            return Ok(Ok(error_for(StatusCode::OK, &id, -32001, "Session not found")));
        }
        Err(refusal) => return Ok(Err(refusal)),
    };
    match id {
        Some(id) => request(shared, method, id, params, headers, session, false).await.map(Ok),
        None => {
            methods::notified(&session, &method, &params);
            Ok(Ok(empty(StatusCode::ACCEPTED)))
        }
    }
}

async fn request(
    shared: &Arc<Shared>,
    method: String,
    id: String,
    params: Bytes,
    headers: HeaderMap,
    session: Arc<Session>,
    opens_session: bool,
) -> io::Result<Reply> {
    let (events, mut emitted) = mpsc::channel(16);
    let cancelled = session.begin_call(&id);
    let call = Call {
        method,
        id: id.clone(),
        params,
        headers,
        session: Arc::clone(&session),
        cancelled,
        server: Server::new(Arc::clone(shared)),
        events,
    };
    let answering = methods::find(shared, &call);
    // A legacy client that goes away does not cancel its call, so the call is not this future's.
    shared.life.spawn(async move {
        let (events, session, id) =
            (call.events.clone(), Arc::clone(&call.session), call.id.clone());
        let answer = answering(call).await;
        session.end_call(&id);
        // Nobody may be reading any more.
        let _ = events.send(Emit::Answer(answer)).await;
    });
    let first = emitted.recv().await;
    let opened = opens_session
        && !shared.identity.sessionless
        && matches!(first, Some(Emit::Answer(Answer::Result(_))));
    let form = shared.knobs().form;
    let mut response = send::response(&shared.life, form, id, first, emitted, ()).await?;
    if opened {
        let value = session.id().parse().expect("session ids are visible ASCII");
        response.headers_mut().insert("mcp-session-id", value);
        shared.sessions().insert(session.id().to_owned(), session);
    }
    Ok(response)
}

fn client_answer(
    shared: &Shared,
    headers: &HeaderMap,
    id: Option<&str>,
    body: &Bytes,
) -> Result<Reply, Refusal> {
    let session = find_session(shared, headers)?;
    if let Some(why) = shared.knobs().refused_answers {
        return Err(Refusal(StatusCode::BAD_REQUEST, why.to_owned()));
    }
    let id = id.ok_or_else(|| bad_request("neither a method nor an id".to_owned()))?;
    if !session.answered(id, body.clone()) {
        shared.counters.stray_answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    Ok(empty(StatusCode::ACCEPTED))
}

fn get(shared: &Arc<Shared>, headers: &HeaderMap) -> Result<Reply, Refusal> {
    if !accepts(headers, "text/event-stream") {
        return Err(Refusal(StatusCode::NOT_ACCEPTABLE, "GET must accept a stream".to_owned()));
    }
    let session = find_session(shared, headers)?;
    if shared.knobs().one_stream && session.listens() {
        return Err(Refusal(StatusCode::CONFLICT, "this session has a GET stream".to_owned()));
    }
    let last_event = match headers.get("last-event-id") {
        None => None,
        Some(id) => Some(
            id.to_str()
                .ok()
                .and_then(|id| id.strip_prefix("get-"))
                .and_then(|id| id.parse().ok())
                .ok_or_else(|| bad_request("an event id that was never sent".to_owned()))?,
        ),
    };
    Ok(send::stream(shared, &session, last_event))
}

fn delete(shared: &Shared, headers: &HeaderMap) -> Result<Reply, Refusal> {
    let session = find_session(shared, headers)?;
    shared.sessions().remove(session.id());
    session.hang_up();
    shared.counters.deletes.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    Ok(empty(StatusCode::OK))
}

fn find_session(shared: &Shared, headers: &HeaderMap) -> Result<Arc<Session>, Refusal> {
    if shared.identity.sessionless {
        let version = text(headers, "mcp-protocol-version").unwrap_or("2025-03-26").to_owned();
        return Ok(Arc::new(Session::new(version, Bytes::new())));
    }
    let id = text(headers, "mcp-session-id")
        .ok_or_else(|| bad_request("Mcp-Session-Id is missing".to_owned()))?;
    let Some(session) = shared.sessions().get(id).cloned() else {
        return Err(Refusal(StatusCode::NOT_FOUND, String::new()));
    };
    match text(headers, "mcp-protocol-version") {
        Some(version) if version == session.version() => Ok(session),
        None if session.version() < "2025-06-18" => Ok(session),
        other => {
            let agreed = session.version();
            Err(bad_request(format!("MCP-Protocol-Version is {other:?}, agreed was {agreed}")))
        }
    }
}

fn check_post_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    if !text(headers, "content-type").is_some_and(|kind| kind.starts_with("application/json")) {
        let message = "Content-Type is not application/json".to_owned();
        return Err(Refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    if !accepts(headers, "application/json") || !accepts(headers, "text/event-stream") {
        let message = "POST must accept both JSON and a stream".to_owned();
        return Err(Refusal(StatusCode::NOT_ACCEPTABLE, message));
    }
    Ok(())
}

/// Whether a client asks whether this is a server of a later era, which knows no sessions.
fn is_of_a_later_era(headers: &HeaderMap) -> bool {
    text(headers, "mcp-protocol-version").is_some_and(|version| version >= "2026-07-28")
        && !headers.contains_key("mcp-session-id")
}

/// A session that is unknown is no breach of the rules, nor is a question of a later era, so they
/// are not counted as one.
fn refuse(shared: &Shared, is_question: bool, Refusal(status, message): Refusal) -> Reply {
    if status != StatusCode::NOT_FOUND {
        if !is_question {
            shared.counters.refusals.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        return error(status, -32600, &message);
    }
    match shared.knobs().lost {
        Lost::NotFound | Lost::Answered => {
            error(StatusCode::NOT_FOUND, -32001, "Session not found")
        }
        Lost::BadRequest => {
            error(StatusCode::BAD_REQUEST, -32000, "Bad Request: No valid session ID provided")
        }
    }
}

fn error(status: StatusCode, code: i32, message: &str) -> Reply {
    error_for(status, "null", code, message)
}

/// The same that answers the request of this id (JSON text).
fn error_for(status: StatusCode, id: &str, code: i32, message: &str) -> Reply {
    let message = message.replace('\\', "\\\\").replace('"', "\\\"");
    let body =
        format!(r#"{{"jsonrpc":"2.0","error":{{"code":{code},"message":"{message}"}},"id":{id}}}"#);
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(whole(body))
        .expect("the parts are valid")
}

fn empty(status: StatusCode) -> Reply {
    Response::builder().status(status).body(whole(Bytes::new())).expect("the parts are valid")
}

fn bad_request(message: String) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, message)
}

pub(crate) fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.split(';').next().is_some_and(|one| one.trim() == kind))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
