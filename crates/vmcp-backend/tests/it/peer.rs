//! An MCP server that answers as a test has it answer, and remembers what it was asked.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::task::TaskTracker;
use vmcp_backend::{Backend, ClientView, Config};
use vmcp_model::{BackendId, ProtocolVersion};

/// Longer than any of these tests takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running server.
pub(crate) struct Peer {
    pub(crate) url: String,
    state: Arc<State>,
}

struct State {
    script: Mutex<Script>,
    seen: Mutex<Vec<Asked>>,
    /// Answers that have begun and not ended, on connections that are open.
    open: AtomicUsize,
}

/// How the server answers.
type Script = Arc<dyn Fn(&Asked) -> Say + Send + Sync>;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) verb: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

/// What the server says.
pub(crate) enum Say {
    /// A result of the request.
    Result(Value),
    /// An error of the request, with its status.
    Error(u16, Value),
    /// A body of any kind.
    Raw(u16, &'static str, String),
    /// The same with one more header.
    With(&'static str, &'static str, Box<Self>),
    /// A stream that takes what the test sends, and ends when the test ends it.
    Stream(mpsc::Receiver<String>),
    /// Nothing, ever.
    Silence,
}

impl Asked {
    pub(crate) fn method(&self) -> &str {
        self.body["method"].as_str().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Peer {
    pub(crate) async fn start(script: impl Fn(&Asked) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let state = Arc::new(State {
            script: Mutex::new(Arc::new(script)),
            seen: Mutex::default(),
            open: AtomicUsize::new(0),
        });
        let tasks = TaskTracker::new();
        let (serves, connections) = (Arc::clone(&state), tasks.clone());
        tasks.spawn(async move {
            loop {
                let (stream, _from) = listener.accept().await.unwrap();
                let state = Arc::clone(&serves);
                connections.spawn(async move {
                    let service = service_fn(|request| respond(Arc::clone(&state), request));
                    // A client that goes away ends the connection.
                    let _ended =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { url, state }
    }

    /// A backend that is this server.
    pub(crate) fn backend(&self) -> Arc<Backend> {
        self.backend_with(|_config| {})
    }

    pub(crate) fn backend_with(&self, change: impl FnOnce(&mut Config)) -> Arc<Backend> {
        let id = BackendId::new("peer").unwrap();
        let mut config = Config::plain(id, self.url.parse().unwrap());
        change(&mut config);
        Backend::new(&config, TaskTracker::new()).unwrap()
    }

    /// Answers otherwise from now on.
    pub(crate) fn become_one(&self, script: impl Fn(&Asked) -> Say + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Arc::new(script);
    }

    /// Everything that was asked.
    pub(crate) fn seen(&self) -> Vec<Asked> {
        self.state.seen.lock().unwrap().clone()
    }

    /// How often a method was asked.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.seen().iter().filter(|asked| asked.method() == method).count()
    }

    /// The methods in the order in which they were asked.
    pub(crate) fn methods(&self) -> Vec<String> {
        let seen = self.seen();
        let name = |asked: &Asked| match asked.method() {
            "" => asked.verb.to_string(),
            method => method.to_owned(),
        };
        seen.iter().map(name).collect()
    }

    /// Waits until so many answers are under way.
    pub(crate) async fn wait_for_open(&self, count: usize) {
        wait_until(|| self.state.open.load(Ordering::SeqCst) == count).await;
    }
}

/// Waits until something is so.
pub(crate) async fn wait_until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it should have become so by now");
}

type Body = BoxBody<Bytes, io::Error>;

/// An answer that is under way.
struct Open(Arc<State>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn respond(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let asked = Asked { verb: head.method, headers: head.headers, body };
    state.seen.lock().unwrap().push(asked.clone());
    state.open.fetch_add(1, Ordering::SeqCst);
    let open = Open(Arc::clone(&state));
    let script = Arc::clone(&*state.script.lock().unwrap());
    let id = &asked.body["id"];
    let (said, more) = match script(&asked) {
        Say::With(name, value, said) => (*said, Some((name, value))),
        said => (said, None),
    };
    let mut response = match said {
        Say::With(..) => panic!("one more header at most"),
        Say::Result(result) => {
            let body = json!({"jsonrpc": "2.0", "id": id, "result": result});
            whole(200, "application/json", body.to_string())
        }
        Say::Error(status, error) => {
            let body = json!({"jsonrpc": "2.0", "id": id, "error": error});
            whole(status, "application/json", body.to_string())
        }
        Say::Raw(status, kind, body) => whole(status, kind, body),
        Say::Stream(events) => {
            response(200, "text/event-stream", BoxBody::new(Events { events, _open: open }))
        }
        Say::Silence => {
            let _open = open;
            std::future::pending().await
        }
    };
    if let Some((name, value)) = more {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    Ok(response)
}

/// The events of a stream, each as one frame.
struct Events {
    events: mpsc::Receiver<String>,
    _open: Open,
}

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let event = ready!(self.events.poll_recv(context));
        Poll::Ready(event.map(|event| Ok(Frame::data(format!("data: {event}\n\n").into()))))
    }
}

fn whole(status: u16, kind: &'static str, body: String) -> Response<Body> {
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
    response(status, kind, BoxBody::new(body))
}

fn response(status: u16, kind: &'static str, body: Body) -> Response<Body> {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
    response.body(body).unwrap()
}

/// A modern server with tools, of which it has none. Whatever else it is asked has an empty result.
pub(crate) fn modern(asked: &Asked) -> Say {
    if asked.header("mcp-protocol-version") != Some("2026-07-28") {
        return refused_as_modern(asked);
    }
    if asked.header("mcp-method") != Some(asked.method()) {
        return Say::Error(400, json!({"code": -32020, "message": "Mcp-Method"}));
    }
    match asked.method() {
        "server/discover" => Say::Result(discovered(&json!({"tools": {}}))),
        "tools/list" => Say::Result(json!({"resultType": "complete", "tools": []})),
        _ => Say::Result(json!({"resultType": "complete"})),
    }
}

/// What `server/discover` gives.
pub(crate) fn discovered(capabilities: &Value) -> Value {
    json!({
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": capabilities,
        "ttlMs": 60000,
        "cacheScope": "public",
    })
}

/// How a server of the modern era alone refuses what belongs to the legacy era.
fn refused_as_modern(asked: &Asked) -> Say {
    if asked.verb == Method::POST {
        let data = json!({"supported": ["2026-07-28"], "requested": "2025-11-25"});
        return Say::Error(400, json!({"code": -32022, "message": "no", "data": data}));
    }
    Say::Raw(405, "text/plain", String::new())
}

/// A legacy server without session ids that knows nothing of the modern era.
pub(crate) fn legacy(asked: &Asked) -> Say {
    match asked.method() {
        "initialize" => Say::Result(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "peer", "version": "1"},
        })),
        _ if asked.header("mcp-protocol-version") == Some("2026-07-28") => {
            Say::Raw(400, "text/plain", "unsupported protocol version".to_owned())
        }
        "notifications/initialized" => Say::Raw(202, "text/plain", String::new()),
        "tools/list" => Say::Result(json!({"tools": []})),
        "" => Say::Raw(405, "text/plain", String::new()),
        _ => Say::Result(json!({})),
    }
}

/// A client of this revision that can do this.
pub(crate) fn view(version: ProtocolVersion, capabilities: &str) -> ClientView {
    ClientView::new(version, Bytes::copy_from_slice(capabilities.as_bytes()))
}
