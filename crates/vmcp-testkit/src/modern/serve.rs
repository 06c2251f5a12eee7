//! Takes a request from its bytes to its response: remembers it, finds its era, has it checked,
//! and executes it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    META_VERSION, VERSION,
    call::Call,
    checks::{self, Accepted, Envelope, Message, Refusal},
    methods,
    running::Server,
    state::{Seen, Shared, Speaks},
    subscriptions,
};
use crate::{
    body::whole,
    raw::{self, Answer, Emit, JSON, Kind, Reply, member, with_type},
};

pub(super) async fn respond(shared: Arc<Shared>, request: Request<Incoming>) -> io::Result<Reply> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let seen = see(&head, &body);
    let (method, id) = (seen.method.clone(), seen.id.clone().unwrap_or_else(|| "null".to_owned()));
    let is_modern = is_modern(&head, &seen);
    if !method.is_empty() {
        shared.counters.requested(&method);
    }
    shared.remember(seen);
    if let Some(answer) = shared.take_next(&method) {
        return send(&shared, id, answer).await;
    }
    let speaks = shared.knobs().speaks.clone();
    match speaks {
        Speaks::Legacy(answer) if is_modern => send(&shared, id, answer).await,
        Speaks::Legacy(_) => raw::respond_to(Arc::clone(&shared.legacy), head, body).await,
        Speaks::Both if !is_modern => raw::respond_to(Arc::clone(&shared.legacy), head, body).await,
        Speaks::Both | Speaks::Modern => {
            let response = modern(&shared, &head, &body).await;
            response.unwrap_or_else(|refusal| Ok(refuse(&shared, &method, &refusal)))
        }
    }
}

fn see(head: &request::Parts, body: &Bytes) -> Seen {
    let message: Option<Envelope<'_>> = serde_json::from_slice(body).ok();
    let message = message.as_ref();
    Seen {
        verb: head.method.clone(),
        headers: head.headers.clone(),
        method: message
            .and_then(|message| message.method.as_deref())
            .unwrap_or_default()
            .to_owned(),
        id: message.and_then(|message| Some(message.id?.get().to_owned())),
        params: message.and_then(|message| Some(message.params?.to_owned())),
        body: body.clone(),
    }
}

/// Whether a request is meant for a server of the modern era.
fn is_modern(head: &request::Parts, seen: &Seen) -> bool {
    if seen.method == "initialize" {
        return false;
    }
    let version = seen.meta(META_VERSION);
    let newer = |version: &str| version >= VERSION;
    matches!(seen.method.as_str(), "server/discover" | "subscriptions/listen")
        || version.as_str().is_some_and(newer)
        || head
            .headers
            .get("mcp-protocol-version")
            .is_some_and(|version| version.to_str().is_ok_and(newer))
}

async fn modern(
    shared: &Arc<Shared>,
    head: &request::Parts,
    body: &Bytes,
) -> Result<io::Result<Reply>, Refusal> {
    if head.method != Method::POST {
        let refusal = checks::bad(-32600, "the modern era knows POST alone");
        return Err(Refusal { status: StatusCode::METHOD_NOT_ALLOWED, ..refusal });
    }
    let supported = shared.knobs().supported.clone();
    let request = match checks::check(&head.headers, body, &supported)? {
        Message::Notification => {
            let mut accepted = Response::new(whole(Bytes::new()));
            *accepted.status_mut() = StatusCode::ACCEPTED;
            return Ok(Ok(accepted));
        }
        Message::Request(request) => request,
    };
    let scripted = shared.knobs().script(&request.method, None).is_some();
    if request.method == "subscriptions/listen" && !scripted {
        return subscriptions::open(shared, request).map(Ok);
    }
    if request.method == "tools/call" {
        let name: String = member(&request.params, "name").unwrap_or_default();
        let definition = {
            let knobs = shared.knobs();
            knobs.offer.definition(Kind::Tools, &name).map(str::to_owned)
        };
        if let Some(definition) = definition {
            checks::check_mirrored(&head.headers, &request, &definition)?;
        }
    }
    execute(shared, head, request).await
}

