//! Probes, and what there is to know about this process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use vmcp_backend::{Backend, LatencySnapshot, UsesSnapshot};
use vmcp_core::{BackendState, Rights};
use vmcp_model::{Kind, Method};
use vmcp_session::{PeerConnection, PeerDirection, PeerState, Reach};
use vmcp_wire::headers;

use crate::{
    body::Body,
    edge::{Edge, Notes, Reloaded},
    respond,
};

mod dropped;
mod monitor;

use dropped::LeftOut;

/// Whether the process answers at all.
pub(crate) fn health() -> Response<Body> {
    answer(StatusCode::OK, &json!({"status": "ok"}))
}

/// Something without which no sessions should be sent here, and that comes once.
#[derive(Debug, Clone)]
pub struct Awaited {
    /// What whoever asks is told.
    reason: &'static str,
    is_there: Arc<AtomicBool>,
}

impl Awaited {
    /// What is not there yet. The reason says so: "the backends have not been found yet".
    pub fn new(reason: &'static str) -> Self {
        Self { reason, is_there: Arc::default() }
    }

    /// Whether it has come.
    pub fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Acquire)
    }

    /// Notes that it has come.
    pub fn has_come(&self) {
        self.is_there.store(true, Ordering::Release);
    }
}

/// Whether new sessions should be sent here.
pub(crate) fn readiness(edge: &Edge) -> Response<Body> {
    let not_ready = |reason: &str| {
        let body = json!({"status": "not_ready", "reason": reason});
        answer(StatusCode::SERVICE_UNAVAILABLE, &body)
    };
    if edge.is_draining() {
        return not_ready("shutting down");
    }
    let reach = edge.sessions.reach();
    if reach == Reach::Never {
        return not_ready("the session store has not been reached yet");
    }
    let awaited = edge.config.awaited.as_ref();
    if let Some(awaited) = awaited.filter(|one| !one.is_there()) {
        return not_ready(awaited.reason);
    }
    answer(StatusCode::OK, &json!({"status": "ready", "store": store(reach)}))
}

/// How the session store is: what lives here goes on while it is degraded.
fn store(reach: Reach) -> &'static str {
    match reach {
        Reach::Good => "ok",
        Reach::Lost => "degraded",
        Reach::Never => "not reached yet",
    }
}

/// The channel between replicas.
fn peers(edge: &Edge) -> Value {
    let Some((address, connections)) = edge.sessions.peers() else { return Value::Null };
    let connection = |one: &PeerConnection| {
        json!({
            "replica": one.name,
            "address": one.address.to_string(),
            "direction": match one.direction {
                PeerDirection::Dialled => "dialled",
                PeerDirection::Taken => "taken",
            },
            "state": match one.state {
                PeerState::Dialling => "dialling",
                PeerState::Open => "open",
                PeerState::Closing => "closing",
            },
            "streams": one.streams,
            "since_seconds": one.age.as_secs(),
        })
    };
    json!({
        "replica": edge.sessions.replica(),
        "address": address,
        "connections": connections.iter().map(connection).collect::<Vec<_>>(),
    })
}

/// What there is, for people and their tools.
pub(crate) async fn status(edge: &Edge) -> Response<Body> {
    let usage = edge.sessions.usage();
    let server = edge.sessions.server();
    let vmcp = edge.sessions.vmcp();
    let views = vmcp.views();
    let states = vmcp.backend_states();
    let mut dropped = LeftOut::default();
    for view in &views {
        dropped.add(view.dropped());
    }
    let backends: Vec<Value> = vmcp
        .backends()
        .iter()
        .map(|backend| {
            let state = states.get(backend.id());
            let (kept, dropped) = (vmcp.kept_sessions(backend), dropped.of(backend.id()));
            backend_status(backend, state, kept, dropped)
        })
        .collect();
    let Notes { labels, reload } = edge.notes();
    let reload = reload.map(|Reloaded { at, attempts, problem, pending, .. }| {
        json!({
            "seconds_ago": at.elapsed().as_secs(),
            "attempts": attempts,
            "succeeded": problem.is_none(),
            "problem": problem,
            "pending": pending,
        })
    });
    let body = json!({
        "name": server.name,
        "version": server.version,
        "public_url": edge.config.public_url,
        "metadata": labels,
        "reload": reload,
        "uptime_seconds": edge.started.elapsed().as_secs(),
        "draining": edge.is_draining(),
        "store": store(edge.sessions.reach()),
        "sessions": usage.sessions,
        "calls_in_flight": usage.calls,
        "get_streams": edge.open_streams(),
        "views": views.len(),
        "client_profiles": usage.clients,
        "tasks": usage.tasks,
        "records": edge.sessions.records().await.ok(),
        "peers": peers(edge),
        "backends": backends,
        "own_tools": own_tools(edge),
        "authorization": authorization(vmcp.rights()),
        "dropped": dropped.named(),
        "dropped_total": dropped.total(),
    });
    answer(StatusCode::OK, &body)
}

