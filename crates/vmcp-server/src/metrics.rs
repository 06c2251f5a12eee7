//! What this process has to tell in numbers, and where whoever reads it finds that.

use std::sync::{Arc, Weak, atomic::Ordering};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use vmcp_backend::{Backend, Connections, Credentials, Phase, State};
use vmcp_session::{PeerConnection, PeerDirection, Reach, Traffic};
use vmcp_telemetry::{
    catalogue::{backends, server},
    exposition,
    family::Family,
    points::Families,
};
use vmcp_wire::Fault;

use crate::{body::Body, edge::Edge, respond};

/// Where metrics are read.
pub(crate) const METRICS: &str = "/metrics";

const TEXT: HeaderValue = HeaderValue::from_static(exposition::CONTENT_TYPE);

/// Texts that are held for those who read them, at most.
const TEXTS: usize = 4;

/// Those that are held.
pub(crate) type Texts = tokio::sync::Mutex<Vec<Weak<String>>>;

/// A text that is held until it has been read.
struct Text(Arc<String>);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Who reads metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// Whoever reaches the clients' listener.
    All,
    /// Whoever reaches a listener that is there for this.
    Monitors,
    Operators,
}

/// How metrics are shown.
pub struct Exposition {
    /// Whether those see them who reach the clients' listener.
    pub to_clients: bool,
    /// Writes all there is to tell, [`Edge::families`] among it, in Prometheus's text format.
    pub write: Box<dyn Fn() -> String + Send + Sync>,
}

impl Edge {
    /// All that is known here, as it is now.
    pub fn families(&self) -> Vec<Family> {
        let mut families = Families::default();
        self.add_own(&mut families);
        self.add_requests(&mut families);
        self.add_store(&mut families);
        let vmcp = self.sessions.vmcp();
        let all = vmcp.backends();
        for state in STATES {
            let count = all.iter().filter(|backend| backend.health().state == state).count();
            families.add(backends::BACKENDS.by(&[("vmcp.backend.state", state.name())], count));
        }
        for backend in all {
            add_backend(&mut families, &backend);
            let of = [("vmcp.backend", backend.id().as_str())];
            families.add(backends::KEPT_SESSIONS.by(&of, vmcp.kept_sessions(&backend)));
        }
        families.into_vec()
    }

