//! The configuration file: read, checked, and ready to be taken apart.
//!
//! [`load`] tells everything that is wrong with a file at once, each with its line. A key either
//! takes effect or is refused. [`keys`] lists them all; each part of the file has a module that
//! reads it, by way of [`reader`]. Backends that are given without a file ([`Given`]) take the same
//! way.
//!
//! What a running server does with the result is decided by whoever takes it apart.

mod addresses;
mod admin;
mod aggregation;
mod audit;
mod authorization;
mod backends;
mod command;
#[cfg(feature = "kubernetes")]
mod discovered;
mod expand;
mod file;
mod fixed_headers;
mod foreign;
mod forwarded;
mod given;
mod incoming;
mod inherited;
mod json_schema;
mod keys;
mod mcp_json;
mod not_yet;
mod operational;
mod outgoing;
mod passthrough;
mod peer;
mod pod;
mod problem;
mod proxy;
mod reader;
mod reference;
mod schema;
mod secret;
mod sessions;
mod storage;
mod telemetry;
mod transports;
mod tree;
mod units;
mod url;
mod value;
mod write;

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use tracing::Level;
use vmcp_backend::Transport;
use vmcp_catalog::Rules;
use vmcp_policy::Policy;
use vmcp_server::TrustedNetwork;

use crate::{compose::ENDPOINT, suggest};

pub(crate) use audit::Audit;
#[cfg(feature = "kubernetes")]
pub(crate) use discovered::{load_discovered, reread_discovered};
pub(crate) use forwarded::is_manifest;
pub(crate) use given::Given;
pub(crate) use inherited::is_inherited;
pub(crate) use json_schema::json_schema;
pub(crate) use mcp_json::Broken;
pub(crate) use peer::Peer;
pub(crate) use pod::is_in_pod;
pub(crate) use problem::{Beside, Complaint, Place, Problem, Problems};
pub(crate) use proxy::proxy;
pub(crate) use reference::reference;
pub(crate) use sessions::{parse_session_ttl, parse_start_timeout};
#[cfg(feature = "kubernetes")]
pub(crate) use storage::own_secrets;
use telemetry::handed;
pub(crate) use telemetry::{Otlp, Prometheus, Sent, Telemetry};
pub(crate) use write::starter;

use pod::beside;
use problem::Report;
use reader::Reader;
use tree::{Content, Node};

/// What a command says of a configuration that leaves its backends to a cluster.
pub(crate) const NOT_LOOKED_UP: &str =
    "the running server finds its backends in the cluster; this command does not look there";

/// Everything that a file says, with the defaults for what it leaves out.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    pub(crate) name: String,
    pub(crate) group: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// At least one unless they are discovered, with different names, in the order of the file.
    pub(crate) backends: Vec<BackendSettings>,
    /// The backends are those of `group` that are found in the cluster.
    pub(crate) discovers: bool,
    pub(crate) rules: Rules,
    /// How callers prove who they are.
    pub(crate) incoming: vmcp_auth::Config,
    /// What they may do.
    pub(crate) authorization: Authorization,
    /// `None` leaves the choice to the command line.
    pub(crate) log_level: Option<Level>,
    pub(crate) reload: Reload,
    pub(crate) failures: FailureHandling,
    /// Where session records live: in this process if `None`.
    pub(crate) storage: Option<vmcp_store::Settings>,
    /// The channel to the other replicas, if there is to be one.
    pub(crate) peer: Option<Peer>,
    pub(crate) sessions: Sessions,
    /// How clients without sessions use backend sessions.
    pub(crate) bridge: vmcp_core::Bridge,
    pub(crate) limits: Limits,
    pub(crate) admin: Admin,
    /// Lower-case `host` or `host:port`. Empty where the file says nothing.
    pub(crate) allowed_hosts: Vec<String>,
    /// Lower-case `scheme://host[:port]`, as browsers send them: without a default port. Empty where
    /// the file says nothing.
    pub(crate) allowed_origins: Vec<String>,
    /// The URL by which clients reach this server, without the endpoint's path and a slash at the end.
    pub(crate) public_url: Option<String>,
    /// The proxies that are believed.
    pub(crate) trusted_proxies: Vec<TrustedNetwork>,
    pub(crate) telemetry: Option<Telemetry>,
    /// What is recorded of what callers do.
    pub(crate) audit: Option<Audit>,
    /// What is odd but can be used, each with its line.
    pub(crate) warnings: Vec<Complaint>,
    /// What was left aside, as this machine does not have it.
    pub(crate) notes: Vec<Complaint>,
}

