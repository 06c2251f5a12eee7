//! The routes, and what stands before all of them.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vmcp_auth::{Authenticator, METADATA_PATH};
use vmcp_core::{Background, Budget};
use vmcp_session::Sessions;
use vmcp_wire::{Fault, headers, lines};

use crate::{
    body::Body,
    origin::{AllowedHost, AllowedOrigin, Doors, host_of},
    request::{RequestBody, is_forwarded},
    respond, status,
};

/// How the edge works.
#[derive(Debug, Clone)]
pub struct Config {
    /// The path of the MCP endpoint.
    pub endpoint: String,
    pub allowed_hosts: Vec<AllowedHost>,
    pub allowed_origins: Vec<AllowedOrigin>,
    /// Bytes of one request.
    pub request_bytes: usize,
    /// Bytes of all large requests that are held at once.
    pub held_request_bytes: usize,
    /// GET streams open at once.
    pub streams: usize,
    /// Connections open at once.
    pub connections: usize,
    /// How long a stream may be silent.
    pub keep_alive: Duration,
}

/// What a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listens {
    /// MCP and probes.
    Clients,
    /// MCP, probes and `/status`: the listener can be reached from this machine only.
    ClientsAndAdmin,
    /// Probes and `/status`.
    Admin,
}

/// Everything behind the sockets.
pub struct Edge {
    pub(crate) config: Config,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) authenticator: Authenticator,
    pub(crate) started: Instant,
    doors: Doors,
    /// What large requests hold.
    pub(crate) requests: Arc<Budget>,
    notes: Mutex<Notes>,
    streams: Arc<AtomicUsize>,
    draining: AtomicBool,
    /// Ends the streams of changes, whose clients open them elsewhere.
    pub(crate) leaving: CancellationToken,
    pub(crate) background: Background,
}

/// What `/status` is told by those who run this.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    pub(crate) labels: serde_json::Value,
    pub(crate) reload: Option<Reloaded>,
}

/// How the configuration was reloaded last.
#[derive(Debug, Clone)]
pub(crate) struct Reloaded {
    pub(crate) at: Instant,
    /// How often that was tried since the start.
    pub(crate) attempts: u64,
    /// Why it could not be.
    pub(crate) problem: Option<String>,
    /// The settings that were read last and hold from the next start only.
    pub(crate) pending: Vec<&'static str>,
}

/// One open GET stream; given back when dropped.
pub(crate) struct StreamPermit(Arc<AtomicUsize>);

impl Edge {
    /// `labels` are shown in `/status`.
    pub fn new(
        config: Config,
        labels: serde_json::Value,
        sessions: Arc<Sessions>,
        authenticator: Authenticator,
        background: Background,
    ) -> Arc<Self> {
        let doors = Doors::new(config.allowed_hosts.clone(), config.allowed_origins.clone());
        let requests = Budget::new(config.held_request_bytes);
        Arc::new(Self {
            requests,
            config,
            sessions,
            authenticator,
            started: Instant::now(),
            doors,
            notes: Mutex::new(Notes { labels, reload: None }),
            streams: Arc::default(),
            draining: AtomicBool::new(false),
            leaving: CancellationToken::new(),
            background,
        })
    }