    /// Answers who reads metrics. They are written beside the workers, as there may be very many, once at a time. A
    /// text is held until it has been read, so there are a few only: those whom anybody can ask for, and those of
    /// listeners that others do not reach, apart.
    pub(crate) async fn metrics(self: &Arc<Self>, readers: Readers) -> Response<Body> {
        let mut texts = self.texts[readers as usize].lock().await;
        texts.retain(|text| text.strong_count() > 0);
        if texts.len() >= TEXTS {
            let why = format!("{TEXTS} texts of metrics are being read already");
            return respond::failed(None, &Fault::Unavailable(why.into()));
        }
        let edge = Arc::clone(self);
        let write = move || Some((edge.exposition.as_ref()?.write)());
        let text = tokio::task::spawn_blocking(write).await.ok().flatten();
        let Some(text) = text else {
            return respond::failed(None, &Fault::Internal("metrics could not be written".into()));
        };
        let text = Arc::new(text);
        texts.push(Arc::downgrade(&text));
        let body = Body::whole(Bytes::from_owner(Text(text)));
        let mut response = respond::typed(StatusCode::OK, TEXT, body);
        let fresh = HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, fresh);
        response
    }

    fn add_own(&self, families: &mut Families) {
        let vmcp = self.sessions.vmcp();
        let views = vmcp.view_counts();
        let reload = self.notes().reload;
        let (attempts, failures) =
            reload.as_ref().map_or((0, 0), |reload| (reload.attempts, reload.failures));
        let is_current = reload.as_ref().is_none_or(|reload| reload.problem.is_none());
        let loaded = reload.and_then(|reload| reload.good).unwrap_or(self.started);
        families.extend([
            server::CONNECTIONS.number(self.connections.load(Ordering::Relaxed)),
            server::VIEWS.number(views.views),
            server::CATALOGS.number(views.catalogs),
            server::DROPPED.number(views.most_dropped),
            server::POLICY_FAILURES.number(vmcp.rights().failures().values().sum::<u64>()),
            server::RELOADS.number(attempts),
            server::RELOAD_FAILURES.number(failures),
            server::CONFIGURATION_CURRENT.number(is_current),
            server::CONFIGURATION_AGE.number(loaded.elapsed()),
            backends::DISCOVERED.number(vmcp.backends().len()),
        ]);
        for (name, budget) in
            [("request_bodies", &self.requests), ("unread_answers", vmcp.budget())]
        {
            let of = [("vmcp.budget", name)];
            families.add(server::HELD.by(&of, budget.used()));
            families.add(server::HELD_LIMIT.by(&of, budget.limit()));
        }
        for (method, count) in vmcp.rights().denied() {
            families.add(server::DENIED.by(&[("mcp.method.name", method.name())], count));
        }
    }

    /// What is under way for clients.
    fn add_requests(&self, families: &mut Families) {
        let (usage, streams) = (self.sessions.usage(), self.open_streams());
        let name = &self.sessions.server().name;
        let as_toolhive_has_it = [("server", name.as_str()), ("transport", "streamable-http")];
        for (resource, limit) in [
            ("connections", self.config.connections),
            ("sessions", self.sessions.limit()),
            ("streams", self.config.streams),
        ] {
            families.add(server::LIMIT.by(&[("vmcp.resource", resource)], limit));
        }
        families.extend([
            server::ACTIVE_CONNECTIONS.by(&as_toolhive_has_it, usage.calls + streams),
            server::STREAMS.number(streams),
            server::CALLS.number(usage.calls),
            server::SESSIONS.number(usage.sessions),
            server::CLIENT_PROFILES.number(usage.clients),
            server::TASKS.number(usage.tasks),
        ]);
    }

    /// What the store tells of itself. Where it is says which of these it can tell.
    fn add_store(&self, families: &mut Families) {
        families.add(server::STORE_REACHABLE.number(self.sessions.reach() == Reach::Good));
        if let Some(catalogs) = self.sessions.stored_catalogs() {
            families.add(server::STORE_CATALOGS.number(catalogs));
        }
        if let Some(Traffic { commands, failures, bus }) = self.sessions.store_traffic() {
            families.extend([
                server::STORE_COMMANDS.number(commands),
                server::STORE_FAILURES.number(failures),
                server::BUS_SENT.number(bus.sent),
                server::BUS_RECEIVED.number(bus.received),
                server::BUS_GAPS.number(bus.gaps),
                server::BUS_GENERATIONS.number(bus.generations),
            ]);
        }
        self.add_peers(families);
    }

    fn add_peers(&self, families: &mut Families) {
        let Some(traffic) = self.sessions.peer_traffic() else { return };
        let dialled = |one: &&PeerConnection| one.direction == PeerDirection::Dialled;
        let all = traffic.connections.len();
        let dialled = traffic.connections.iter().filter(dialled).count();
        for (direction, count) in [("dialled", dialled), ("taken", all - dialled)] {
            families.add(server::PEER_CONNECTIONS.by(&[("vmcp.peer.direction", direction)], count));
        }
        for (direction, count) in [("asked", traffic.asked), ("served", traffic.served)] {
            families.add(server::PEER_REQUESTS.by(&[("vmcp.peer.direction", direction)], count));
        }
        for (reason, count) in traffic.failed {
            families.add(server::PEER_FAILURES.by(&[("vmcp.reason", reason)], count));
        }
        for (reason, count) in traffic.refused {
            families.add(server::PEER_REFUSED.by(&[("vmcp.reason", reason)], count));
        }
    }
}

/// The states that a backend can be in.
const STATES: [State; 5] =
    [State::Healthy, State::Degraded, State::Unhealthy, State::Unauthenticated, State::Unknown];

fn add_backend(families: &mut Families, backend: &Backend) {
    let (health, stats) = (backend.health(), backend.stats());
    let name = ("vmcp.backend", backend.id().as_str());
    families.extend([
        backends::FAILING_CHECKS.by(&[name], health.consecutive_failures),
        backends::SESSIONS_OPENED.by(&[name], stats.sessions_opened),
        backends::REQUESTS.by(&[name], stats.requests),
        backends::FAILURES.by(&[name], stats.failures),
        backends::STRAY_PROGRESS.by(&[name], stats.stray_progress),
        backends::IN_FLIGHT.by(&[name], stats.in_flight),
        backends::STREAMS.by(&[name], stats.streams),
    ]);
    if let Some(Connections { used, idle }) = stats.connections {
        for (state, count) in [("used", used), ("idle", idle)] {
            families.add(backends::POOL.by(&[name, ("vmcp.connection.state", state)], count));
        }
    }
    if let Some(Credentials { at_hand, obtained, failures }) = backend.credentials() {
        families.extend([
            backends::CREDENTIALS.by(&[name], at_hand),
            backends::CREDENTIALS_OBTAINED.by(&[name], obtained),
            backends::CREDENTIALS_FAILURES.by(&[name], failures),
        ]);
    }
    if backend.has_links() {
        let transport = if backend.is_program() { "pipe" } else { "tcp" };
        let of = [name, ("network.transport", transport)];
        families.add(backends::LINKS.by(&of, stats.links));
    }
    for state in STATES {
        let of = [name, ("vmcp.backend.state", state.name())];
        families.add(backends::STATE.by(&of, state == health.state));
    }
    if let Some((now, _)) = health.breaker {
        for phase in [Phase::Closed, Phase::Open, Phase::HalfOpen] {
            let of = [name, ("vmcp.breaker.state", phase.name())];
            families.add(backends::BREAKER.by(&of, phase == now));
        }
    }
}

#[cfg(test)]
mod tests;
