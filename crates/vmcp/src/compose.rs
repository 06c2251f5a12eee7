//! Puts the parts together: a configuration is taken apart, and each part gets its own.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio_util::task::TaskTracker;
use vmcp_auth::Operators;
use vmcp_backend::{Backend, ClientView};
use vmcp_core::{Background, Keys, Replaced, View, Vmcp};
use vmcp_server::{Awaited, Edge, Serving};
use vmcp_session::{ServerInfo, Sessions};
use vmcp_store::{Memory, Redis, Store};

use crate::{
    config::{self, Authorization, BackendSettings, Configuration},
    known::Known,
    logging::Threshold,
    summary::Reporter,
    undecided,
};

mod edge;
mod ending;
mod observers;
mod peers;
mod process;

pub(crate) use edge::{AdminListen, MetricsListen};
pub(crate) use ending::end;
use observers::Observers;
pub(crate) use peers::PeerListen;

/// The path of the MCP endpoint.
pub(crate) const ENDPOINT: &str = "/mcp";

/// Subscriptions of one session.
const SUBSCRIPTIONS: usize = 1000;

/// A running server.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    /// Where operators have a listener of their own.
    pub(crate) admin_address: Option<SocketAddr>,
    edge: Arc<Edge>,
    sessions: Arc<Sessions>,
    serving: Serving,
    /// The store of its sessions, if other replicas may serve these too.
    shared: Option<Arc<dyn Store>>,
    background: Background,
    /// Counts the tasks of the backends' connections.
    pub(crate) connections: TaskTracker,
    reporter: Reporter,
    /// What a client without capabilities sees; keeps `/status` and the log informed of backends
    /// that nobody has used yet.
    pub(crate) view: Arc<View>,
    /// Backends that could not be asked how they are spoken to.
    pub(crate) undecided: Vec<BackendSettings>,
    /// The token of operators that was made for this start.
    pub(crate) admin_token: Option<String>,
    observers: Observers,
    /// That the backends are found, where they are looked for.
    found: Option<Awaited>,
}