async fn execute(
    shared: &Arc<Shared>,
    head: &request::Parts,
    request: Accepted,
) -> Result<io::Result<Reply>, Refusal> {
    let (handler, key) = methods::find(shared, &request)?;
    if let Some(key) = key {
        shared.counters.executed(&key);
    }
    let (events, mut emitted) = mpsc::channel(16);
    let waiting = Waiting {
        shared: Arc::clone(shared),
        cancelled: CancellationToken::new(),
        answered: Arc::default(),
    };
    let (cancelled, answered) = (waiting.cancelled.clone(), Arc::clone(&waiting.answered));
    let id = request.id.clone();
    let call = Call {
        method: request.method,
        id: request.id,
        params: request.params,
        headers: head.headers.clone(),
        cancelled,
        server: Server::new(Arc::clone(shared)),
        events: events.clone(),
    };
    let serving = Arc::clone(shared);
    shared.life.spawn(async move {
        let answer = handler(call.clone()).await;
        let answer = methods::dressed(&serving, &call, answer);
        // Whoever is given nothing still waits.
        answered.store(!matches!(answer, Answer::Hang | Answer::Flood), Relaxed);
        // Nobody may be reading any more.
        let _ = events.send(Emit::Answer(answer)).await;
    });
    let first = emitted.recv().await;
    let form = shared.knobs().form;
    let status = status_of(first.as_ref());
    if status != StatusCode::OK {
        // What decides the status is known before a stream has begun.
        let Some(Emit::Answer(answer)) = first else { return Ok(Err(io::ErrorKind::Other.into())) };
        return Ok(Ok(with_status(status, raw::message(&id, &answer))));
    }
    let response = raw::response(&shared.life, form, id, first, emitted, waiting).await;
    Ok(response.map(|mut response| {
        if response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == raw::STREAM) {
            response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
        }
        response
    }))
}

/// Sends what was decided without looking at the request.
async fn send(shared: &Arc<Shared>, id: String, answer: Answer) -> io::Result<Reply> {
    let first = Some(Emit::Answer(answer));
    let status = status_of(first.as_ref());
    if let (true, Some(Emit::Answer(answer))) = (status != StatusCode::OK, &first) {
        return Ok(with_status(status, raw::message(&id, answer)));
    }
    let (_, nothing) = mpsc::channel(1);
    let form = shared.knobs().form;
    raw::response(&shared.life, form, id, first, nothing, ()).await
}

/// The status that the specification has for an error.
fn status_of(first: Option<&Emit>) -> StatusCode {
    let Some(Emit::Answer(Answer::Error(error))) = first else { return StatusCode::OK };
    match member::<i64>(error, "code") {
        Some(-32022..=-32020) => StatusCode::BAD_REQUEST,
        Some(-32601) => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

fn refuse(shared: &Shared, method: &str, refusal: &Refusal) -> Reply {
    let Refusal { status, id, code, message, data } = refusal;
    // Whoever speaks both eras may ask for the other one; only the answer tells that there is none.
    if method != "initialize" {
        shared.refused(format!("{method}: {status} {code}: {message}"));
    }
    let mut error = json!({"code": code, "message": message});
    if let Some(data) = data {
        error["data"] = data.as_ref().clone();
    }
    let id = id.as_ref().map_or_else(String::new, |id| format!(r#","id":{id}"#));
    let body = format!(r#"{{"jsonrpc":"2.0"{id},"error":{error}}}"#);
    let mut response = with_status(*status, body.into());
    if *status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    response
}

fn with_status(status: StatusCode, body: Bytes) -> Reply {
    let mut response = with_type(JSON, whole(body));
    *response.status_mut() = status;
    response
}

/// A client that waits for its answer. If this goes before there is one, the client has left.
struct Waiting {
    shared: Arc<Shared>,
    cancelled: CancellationToken,
    answered: Arc<AtomicBool>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.answered.load(Relaxed) {
            self.shared.counters.left();
            self.cancelled.cancel();
        }
    }
}
