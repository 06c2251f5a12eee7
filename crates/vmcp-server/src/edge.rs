//! The routes, and what stands before all of them.

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use tokio::time::Instant;
use vmcp_auth::{Authenticator, METADATA_PATH, Operators};
use vmcp_core::{Background, Budget};
use vmcp_model::trail::{Observer, Trail};
use vmcp_modern::Modern;
use vmcp_session::Sessions;
use vmcp_wire::{Fault, headers};

use crate::{
    body::Body,
    log_levels::{LOG, LogControl},
    metrics::{Exposition, METRICS, Readers, Texts},
    near::{TrustedNetwork, TrustedProxies},
    operators::{BACKENDS, EXPLAIN, STATUS, is_for_operators},
    origin::{AllowedHost, AllowedOrigin, Doors, host_of},
    pages::{allow_page, preflight},
    request::RequestBody,
    respond, status,
    status::Awaited,
};

/// How the edge works.
#[derive(Debug, Clone)]
pub struct Config {
    /// The path of the MCP endpoint.
    pub endpoint: String,
    pub allowed_hosts: Vec<AllowedHost>,
    pub allowed_origins: Vec<AllowedOrigin>,
    /// Proxies that are believed what they say of the requests that they pass on.
    pub trusted_proxies: Vec<TrustedNetwork>,
    /// The URL before the endpoint's path by which clients reach this server, if one is configured.
    pub public_url: Option<String>,
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
    /// Whether clients' listeners tell anybody the names and states of backends, as in pods of ToolHive's operator.
    pub shows_states: bool,
    /// What has to come before new sessions are sent here, beside the store.
    pub awaited: Option<Awaited>,
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
    /// Probes and metrics, whoever asks.
    Metrics,
}

impl Listens {
    /// Whether MCP is served there.
    pub(crate) fn serves_clients(self) -> bool {
        matches!(self, Self::Clients | Self::ClientsAndAdmin)
    }
}

/// Everything behind the sockets.
pub struct Edge {
    pub(crate) config: Config,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) authenticator: Authenticator,
    pub(crate) operators: Operators,
    pub(crate) proxies: TrustedProxies,
    pub(crate) started: Instant,
    doors: Doors,
    /// What large requests hold.
    pub(crate) requests: Arc<Budget>,
    notes: Mutex<Notes>,
    streams: Arc<AtomicUsize>,
    draining: AtomicBool,
    /// It has been said that a proxy is not trusted.
    has_told_of_proxy: AtomicBool,
    pub(crate) modern: Modern,
    /// Whoever wants to know what clients send and how that ends.
    pub(crate) observer: Option<Arc<dyn Observer>>,
    /// Where metrics are shown, if they are.
    pub(crate) exposition: Option<Exposition>,
    /// What is logged, where that can be changed.
    pub(crate) log: Option<LogControl>,
    /// Metrics that are being read, by who reads them.
    pub(crate) texts: [Texts; 3],
    /// Connections that are open.
    pub(crate) connections: Arc<AtomicUsize>,
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
    /// How often that was tried since the start, and how often in vain.
    pub(crate) attempts: u64,
    pub(crate) failures: u64,
    /// When it succeeded last.
    pub(crate) good: Option<Instant>,
    /// Why it could not be.
    pub(crate) problem: Option<String>,
    /// The settings that were read last and hold from the next start only.
    pub(crate) pending: Vec<&'static str>,
}

/// Who is told of what clients do.
#[derive(Default)]
pub struct Told {
    pub observer: Option<Arc<dyn Observer>>,
    pub exposition: Option<Exposition>,
    pub log: Option<LogControl>,
}

/// One open stream; given back when dropped.
pub(crate) struct StreamPermit {
    open: Arc<AtomicUsize>,
    /// It has not ended before.
    _trail: Option<Arc<Trail>>,
}

impl Edge {
    /// `labels` are shown in `/status`.
    pub fn new(
        config: Config,
        labels: serde_json::Value,
        sessions: Arc<Sessions>,
        authenticator: Authenticator,
        operators: Operators,
        told: Told,
        background: Background,
    ) -> Arc<Self> {
        let doors = Doors::new(config.allowed_hosts.clone(), config.allowed_origins.clone());
        let proxies = TrustedProxies::new(config.trusted_proxies.clone());
        let requests = Budget::new(config.held_request_bytes);
        let modern = Modern::new(Arc::clone(sessions.vmcp()), background);
        Arc::new(Self {
            requests,
            config,
            sessions,
            authenticator,
            operators,
            proxies,
            started: Instant::now(),
            doors,
            notes: Mutex::new(Notes { labels, reload: None }),
            streams: Arc::default(),
            draining: AtomicBool::new(false),
            has_told_of_proxy: AtomicBool::new(false),
            modern,
            observer: told.observer,
            exposition: told.exposition,
            log: told.log,
            texts: Default::default(),
            connections: Arc::default(),
        })
    }

