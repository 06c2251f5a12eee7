//! A small MCP server over Streamable HTTP: just what the demo's backends need.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use vmcp_wire::{Message, headers, reply};

/// The largest request.
const REQUEST_BYTES: usize = 1 << 20;

/// What makes a server the one it is.
#[derive(Clone, Copy)]
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) instructions: &'static str,
    pub(super) capabilities: fn() -> Value,
    /// Answers a request with a result, or with why there is none.
    pub(super) answer: fn(&mut Notes, &Message, &Value) -> Result<Value, String>,
}

/// What a server keeps for one session.
pub(super) type Notes = Vec<String>;

struct Running {
    server: Server,
    sessions: Mutex<HashMap<String, Notes>>,
    /// Counts every session, so that no two share an id.
    greeted: AtomicU64,
}

/// Starts a server on a free port. It runs for as long as the process.
pub(super) async fn start(server: Server, tasks: &TaskTracker) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let running =
        Arc::new(Running { server, sessions: Mutex::default(), greeted: AtomicU64::new(0) });
    let connections = tasks.clone();
    tasks.spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _peer)) => {
                    connections.spawn(connection(stream, Arc::clone(&running)));
                }
                Err(error) => {
                    tracing::error!(%error, "the demo's backend cannot accept connections");
                    return;
                }
            }
        }
    });
    Ok(address)
}

async fn connection(stream: TcpStream, running: Arc<Running>) {
    let service = service_fn(move |request| {
        let running = Arc::clone(&running);
        async move { Ok::<_, Infallible>(running.respond(request).await) }
    });
    let serving =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = serving.await {
        tracing::debug!(%error, "a connection to the demo's backend ended");
    }
}

impl Running {
    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let session = request.headers().get(headers::SESSION_ID);
        let session = session.and_then(|id| id.to_str().ok()).map(str::to_owned);
        match *request.method() {
            Method::POST => {
                let body = Limited::new(request.into_body(), REQUEST_BYTES).collect().await;
                let message = body.ok().and_then(|body| Message::parse(body.to_bytes()).ok());
                match message {
                    Some(message) => self.take(session, &message),
                    None => empty(StatusCode::BAD_REQUEST),
                }
            }
            Method::DELETE => {
                let ended = session.and_then(|id| self.sessions().remove(&id));
                empty(if ended.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND })
            }
            _ => empty(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    fn take(&self, session: Option<String>, message: &Message) -> Response<Full<Bytes>> {
        let Some(id) = message.id() else { return empty(StatusCode::ACCEPTED) };
        if message.method() == Some(vmcp_model::Method::Initialize) {
            return self.greet(message);
        }
        let mut sessions = self.sessions();
        let Some(notes) = session.and_then(|id| sessions.get_mut(&id)) else {
            return empty(StatusCode::NOT_FOUND);
        };
        let whole: Value = serde_json::from_slice(message.text()).unwrap_or_default();
        let answer = match message.method() {
            Some(vmcp_model::Method::Ping) => Ok(json!({})),
            _ => (self.server.answer)(notes, message, &whole["params"]),
        };
        json_body(match answer {
            Ok(result) => reply::result(id, result.to_string().as_bytes()),
            Err(why) => reply::error_parts(Some(id), -32602, &why, None),
        })
    }

    fn greet(&self, message: &Message) -> Response<Full<Bytes>> {
        let Some(id) = message.id() else { return empty(StatusCode::BAD_REQUEST) };
        let number = self.greeted.fetch_add(1, Ordering::Relaxed) + 1;
        let session_id = format!("{}-{number}", self.server.name);
        self.sessions().insert(session_id.clone(), Notes::new());
        let result = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": (self.server.capabilities)(),
            "serverInfo": {"name": self.server.name, "version": env!("CARGO_PKG_VERSION")},
            "instructions": self.server.instructions,
        });
        let mut response = json_body(reply::result(id, result.to_string().as_bytes()));
        if let Ok(value) = session_id.parse() {
            response.headers_mut().insert(headers::SESSION_ID, value);
        }
        response
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<String, Notes>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn json_body(text: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text));
    response.headers_mut().insert(header::CONTENT_TYPE, headers::JSON);
    response
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