/// What callers may do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Authorization {
    /// Everything if `None`.
    pub(crate) policy: Option<Arc<Policy>>,
    /// How clients with sessions are told that they may not.
    pub(crate) denial: vmcp_core::Denial,
}

/// What there is for operators.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Admin {
    /// The listener that is theirs alone.
    pub(crate) listen: Option<SocketAddr>,
    /// How they prove who they are.
    pub(crate) auth: vmcp_auth::OperatorAuth,
}

/// One backend.
#[derive(Debug, Clone)]
pub(crate) struct BackendSettings {
    pub(crate) config: vmcp_backend::Config,
    pub(crate) metadata: BTreeMap<String, String>,
    /// It has a URL, and it is to be found out how it is spoken to there.
    pub(crate) is_undecided: bool,
    /// What to complain about if its program may not be run: without a text.
    pub(crate) command: Option<Complaint>,
}

/// How client sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sessions {
    /// How long a session lives that nobody uses.
    pub(crate) ttl: Duration,
    /// How long `initialize` and lists wait for slow backends.
    pub(crate) initialize_wait: Duration,
    pub(crate) backend_init: BackendInit,
    /// Backends that are initialized at once.
    pub(crate) max_backend_init_concurrency: usize,
    /// How often an idle stream shows that it is alive.
    pub(crate) keep_alive: Duration,
    /// Bytes of a stream that are kept for clients that resume it.
    pub(crate) event_log_bytes: usize,
    /// How long calls may go on when the server stops.
    pub(crate) drain_timeout: Duration,
    /// How old an offer may be before it is asked for again.
    pub(crate) offer_max_age: Duration,
}

/// When the backend sessions of a client session are opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BackendInit {
    /// On first use, where the catalog is known already.
    Lazy,
    /// At initialize.
    Eager,
}

/// How a running server takes up changes of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reload {
    /// Whether it looks for changes itself.
    pub(crate) watch_file: bool,
    /// Whether they may be about what is run.
    pub(crate) allow_commands: bool,
}

/// When a backend counts as failed, and what happens then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FailureHandling {
    pub(crate) health: vmcp_backend::HealthSettings,
    /// How often the health of all backends is logged.
    pub(crate) reporting_interval: Duration,
    /// What happens while some of them cannot be used.
    pub(crate) partial: vmcp_core::PartialFailure,
}

/// How much of everything there may be. What bounds a single backend is in its own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Of one event of a stream.
    pub(crate) event_bytes: usize,
    pub(crate) request_bytes: usize,
    pub(crate) held_request_bytes: usize,
    pub(crate) held_bytes: usize,
    pub(crate) connections: usize,
    pub(crate) sessions: usize,
    /// Sessions of one address, or of one principal.
    pub(crate) sessions_per_client: usize,
    pub(crate) calls_per_session: usize,
    /// Streams open to clients.
    pub(crate) streams: usize,
    pub(crate) views: usize,
    pub(crate) caller_views: usize,
}

