//! Serves an rmcp handler over HTTP+SSE (revision 2024-11-05), which rmcp itself does not speak any
//! more: one pipe to a handler for each GET stream, on which the other hop's messages are lines.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use rmcp::{ServerHandler, ServiceExt as _, transport::IntoTransport as _};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream},
    sync::mpsc,
};

use crate::{
    body::{self, ReplyBody},
    host::{Host, Life},
    rmcp_host::{Era, OfEra},
};

/// Bytes that a pipe holds.
const PIPE: usize = 64 << 10;

/// An HTTP+SSE server that runs. It ends when this value is dropped.
pub struct SseServer {
    host: Host,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    sessions: Mutex<HashMap<usize, mpsc::Sender<Bytes>>>,
    opened: AtomicUsize,
    /// The verb and the headers of each request.
    seen: Mutex<Vec<(Method, HeaderMap)>>,
}

/// Starts a server that makes one handler for each stream.
pub(crate) async fn serve<H: ServerHandler>(
    port: u16,
    handler: impl Fn() -> H + Send + Sync + 'static,
) -> io::Result<SseServer> {
    let state: Arc<State> = Arc::default();
    let (life, kept, handler) = (Life::default(), Arc::clone(&state), Arc::new(handler));
    let host = Host::http(port, life.clone(), move |request| {
        let (life, state, handler) = (life.clone(), Arc::clone(&kept), Arc::clone(&handler));
        async move {
            state.note(&request);
            match (request.method(), request.uri().path()) {
                (&Method::GET, "/sse") => Ok(open(&state, &life, handler())),
                (&Method::POST, "/messages") => post(&state, request).await,
                _ => Ok(status(StatusCode::NOT_FOUND)),
            }
        }
    })
    .await?;
    Ok(SseServer { host, state })
}

impl SseServer {
    /// Where the stream is opened.
    pub fn url(&self) -> String {
        format!("http://{}/sse", self.host.address())
    }

    /// How many streams were opened since it started.
    pub fn opened(&self) -> usize {
        self.state.opened.load(Ordering::Relaxed)
    }