/// Starts everything that a configuration asks for. Must be called on the control runtime. What is
/// `known` of the backends is shown until they have been asked, and kept true.
pub(crate) async fn start(
    configuration: Configuration,
    listen: SocketAddr,
    known: Option<Known>,
    threshold: Option<&Threshold>,
) -> anyhow::Result<Running> {
    let labels = labels(&configuration);
    let Configuration {
        name,
        group: _,
        metadata: _,
        backends: mut settings,
        discovers,
        rules,
        incoming,
        authorization: Authorization { policy, denial },
        log_level: _,
        reload: _,
        failures,
        storage,
        peer,
        sessions,
        bridge,
        limits,
        admin,
        allowed_hosts,
        allowed_origins,
        public_url,
        trusted_proxies,
        telemetry,
        audit,
        warnings: _,
        notes: _,
    } = configuration;
    raise_descriptor_limit();
    undecided::decide(&mut settings).await;
    let undecided = undecided::left(&settings);
    let background = Background::new(tokio::runtime::Handle::current());
    // The connections end with the process: nobody waits for them.
    let connections = TaskTracker::new();
    let made = backends(settings.iter().map(|backend| &backend.config), &connections)?;
    let channel = peers::open(peer.as_ref(), storage.as_ref(), &limits)?;
    let (store, shared) = store(storage, &background);
    let server = ServerInfo { name: name.clone(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let keys = keys(Arc::clone(&store));
    let core = core_config(rules, &server, keys, &sessions, bridge, &limits);
    let offered = known.as_ref().map(Known::offered).unwrap_or_default();
    let core = vmcp_core::Config { known: offered, policy, denial, ..core };
    let vmcp = Vmcp::new(made, core, background.clone());
    handle_failures(&vmcp, &failures);
    let reporter = Reporter::start(Arc::clone(&vmcp), failures.reporting_interval, &background);
    let session_config = session_config(server, &sessions, &limits);
    let sessions_running =
        Sessions::start(Arc::clone(&vmcp), Arc::clone(&store), session_config, background.clone());
    peers::start(channel, &sessions_running, store, &background)?;
    let authenticator = edge::authenticator(&incoming, public_url.as_deref(), &background)
        .context("incomingAuth")?;
    let operators = Operators::new(&admin.auth).context("admin.auth")?;
    let admin_token = operators.made_token().map(str::to_owned);
    let observers = Observers::start(&name, telemetry.as_ref(), audit, &background)?;
    let found =
        discovers.then(|| Awaited::new("the backends have not been looked up in the cluster yet"));
    let edge = Edge::new(
        edge::config(
            &allowed_hosts,
            &allowed_origins,
            (public_url, trusted_proxies),
            &limits,
            sessions.keep_alive,
            found.clone(),
        )?,
        labels,
        Arc::clone(&sessions_running),
        authenticator,
        operators,
        observers.told(telemetry.as_ref(), threshold),
        background.clone(),
    );
    observers.ask(&edge);
    let listeners = edge::listeners(listen, admin.listen, telemetry.as_ref())?;
    edge::warn(listen, &incoming, &admin, telemetry.as_ref());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let serving = vmcp_server::serve(listeners.all, &edge, workers, &background)
        .context("the workers could not be started")?;
    let view = vmcp.view(&ClientView::nobody()).map_err(anyhow::Error::from)?;
    report(Arc::clone(&view), sessions.initialize_wait, &background);
    if let Some(known) = known {
        known.keep(&vmcp, Arc::clone(&view), &background);
    }
    Ok(Running {
        address: listeners.address,
        admin_address: listeners.admin,
        edge,
        sessions: sessions_running,
        serving,
        shared,
        background,
        connections,
        reporter,
        view,
        undecided,
        admin_token,
        observers,
        found,
    })
}

impl Running {
    /// The backends in use.
    pub(crate) fn vmcp(&self) -> &Arc<Vmcp> {
        self.sessions.vmcp()
    }

    /// Puts other backends in the place of the present ones, and what `configuration` says about
    /// everything else that can change. No session ends.
    pub(crate) fn replace(
        &self,
        backends: Vec<Arc<Backend>>,
        configuration: &Configuration,
    ) -> Replaced {
        let replaced = self.vmcp().replace(backends, configuration.rules.clone());
        let Authorization { policy, denial } = configuration.authorization.clone();
        self.vmcp().rights().replace(policy, denial);
        handle_failures(self.vmcp(), &configuration.failures);
        self.reporter.set_interval(configuration.failures.reporting_interval);
        self.sessions.retire(replaced.retired.clone());
        self.edge.set_labels(labels(configuration));
        replaced
    }

    /// Notes that the backends were found that are looked for.
    pub(crate) fn have_found(&self) {
        self.found.iter().for_each(Awaited::has_come);
    }

    /// The store of its sessions, if other replicas use it too.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn shared_store(&self) -> Option<Arc<dyn Store>> {
        self.shared.clone()
    }

    /// Whether it is known which backends there are.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn knows_backends(&self) -> bool {
        self.found.as_ref().is_none_or(Awaited::is_there)
    }

    /// Has the audit log write to the file of its name, where the old one was renamed.
    pub(crate) fn reopen_audit_log(&self) {
        self.observers.reopen();
    }

    /// Lets `/status` show how the last reload went.
    pub(crate) fn note_reload(&self, outcome: Result<Vec<&'static str>, String>) {
        self.edge.note_reload(outcome);
    }
}

/// Where session records live, and the same if other replicas use it too.
fn store(
    storage: Option<vmcp_store::Settings>,
    background: &Background,
) -> (Arc<dyn Store>, Option<Arc<dyn Store>>) {
    let Some(settings) = storage else { return (Arc::new(Memory::new()), None) };
    let redis = Redis::start(settings, background.tasks(), background.stop());
    let redis: Arc<dyn Store> = Arc::new(redis);
    (Arc::clone(&redis), Some(redis))
}

/// The secrets that replicas share.
fn keys(store: Arc<dyn Store>) -> Keys {
    Keys::new(move || store.keys().ok())
}

/// The core alone, for whoever wants to know what backends offer and serves nobody.
pub(crate) fn core(
    configuration: Configuration,
    background: &Background,
) -> anyhow::Result<Arc<Vmcp>> {
    let Configuration { backends: settings, rules, sessions, bridge, limits, .. } = configuration;
    let made = backends(settings.iter().map(|backend| &backend.config), &TaskTracker::new())?;
    // Nobody is served, so nothing is kept for anybody.
    let nobody = ServerInfo { name: String::new(), version: String::new() };
    let core = core_config(rules, &nobody, Keys::new(|| None), &sessions, bridge, &limits);
    Ok(Vmcp::new(made, core, background.clone()))
}