    /// Readiness ends, and every response ends its connection.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.leaving.cancel();
        self.sessions.begin_drain();
    }

    /// Shows other labels.
    pub fn set_labels(&self, labels: serde_json::Value) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).labels = labels;
    }

    /// Shows that the configuration has just been reloaded, with the settings that wait for the next
    /// start; or why it could not be.
    pub fn note_reload(&self, outcome: Result<Vec<&'static str>, String>) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = notes.reload.take();
        let attempts = 1 + before.as_ref().map_or(0, |before| before.attempts);
        let (pending, problem) = match outcome {
            Ok(pending) => (pending, None),
            Err(problem) => {
                (before.map(|before| before.pending).unwrap_or_default(), Some(problem))
            }
        };
        notes.reload = Some(Reloaded { at: Instant::now(), attempts, problem, pending });
    }

    pub(crate) fn notes(&self) -> Notes {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Answers one request.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<RequestBody>,
        peer: SocketAddr,
        listens: Listens,
    ) -> Response<Body> {
        let mut response = self.routed(request, peer.ip(), listens).await;
        if self.is_draining() {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn routed(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        peer: IpAddr,
        listens: Listens,
    ) -> Response<Body> {
        let path = request.uri().path();
        let host = match host_of(&request) {
            Ok(host) => host,
            Err(fault) => return respond::failed(None, &fault),
        };
        match path {
            "/health" | "/ping" => return status::health(),
            "/readyz" => return status::readiness(self),
            _ => {}
        }
        if let Err(fault) = self.doors.check_host(host).and_then(|()| unambiguous(&request)) {
            return respond::failed(None, &fault);
        }
        let origin = match self.doors.check_origin(request.headers()) {
            Ok(origin) => origin,
            Err(fault) => return respond::failed(None, &fault),
        };
        let serves_clients = listens != Listens::Admin;
        let serves_admin = listens != Listens::Clients;
        let metadata_of = path.strip_prefix(METADATA_PATH).filter(|_| serves_clients);
        let metadata_of = metadata_of.map(|resource| self.canonical(resource));
        let is_endpoint = serves_clients && self.canonical(path) == self.config.endpoint;
        let is_preflight = *request.method() == Method::OPTIONS && origin.is_some();
        let mut response = if is_preflight && (is_endpoint || metadata_of.is_some()) {
            preflight(request.headers())
        } else if is_endpoint {
            self.mcp(request, peer, listens).await
        } else if let Some(resource) = metadata_of {
            self.metadata(request.method(), resource, listens)
        } else if serves_admin && matches!(path, "/status" | BACKENDS_PATH) {
            if listens == Listens::ClientsAndAdmin && is_forwarded(request.headers()) {
                respond::failed(None, &Fault::Forbidden(FORWARDED.into()))
            } else if path == BACKENDS_PATH {
                status::backends(self)
            } else {
                status::status(self).await
            }
        } else {
            self.no_such_route(listens)
        };
        if let Some(origin) = origin {
            allow_page(&mut response, origin);
        }
        response
    }

    /// Where a caller gets a token (RFC 9728). Whoever needs to know has none yet.
    fn metadata(&self, method: &Method, resource: &str, listens: Listens) -> Response<Body> {
        match self.authenticator.metadata(resource, &self.config.endpoint) {
            Some(text) if method == Method::GET || method == Method::HEAD => respond::json(text),
            Some(_) => {
                let mut response = respond::empty(StatusCode::METHOD_NOT_ALLOWED);
                let allowed = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(header::ALLOW, allowed);
                response
            }
            None => self.no_such_route(listens),
        }
    }

    fn no_such_route(&self, listens: Listens) -> Response<Body> {
        let served = match listens {
            Listens::Admin => {
                format!("this listener serves /status, {BACKENDS_PATH}, /health, /ping and /readyz")
            }
            Listens::Clients | Listens::ClientsAndAdmin => {
                format!("the MCP endpoint is {}", self.config.endpoint)
            }
        };
        respond::failed(None, &Fault::NoSuchRoute { served })
    }

    /// The path without the slash that some clients add to that of the endpoint.
    fn canonical<'a>(&self, path: &'a str) -> &'a str {
        path.strip_suffix('/').filter(|path| *path == self.config.endpoint).unwrap_or(path)
    }

    /// Takes one of the GET streams that may be open. One that takes over from another needs no
    /// room of its own: the other ends.
    pub(crate) fn enter_stream(&self, takes_over: bool) -> Result<StreamPermit, Fault> {
        let permit = StreamPermit(Arc::clone(&self.streams));
        let limit = self.config.streams;
        if self.streams.fetch_add(1, Ordering::Relaxed) >= limit && !takes_over {
            return Err(Fault::Unavailable(format!("{limit} streams are open already").into()));
        }
        Ok(permit)
    }

    pub(crate) fn open_streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where the reference system tells how its backends are.
const BACKENDS_PATH: &str = "/api/backends/health";

/// What is told to whom a proxy on this machine has let in.
const FORWARDED: &str = "/status is for this machine only, and a proxy has passed this request on; to serve it to others set admin.listen and ask there";

/// Refuses a request whose headers two readers could take differently.
fn unambiguous<B>(request: &Request<B>) -> Result<(), Fault> {
    match headers::ambiguous(request.headers()) {
        Some(name) => Err(Fault::InvalidRequest(
            format!("the header {name} stands there twice, with different values").into(),
        )),
        None => Ok(()),
    }
}

/// What a page may send with a request. The parameters of tools have headers of their own names.
const ALLOWED_HEADERS: &str = "content-type, accept, authorization, last-event-id, mcp-session-id, mcp-protocol-version, mcp-method, mcp-name";

/// How many headers of parameters a page may ask for at once.
const PARAMETERS: usize = 64;

/// The answer to a browser that asks whether a page may call (Fetch standard, CORS preflight).
fn preflight(asked: &HeaderMap) -> Response<Body> {
    let mut allowed = ALLOWED_HEADERS.to_owned();
    let asked = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let asked = asked.and_then(|asked| asked.to_str().ok()).unwrap_or_default().split(',');
    let names = asked.filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok());
    let parameters = names.filter(|name| name.as_str().starts_with(lines::PARAMETER));
    for name in parameters.take(PARAMETERS) {
        allowed.push_str(", ");
        allowed.push_str(name.as_str());
    }
    let mut response = respond::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("POST, GET, DELETE, OPTIONS"),
    );
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

fn allow_page(response: &mut Response<Body>, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("mcp-session-id, mcp-protocol-version, www-authenticate"),
    );
}