    /// How many streams are open.
    pub fn open(&self) -> usize {
        self.state.sessions.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The verb and the headers of each request, oldest first.
    pub fn seen(&self) -> Vec<(Method, HeaderMap)> {
        self.state.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends every stream.
    pub fn forget_sessions(&self) {
        self.state.sessions.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl State {
    fn note(&self, request: &Request<Incoming>) {
        let seen = (request.method().clone(), request.headers().clone());
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    }
}

/// Starts a server with one tool, `talk`, that says something as soon as a message comes, and takes
/// the message only later.
pub async fn chatting_sse() -> io::Result<SseServer> {
    chatting_sse_at(0).await
}

/// The same at a port.
pub async fn chatting_sse_at(port: u16) -> io::Result<SseServer> {
    let state: Arc<State> = Arc::default();
    let (life, kept) = (Life::default(), Arc::clone(&state));
    let feeds: Arc<Mutex<HashMap<usize, body::Feed>>> = Arc::default();
    let host = Host::http(port, life, move |request| {
        let (state, feeds) = (Arc::clone(&kept), Arc::clone(&feeds));
        async move {
            state.note(&request);
            match (request.method(), request.uri().path()) {
                (&Method::GET, "/sse") => {
                    let number = state.opened.fetch_add(1, Ordering::Relaxed);
                    let (feed, reply) = body::fed(());
                    let endpoint = format!("event: endpoint\ndata: /messages?session={number}\n\n");
                    let _taken = feed.send(Ok(endpoint.into())).await;
                    feeds.lock().unwrap_or_else(PoisonError::into_inner).insert(number, feed);
                    Ok(stream(reply))
                }
                (&Method::POST, "/messages") => chat(&feeds, request).await,
                _ => Ok(status(StatusCode::NOT_FOUND)),
            }
        }
    })
    .await?;
    Ok(SseServer { host, state })
}

async fn chat(
    feeds: &Mutex<HashMap<usize, body::Feed>>,
    request: Request<Incoming>,
) -> io::Result<Response<ReplyBody>> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let number = query.strip_prefix("session=").and_then(|number| number.parse().ok());
    let feed = number.and_then(|number: usize| {
        feeds.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    });
    let Some(feed) = feed else { return Ok(status(StatusCode::NOT_FOUND)) };
    let say = async |message: serde_json::Value| {
        let event = format!("event: message\ndata: {message}\n\n");
        feed.send(Ok(event.into())).await.map_err(io::Error::other)
    };
    let log = serde_json::json!({"level": "info", "data": "go on"});
    say(serde_json::json!({"jsonrpc": "2.0", "method": "notifications/message", "params": log}))
        .await?;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let message: serde_json::Value = serde_json::from_slice(&body)?;
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => serde_json::json!({
            "protocolVersion": "2024-11-05",
            "capabilities": {"tools": {}, "logging": {}},
            "serverInfo": {"name": "chatting", "version": "1"},
        }),
        "tools/list" => {
            serde_json::json!({"tools": [{"name": "talk", "inputSchema": {"type": "object"}}]})
        }
        "tools/call" => serde_json::json!({"content": [{"type": "text", "text": "said"}]}),
        _ => serde_json::json!({}),
    };
    if !message["id"].is_null() {
        say(serde_json::json!({"jsonrpc": "2.0", "id": message["id"], "result": result})).await?;
    }
    Ok(status(StatusCode::ACCEPTED))
}

fn open<H: ServerHandler>(state: &Arc<State>, life: &Life, handler: H) -> Response<ReplyBody> {
    let number = state.opened.fetch_add(1, Ordering::Relaxed);
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let (from_client, messages) = mpsc::channel(64);
    state.sessions.lock().unwrap_or_else(PoisonError::into_inner).insert(number, from_client);
    let (feed, reply) = body::fed(());
    life.spawn(async move {
        let channel = OfEra::new(Era::Legacy, theirs.into_transport());
        if let Ok(running) = handler.serve(channel).await {
            let _ended = running.waiting().await;
        }
    });
    let state = Arc::clone(state);
    life.spawn(async move {
        let endpoint = format!("event: endpoint\ndata: /messages?session={number}\n\n");
        if feed.send(Ok(endpoint.into())).await.is_ok() {
            carry(ours, messages, &feed).await;
        }
        state.sessions.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
    });
    stream(reply)
}

fn stream(reply: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(reply);
    let stream = header::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, stream);
    response
}

/// Carries messages both ways until one side ends.
async fn carry(pipe: DuplexStream, mut messages: mpsc::Receiver<Bytes>, feed: &body::Feed) {
    let (read, mut write) = tokio::io::split(pipe);
    let mut lines = BufReader::new(read).lines();
    loop {
        tokio::select! {
            message = messages.recv() => {
                let Some(message) = message else { return };
                let line = [&message[..], b"\n"].concat();
                if write.write_all(&line).await.is_err() {
                    return;
                }
            }
            line = lines.next_line() => {
                let Ok(Some(line)) = line else { return };
                let event = format!("event: message\ndata: {line}\n\n");
                if feed.send(Ok(event.into())).await.is_err() {
                    return;
                }
            }
            () = feed.closed() => return,
        }
    }
}

async fn post(state: &State, request: Request<Incoming>) -> io::Result<Response<ReplyBody>> {
    let query = request.uri().query().unwrap_or_default();
    let number = query.strip_prefix("session=").and_then(|number| number.parse().ok());
    let sender = number.and_then(|number: usize| {
        state.sessions.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    });
    let Some(sender) = sender else { return Ok(status(StatusCode::NOT_FOUND)) };
    let message = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let taken = sender.send(message).await.is_ok();
    Ok(status(if taken { StatusCode::ACCEPTED } else { StatusCode::NOT_FOUND }))
}

fn status(status: StatusCode) -> Response<ReplyBody> {
    let mut response = Response::new(body::whole(Bytes::new()));
    *response.status_mut() = status;
    response
}