    /// Readiness ends, and every response ends its connection.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.modern.leave();
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
        let failures = before.as_ref().map_or(0, |before| before.failures);
        let (failures, good) = match &outcome {
            Ok(_) => (failures, Some(Instant::now())),
            Err(_) => (failures + 1, before.as_ref().and_then(|before| before.good)),
        };
        let (pending, problem) = match outcome {
            Ok(pending) => (pending, None),
            Err(problem) => {
                (before.map(|before| before.pending).unwrap_or_default(), Some(problem))
            }
        };
        notes.reload =
            Some(Reloaded { at: Instant::now(), attempts, failures, good, problem, pending });
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
        let mut response = pin!(self.routed(request, peer.ip(), listens)).await;
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
            Err(fault) => return self.turned_away(&request, peer, listens, &fault),
        };
        match path {
            "/health" | "/ping" => return status::health(),
            "/readyz" => return status::readiness(self),
            _ => {}
        }
        let metrics = self.shows_metrics(path, listens);
        let shows_states = self.shows_states(path, listens);
        let is_open = shows_states || metrics.is_some_and(|readers| readers != Readers::Operators);
        // Whoever reads metrics of many servers knows them by their addresses, which no other site's page can.
        let checked = match host {
            Some(host) if is_open && host.is_address() => Ok(()),
            host => self.doors.check_host(host),
        };
        let checked = checked.and_then(|()| unambiguous(&request));
        let origin = match checked.and_then(|()| self.doors.check_origin(request.headers())) {
            Ok(origin) => origin,
            Err(fault) => return self.turned_away(&request, peer, listens, &fault),
        };
        let serves_clients = listens.serves_clients();
        let serves_admin = matches!(listens, Listens::ClientsAndAdmin | Listens::Admin);
        let metadata_of = path.strip_prefix(METADATA_PATH).filter(|_| serves_clients);
        let metadata_of = metadata_of.map(|resource| self.canonical(resource));
        let is_endpoint = serves_clients && self.canonical(path) == self.config.endpoint;
        let is_preflight = *request.method() == Method::OPTIONS && origin.is_some();
        let is_for_operators = serves_admin && (is_for_operators(path) || metrics.is_some());
        let mut response = if is_preflight && (is_endpoint || metadata_of.is_some()) {
            preflight(request.headers(), "POST, GET, DELETE, OPTIONS")
        } else if is_preflight && is_for_operators {
            let methods = match path {
                EXPLAIN => "POST",
                LOG => "GET, HEAD, PUT, DELETE",
                _ => "GET, HEAD",
            };
            preflight(request.headers(), methods)
        } else if is_endpoint {
            pin!(self.mcp(request, peer, listens)).await
        } else if let Some(resource) = metadata_of {
            self.metadata(&request, peer, resource, listens)
        } else if shows_states {
            self.states(&request)
        } else if let Some(readers) = metrics.filter(|_| is_open) {
            match respond::reads(request.method()) {
                true => Box::pin(self.metrics(readers)).await,
                false => respond::only_reads(),
            }
        } else if is_for_operators {
            // Boxed, as calls need no room for it.
            Box::pin(self.serve_operator(request, peer)).await
        } else {
            self.no_such_route(listens)
        };
        if let Some(origin) = origin {
            allow_page(&mut response, origin);
        }
        response
    }

    /// Who may read metrics at this path, if they are there.
    fn shows_metrics(&self, path: &str, listens: Listens) -> Option<Readers> {
        let exposition = self.exposition.as_ref().filter(|_| path == METRICS)?;
        match listens {
            Listens::Metrics => Some(Readers::Monitors),
            Listens::Clients | Listens::ClientsAndAdmin if exposition.to_clients => {
                Some(Readers::All)
            }
            Listens::ClientsAndAdmin | Listens::Admin => Some(Readers::Operators),
            Listens::Clients => None,
        }
    }

    /// Where a caller gets a token (RFC 9728). Whoever needs to know has none yet.
    fn metadata<B>(
        &self,
        request: &Request<B>,
        peer: IpAddr,
        resource: &str,
        listens: Listens,
    ) -> Response<Body> {
        let asked = self.asked(request, peer);
        let resource = self.below_public_path(resource);
        match self.authenticator.metadata(resource, &self.config.endpoint, asked) {
            Some(text) if respond::reads(request.method()) => {
                let mut response = respond::json(text);
                // Another client may ask by another URL.
                let fresh = HeaderValue::from_static("no-store");
                response.headers_mut().insert(header::CACHE_CONTROL, fresh);
                response
            }
            Some(_) => respond::only_reads(),
            None if self.authenticator.goes_by_url()
                && self.proxies.is_strangers(peer, request.headers()) =>
            {
                let served = "nothing can be told of the endpoint, as a proxy has passed the request on that vmcp \
                              does not trust; set trustedProxies or publicUrl";
                respond::failed(None, &Fault::NoSuchRoute { served: served.to_owned() })
            }
            None => self.no_such_route(listens),
        }
    }

    /// The path of the endpoint, where it stands behind the path of the URL by which clients reach this server.
    fn below_public_path<'p>(&self, path: &'p str) -> &'p str {
        let url = self.config.public_url.as_deref().and_then(|url| url.split_once("://"));
        let public = url.and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
        let below = public.and_then(|public| path.strip_prefix(public));
        below.filter(|below| self.canonical(below) == self.config.endpoint).unwrap_or(path)
    }

    /// Finds the URL of the endpoint as the client has it. `None` where that cannot be told, or the client has
    /// it by a host that is not allowed.
    pub(crate) fn asked<B>(
        &self,
        request: &Request<B>,
        peer: IpAddr,
    ) -> impl Fn() -> Option<String> {
        move || self.url_of(&self.config.endpoint, request, peer)
    }

    /// The same for another path.
    pub(crate) fn url_of<B>(
        &self,
        path: &str,
        request: &Request<B>,
        peer: IpAddr,
    ) -> Option<String> {
        let host = host_of(request).ok().flatten()?;
        self.tell_of_proxy(peer, request.headers());
        let (scheme, host) = self.proxies.asked(peer, request.headers(), host)?;
        self.doors.check_host(Some(host)).ok()?;
        Some(format!("{scheme}://{}{path}", host.text))
    }

    /// Says once that clients cannot be told where to get a token, as they come through a proxy that is not trusted.
    fn tell_of_proxy(&self, peer: IpAddr, headers: &HeaderMap) {
        if self.proxies.is_strangers(peer, headers)
            && !self.has_told_of_proxy.swap(true, Ordering::Relaxed)
        {
            let peer = peer.to_canonical();
            tracing::warn!(
                "a proxy at {peer} passes requests on and is not one of trustedProxies, so its clients are not \
                 told where to get a token; set trustedProxies or publicUrl"
            );
        }
    }

    fn no_such_route(&self, listens: Listens) -> Response<Body> {
        let served = match listens {
            Listens::Admin => {
                format!("this listener serves {STATUS}, {BACKENDS}, /health, /ping and /readyz")
            }
            Listens::Metrics => {
                format!("this listener serves {METRICS}, /health, /ping and /readyz")
            }
            Listens::Clients | Listens::ClientsAndAdmin => {
                format!("the MCP endpoint is {}", self.config.endpoint)
            }
        };
        respond::failed(None, &Fault::NoSuchRoute { served })
    }

    /// The path without the slash that some clients add to that of the endpoint.
    pub(crate) fn canonical<'a>(&self, path: &'a str) -> &'a str {
        path.strip_suffix('/').filter(|path| *path == self.config.endpoint).unwrap_or(path)
    }

    /// Takes one of the streams that may be open. One that takes over from another needs no
    /// room of its own: the other ends.
    pub(crate) fn enter_stream(
        &self,
        takes_over: bool,
        trail: Option<Arc<Trail>>,
    ) -> Result<StreamPermit, Fault> {
        let permit = StreamPermit { open: Arc::clone(&self.streams), _trail: trail };
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
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Refuses a request whose headers two readers could take differently.
fn unambiguous<B>(request: &Request<B>) -> Result<(), Fault> {
    match headers::ambiguous(request.headers()) {
        Some(name) => Err(Fault::InvalidRequest(
            format!("the header {name} stands there twice, with different values").into(),
        )),
        None => Ok(()),
    }
}