/// Reads a file, and what it refers to. Variables come from `environment`.
pub(crate) fn load(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Configuration, Problems> {
    load_noting(path, environment, &|_path| {})
}

/// The same, and notes each file that it refers to before that is read, whether the configuration
/// can be used or not.
pub(crate) fn load_noting(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    note: &dyn Fn(&Path),
) -> Result<Configuration, Problems> {
    let name = path.display().to_string();
    let text = file::read_text(path)
        .map_err(|problem| Problems::new(&name, vec![Problem::of_file(problem)]))?;
    let read = parse_noting(&text, &name, environment, note);
    completed(path, read, environment)
}

/// Completes what a file says by what stands beside it and in the environment.
fn completed(
    path: &Path,
    read: Result<Configuration, Problems>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Configuration, Problems> {
    let name = path.display().to_string();
    let mut configuration = beside(path, read)?;
    // Those of discovered backends are read from their objects.
    if !configuration.discovers {
        let backends = configuration.backends.iter().map(|backend| &backend.config.id);
        let unclaimed = forwarded::unclaimed(variables(), backends, environment);
        configuration.warnings.extend(unclaimed.into_iter().map(|problem| problem.of(&name)));
    }
    let otlp = configuration.telemetry.as_mut().and_then(|telemetry| telemetry.otlp.as_mut());
    let authorities = is_in_pod(environment).then_some(Path::new(handed::AUTHORITIES));
    let wrong = otlp.map(|otlp| handed::take(otlp, variables(), environment, authorities));
    match wrong.filter(|wrong| !wrong.is_empty()) {
        Some(wrong) => Err(Problems::new(&name, wrong).with_warnings(configuration.warnings)),
        None => Ok(configuration),
    }
}

/// Reads a file on a machine that has not all of what it names: variables and files that are not there
/// are no problem, and backends that need them are left out.
pub(crate) fn load_without_secrets(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Configuration, Problems> {
    let name = path.display().to_string();
    let text = file::read_text(path)
        .map_err(|problem| Problems::new(&name, vec![Problem::of_file(problem)]))?;
    let report = |duplicates| Report::new(environment, duplicates).without_secrets();
    beside(path, parse_with(&text, &name, report))
}

/// Reads the text of a file. `file_name` is what messages call it.
pub(crate) fn parse(
    text: &str,
    file_name: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Configuration, Problems> {
    parse_noting(text, file_name, environment, &|_path| {})
}

fn parse_noting(
    text: &str,
    file_name: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    note: &dyn Fn(&Path),
) -> Result<Configuration, Problems> {
    parse_with(text, file_name, |duplicates| {
        Report::new(environment, duplicates).letting_backends_lack().noting(note)
    })
}

fn parse_with<'a>(
    text: &str,
    file_name: &str,
    report: impl FnOnce(Vec<Problem>) -> Report<'a>,
) -> Result<Configuration, Problems> {
    let (root, duplicates) = tree_of(text, file_name)?;
    parse_tree(&root, file_name, report(duplicates))
}

/// What stands in a file, and the keys that stand there twice.
fn tree_of(text: &str, file_name: &str) -> Result<(Node, Vec<Problem>), Problems> {
    let (root, duplicates) = tree::parse(text).map_err(|problem| {
        let problem = foreign::recognized_text(text).unwrap_or(problem);
        Problems::new(file_name, vec![problem])
    })?;
    if let Some(problem) = foreign::recognized(&root) {
        return Err(Problems::new(file_name, vec![problem]));
    }
    if matches!(root.content, Content::Null) {
        let text = "is empty; at least name, backends, incomingAuth and aggregation are needed";
        return Err(Problems::new(file_name, vec![Problem::of_file(text)]));
    }
    Ok((root, duplicates))
}

fn parse_tree(root: &Node, file_name: &str, report: Report<'_>) -> Result<Configuration, Problems> {
    let configuration = {
        let reader = Reader::root(root, keys::ROOT, &report);
        read(&reader)
    };
    let Beside { warnings, notes } = report.finish(file_name)?;
    let mut configuration = Configuration { warnings, notes, ..configuration };
    for command in configuration.backends.iter_mut().filter_map(|one| one.command.as_mut()) {
        file_name.clone_into(&mut command.file);
    }
    Ok(configuration)
}

impl Configuration {
    /// Adds the backends of another one, and what it says about them.
    fn extend(&mut self, more: Self) {
        self.backends.extend(more.backends);
        self.rules.order.extend(more.rules.order);
        self.rules.tools.extend(more.rules.tools);
    }

    /// Decides how long programs may take to start and to initialize.
    pub(crate) fn set_start_timeout(&mut self, timeout: Duration) {
        let backends = self.backends.iter_mut().map(|backend| &mut backend.config);
        for config in backends.filter(|config| matches!(config.transport, Transport::Stdio(_))) {
            config.timeouts.initialize = timeout;
        }
    }
}

/// How long a program may take to start and to initialize, unless configuration says otherwise: what is
/// merely slow is not ended, as it would be as slow the next time. Some fetch themselves first.
const START: Duration = Duration::from_secs(120);

/// Reads all parts. What cannot be read is reported, and stands in the result as its default.
fn read(root: &Reader<'_>) -> Configuration {
    let (drafts, names) = backends::read(root);
    let operational = operational::read(&root.section("operational"), &names, root.has("groupRef"));
    let sessions = root.section("sessions");
    let limits = root.section("limits");
    let incoming_auth = root.section("incomingAuth");
    let (allowed_hosts, public_url) = (addresses::hosts(root), addresses::public_url(root));
    let is_reached = addresses::are_reached(&allowed_hosts, public_url.as_deref());
    let incoming = incoming::read(&incoming_auth, root, public_url.as_deref());
    // What is wrong with the issuer has been told.
    let has_issuer = matches!(incoming, vmcp_auth::Config::Oidc(_))
        || incoming_auth.has("oidc")
        || incoming_auth.has("issuers");
    let outgoing = outgoing::read(&root.section("outgoingAuth"), &names, has_issuer);
    let common = backends::Common {
        initialize: sessions.time("backendInitTimeout"),
        start: match sessions.value("backendInitTimeout") {
            Some(_) => sessions.time("backendInitTimeout"),
            None => START,
        },
        limits: sessions::backend_limits(&limits),
        timeouts: operational.timeouts,
        passthrough: passthrough::read(root, &outgoing),
        outgoing,
    };
    let name = root.text("name").unwrap_or_default();
    let backends: Vec<_> = names.ids().collect();
    let backends: Vec<_> = backends.iter().map(|id| id.as_str()).collect();
    let audit = audit::read(&root.section("audit"), ENDPOINT);
    let sends_audit = audit.as_ref().is_some_and(|audit| audit.sends);
    let telemetry = telemetry::read(&root.section("telemetry"), &name, sends_audit);
    let storage = storage::read(&root.section("sessionStorage"));
    let peer = peer::read(&root.section("peer"), storage.is_some(), root.variable(peer::IN_POD));
    let authorization = authorization::read(&incoming_auth.section("authz"), &name, &backends);
    Configuration {
        name,
        group: root.text("groupRef"),
        metadata: backends::labels(root),
        backends: drafts.into_iter().filter_map(|draft| draft.finish(&common)).collect(),
        discovers: backends::are_discovered(root),
        rules: aggregation::read(&root.section("aggregation"), &names),
        incoming,
        authorization,
        log_level: operational.log_level,
        reload: operational.reload,
        failures: operational.failures,
        storage,
        peer,
        sessions: sessions::read(&sessions),
        bridge: sessions::bridge(&root.section("bridge"), &limits),
        limits: sessions::limits(&limits, &common.limits),
        admin: admin::read(&root.section("admin"), has_issuer, is_reached),
        allowed_hosts,
        allowed_origins: addresses::origins(root),
        public_url,
        trusted_proxies: addresses::trusted_proxies(root),
        telemetry,
        audit,
        warnings: Vec::new(),
        notes: Vec::new(),
    }
}

/// The process's environment.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The names of its variables.
fn variables() -> impl Iterator<Item = String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())
}

#[cfg(test)]
mod tests;