/// Which backends there are and how they are, as the reference system tells it to anybody.
pub(crate) fn states(edge: &Edge) -> Response<Body> {
    let backends = edge.sessions.vmcp().backends();
    let group = edge.notes().labels["group"].clone();
    let version = &edge.sessions.server().version;
    let backends = backends.iter().map(AsRef::as_ref);
    answer(StatusCode::OK, &monitor::states(backends, version, &group))
}

/// The health of all backends, for monitors of the reference system.
pub(crate) fn backends(edge: &Edge) -> Response<Body> {
    let backends = edge.sessions.vmcp().backends();
    answer(StatusCode::OK, &monitor::report(backends.iter().map(AsRef::as_ref)))
}

fn backend_status(
    backend: &Backend,
    state: Option<&BackendState>,
    kept: usize,
    dropped: usize,
) -> Value {
    let (health, stats) = (backend.health(), backend.stats());
    let offer_problem = state.and_then(|state| state.problem(backend.is_program()));
    let offer = state.and_then(|state| state.offer.as_ref()).map(|offer| {
        json!({
            "tools": offer.items(Kind::Tool).len(),
            "resources": offer.items(Kind::Resource).len(),
            "resource_templates": offer.items(Kind::ResourceTemplate).len(),
            "prompts": offer.items(Kind::Prompt).len(),
        })
    });
    let (last_error, last_error_age) = health.last_error.clone().unzip();
    let breaker = health
        .breaker
        .map(|(phase, age)| json!({"state": phase.name(), "since_seconds": age.as_secs()}));
    let methods = stats.uses.iter().map(|uses| (uses.method.name().to_owned(), counted(uses)));
    let methods: Map<_, _> = methods.collect();
    json!({
        "name": backend.id().as_str(),
        "state": health.state.name(),
        "since_seconds": health.state_age.as_secs(),
        "consecutive_failures": health.consecutive_failures,
        "last_error": last_error,
        "last_error_seconds_ago": last_error_age.map(|age| age.as_secs()),
        "breaker": breaker,
        "era": backend.speaks(),
        "offers": offer,
        "offer_problem": offer_problem,
        "dropped": dropped,
        "kept_sessions": kept,
        "sessions_opened": stats.sessions_opened,
        "requests": stats.requests,
        "failures": stats.failures,
        "remarks": backend.remarks(),
        "stray_progress": stats.stray_progress,
        "in_flight": stats.in_flight,
        "streams": stats.streams,
        "links": stats.links,
        "latency": stats.latency.map(latency),
        "methods": methods,
    })
}

/// How policies have decided; `null` without any.
fn authorization(rights: &Rights) -> Value {
    if !rights.are_limited() {
        return Value::Null;
    }
    let denied = rights.denied().into_iter();
    let denied: Map<_, _> =
        denied.map(|(method, count)| (method.name().to_owned(), count.into())).collect();
    json!({"denied": denied, "failures": rights.failures()})
}

/// How vmcp's own tools are used that clients can call.
fn own_tools(edge: &Edge) -> Map<String, Value> {
    let vmcp = edge.sessions.vmcp();
    let used = vmcp.own_tools().into_iter().map(|item| {
        let uses = vmcp.own_uses(item.tool()).of(Method::ToolsCall);
        (item.name().to_owned(), counted(&uses))
    });
    used.collect()
}

fn counted(uses: &UsesSnapshot) -> Value {
    json!({
        "calls": uses.calls,
        "errors": uses.errors,
        "abandoned": uses.abandoned,
        "latency": uses.latency.map(latency),
    })
}

fn latency(latency: LatencySnapshot) -> Value {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
    json!({
        "calls": latency.calls,
        "p50_ms": milliseconds(latency.p50),
        "p99_ms": milliseconds(latency.p99),
    })
}

fn answer(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = respond::typed(status, headers::JSON, Body::whole(format!("{body}\n")));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