/// Makes the backends ready. Nothing is sent yet.
pub(crate) fn backends<'a>(
    settings: impl Iterator<Item = &'a vmcp_backend::Config>,
    tasks: &TaskTracker,
) -> anyhow::Result<Vec<Arc<Backend>>> {
    settings
        .map(|config| {
            Backend::new(config, tasks.clone()).with_context(|| format!("backend {}", config.id))
        })
        .collect()
}

/// What the configuration says about things that only people read, for `/status`.
fn labels(configuration: &Configuration) -> serde_json::Value {
    let Configuration { group, metadata, backends, .. } = configuration;
    let backends: serde_json::Map<_, _> = backends
        .iter()
        .map(|backend| (backend.config.id.to_string(), serde_json::json!(backend.metadata)))
        .collect();
    serde_json::json!({"group": group, "labels": metadata, "backends": backends})
}

/// Decides when a backend counts as failed, and what happens then.
fn handle_failures(vmcp: &Vmcp, failures: &config::FailureHandling) {
    for backend in vmcp.backends() {
        backend.set_health(failures.health);
    }
    vmcp.set_partial_failure(failures.partial);
}

fn core_config(
    rules: vmcp_catalog::Rules,
    server: &ServerInfo,
    keys: Keys,
    sessions: &config::Sessions,
    bridge: vmcp_core::Bridge,
    limits: &config::Limits,
) -> vmcp_core::Config {
    vmcp_core::Config {
        rules,
        server_info: server.to_json(),
        keys,
        state_life: sessions.ttl,
        max_backend_init_concurrency: sessions.max_backend_init_concurrency,
        views: limits.views,
        caller_views: limits.caller_views,
        view_idle: sessions.ttl,
        initialize_wait: sessions.initialize_wait,
        offer_max_age: sessions.offer_max_age,
        known: vmcp_core::Known::default(),
        bridge,
        held_bytes: limits.held_bytes,
        policy: None,
        denial: vmcp_core::Denial::default(),
    }
}

fn session_config(
    server: ServerInfo,
    sessions: &config::Sessions,
    limits: &config::Limits,
) -> vmcp_session::Config {
    vmcp_session::Config {
        ttl: sessions.ttl,
        initialize_wait: sessions.initialize_wait,
        offer_max_age: sessions.offer_max_age,
        eager: sessions.backend_init == config::BackendInit::Eager,
        max_backend_init_concurrency: sessions.max_backend_init_concurrency,
        drain: sessions.drain_timeout,
        server,
        limits: vmcp_session::Limits {
            sessions: limits.sessions,
            sessions_per_client: limits.sessions_per_client,
            calls_per_session: limits.calls_per_session,
            subscriptions: SUBSCRIPTIONS,
            log_bytes: sessions.event_log_bytes,
            event_bytes: limits.event_bytes,
        },
    }
}

/// Says in the log what the backends offer, once that is known of all, and until then now and then of which
/// it is not.
fn report(view: Arc<View>, first: Duration, background: &Background) {
    background.spawn_until_stop(async move {
        let mut patience = first.max(Duration::from_secs(1));
        let settled = loop {
            let settled = view.settle(patience).await;
            let starting = starting(&view);
            if starting.is_empty() {
                break settled;
            }
            tracing::info!(
                backends = starting.join(", "),
                seconds = patience.as_secs(),
                "still starting"
            );
            patience *= 2;
        };
        let count = |kind| settled.catalog.len(kind);
        let missing: Vec<_> = settled.missing.iter().map(ToString::to_string).collect();
        tracing::info!(
            tools = count(vmcp_model::Kind::Tool),
            resources = count(vmcp_model::Kind::Resource),
            templates = count(vmcp_model::Kind::ResourceTemplate),
            prompts = count(vmcp_model::Kind::Prompt),
            missing = missing.join(", "),
            "the catalog is ready"
        );
    });
}

/// Of whom nothing is known yet that could be shown.
pub(crate) fn starting(view: &View) -> Vec<String> {
    let backends = view.backends();
    let starting = backends.iter().filter(|(_, state)| state.is_unknown());
    starting.map(|(id, _)| id.to_string()).collect()
}

/// Every connection is a descriptor, and what a process may have by default is few.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}
