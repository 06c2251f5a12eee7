//! An MCP server over TLS that says just enough: what is tested is the way to it.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Barrier, Semaphore},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use vmcp_wire::{Message, headers, reply};

/// Streams that the server allows on one connection, as most servers do.
const STREAMS: u32 = 100;

/// An authority that vouches for servers on this machine.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: Arc<[u8]>,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Seen>,
    /// Dropped with the server; its tasks end with the test's runtime.
    _tasks: TaskTracker,
}

/// What the server has seen, and what it waits for.
pub(crate) struct Seen {
    pub(crate) connections: AtomicUsize,
    /// Connections of HTTP/2 that begin from now on give their streams no room for what is sent.
    pub(crate) closed: AtomicBool,
    /// One permit for each request of the method `resources/read`, which is never answered.
    pub(crate) hanging: Semaphore,
    /// Where requests of the method `prompts/get` wait for each other.
    meeting: Barrier,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem().into_bytes().into();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn server_config(&self, protocols: &[&str]) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

impl Server {
    /// Starts a server that offers these protocols. So many requests of the method `prompts/get` wait for
    /// each other.
    pub(crate) async fn start(authority: &Authority, protocols: &[&str], meeting: usize) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(authority.server_config(protocols)));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seen {
            connections: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            hanging: Semaphore::new(0),
            meeting: Barrier::new(meeting),
        });
        let tasks = TaskTracker::new();
        let (connections, sees) = (tasks.clone(), Arc::clone(&seen));
        tasks.spawn(async move {
            loop {
                let (stream, _peer) = listener.accept().await.unwrap();
                connections.spawn(connection(acceptor.clone(), stream, Arc::clone(&sees)));
            }
        });
        Self { port, seen, _tasks: tasks }
    }
}

async fn connection(acceptor: TlsAcceptor, stream: TcpStream, seen: Arc<Seen>) {
    // A client that does not trust this server ends here.
    let Ok(stream) = acceptor.accept(stream).await else { return };
    seen.connections.fetch_add(1, Ordering::Relaxed);
    let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let window = seen.closed.load(Ordering::Relaxed).then_some(0);
    let service = service_fn(move |request| {
        let seen = Arc::clone(&seen);
        async move { Ok::<_, Infallible>(respond(request, &seen).await) }
    });
    let stream = TokioIo::new(stream);
    // Clients of a test go away when it ends.
    let _ended = if speaks_http2 {
        let mut builder = conn::http2::Builder::new(TokioExecutor::new());
        builder.max_concurrent_streams(STREAMS).initial_stream_window_size(window);
        builder.serve_connection(stream, service).await
    } else {
        conn::http1::Builder::new().serve_connection(stream, service).await
    };
}

async fn respond(request: Request<Incoming>, seen: &Seen) -> Response<Full<Bytes>> {
    match request.uri().path() {
        "/mcp" => {}
        "/moved" => return redirect("/mcp"),
        "/elsewhere" => return redirect("https://elsewhere.example/mcp"),
        _ => return empty(StatusCode::NOT_FOUND),
    }
    if *request.method() != Method::POST {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let version = request.version();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let message = Message::parse(body).unwrap();
    let Some(id) = message.id() else { return empty(StatusCode::ACCEPTED) };
    let result = match &*message.method_name() {
        "initialize" => concat!(
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"#,
            r#""serverInfo":{"name":"tls","version":"1"}}"#
        )
        .to_owned(),
        "tools/list" => format!(r#"{{"tools":[],"over":"{version:?}"}}"#),
        "echo" => {
            let text = std::str::from_utf8(message.text()).unwrap();
            let params = text.split_once(r#""params":"#).unwrap().1;
            params.strip_suffix('}').unwrap().to_owned()
        }
        "prompts/get" => {
            seen.meeting.wait().await;
            "{}".to_owned()
        }
        "large" => format!(r#"{{"text":"{}"}}"#, "x".repeat(1 << 20)),
        "resources/read" => {
            seen.hanging.add_permits(1);
            std::future::pending().await
        }
        _ => "{}".to_owned(),
    };
    let mut response = Response::new(Full::new(reply::result(id, result.as_bytes())));
    response.headers_mut().insert(header::CONTENT_TYPE, headers::JSON);
    response.headers_mut().insert(headers::SESSION_ID, "one".parse().unwrap());
    response
}

fn redirect(to: &'static str) -> Response<Full<Bytes>> {
    let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
    response.headers_mut().insert(header::LOCATION, to.parse().unwrap());
    response
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}
