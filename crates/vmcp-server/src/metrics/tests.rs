//! Every metric of the server and its backends is told, and with the attributes that it is said to have.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio_util::task::TaskTracker;
use vmcp_auth::{Authenticator, OperatorAuth, Operators};
use vmcp_backend::{
    BreakerSettings, Config as Of, Endpoint, HealthSettings, Isolation, Limits as BackendLimits,
    Program, Timeouts, Transport,
};
use vmcp_core::{Background, Bridge, Denial, Keys, Known, Vmcp};
use vmcp_credentials::{Client, Config as Outgoing, Grant, TokenEndpoint, Wanted};
use vmcp_model::{BackendId, Identity, Method, Principal};
use vmcp_session::{Config as SessionConfig, Holder, Limits, ServerInfo, Sessions};
use vmcp_store::{Address, Memory, Redis, Servers, Settings, Store, Validation};
use vmcp_telemetry::family::{Metric, Value};

use super::*;
use crate::edge::{Config, Told};

const SECOND: Duration = Duration::from_secs(1);

/// Told by those who put the server together.
const ELSEWHERE: [&Metric; 4] =
    [&server::AUDIT_WRITTEN, &server::AUDIT_DROPPED, &server::OTLP_EXPORTED, &server::OTLP_DROPPED];

/// Over this store, in front of a backend of each kind, none of which is there.
fn edge(store: Arc<dyn Store>, background: &Background) -> Arc<Edge> {
    let token = Grant::ClientCredentials {
        endpoint: TokenEndpoint {
            url: "http://127.0.0.1:1/token".parse().unwrap(),
            client: Client::default(),
            ca_bundle: None,
        },
        wanted: Wanted::default(),
    };
    let url = || "http://127.0.0.1:1/mcp".parse().unwrap();
    let plain = || Endpoint::plain(url());
    let transports = [
        Transport::Http(Endpoint { outgoing: Outgoing::Token(token.into()), ..plain() }),
        Transport::Sse(plain()),
        Transport::Stdio(Program {
            command: "/nowhere".to_owned(),
            args: Vec::new(),
            secrets: Vec::new(),
            inherited: BTreeMap::new(),
            env: BTreeMap::new(),
            directory: None,
            isolation: Isolation::Session,
            idle: SECOND,
        }),
    ];
    let (timeouts, limits) = (Timeouts::default(), BackendLimits::default());
    let backends = ["http", "sse", "stdio"].into_iter().zip(transports).map(|(name, transport)| {
        let id = BackendId::new(name).unwrap();
        let of = Of { id, transport, timeouts, limits };
        let backend = Backend::new(&of, TaskTracker::new()).unwrap();
        let breaker = Some(BreakerSettings { failure_threshold: 5, timeout: SECOND });
        backend.set_health(HealthSettings { breaker, ..backend.health_settings() });
        backend
    });
    let core = vmcp_core::Config {
        rules: vmcp_catalog::Rules::default(),
        max_backend_init_concurrency: 10,
        views: 16,
        caller_views: 16,
        view_idle: SECOND,
        initialize_wait: SECOND,
        server_info: "{}".into(),
        keys: Keys::new(|| None),
        state_life: SECOND,
        offer_max_age: SECOND,
        known: Known::default(),
        bridge: Bridge::default(),
        held_bytes: 1 << 20,
        policy: None,
        denial: Denial::default(),
    };
    let vmcp = Vmcp::new(backends.collect(), core, background.clone());
    let sessions = SessionConfig {
        ttl: SECOND,
        initialize_wait: SECOND,
        offer_max_age: SECOND,
        eager: false,
        max_backend_init_concurrency: 10,
        drain: SECOND,
        server: ServerInfo { name: "team".to_owned(), version: "1".to_owned() },
        limits: Limits {
            sessions: 10,
            sessions_per_client: 10,
            calls_per_session: 10,
            subscriptions: 10,
            log_bytes: 1 << 16,
            event_bytes: 1 << 16,
        },
    };
    let config = Config {
        endpoint: "/mcp".to_owned(),
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
        trusted_proxies: Vec::new(),
        public_url: None,
        request_bytes: 1 << 20,
        held_request_bytes: 1 << 20,
        streams: 10,
        connections: 10,
        keep_alive: SECOND,
        shows_states: false,
        awaited: None,
    };
    Edge::new(
        config,
        serde_json::Value::Null,
        Sessions::start(vmcp, store, sessions, background.clone()),
        Authenticator::anonymous(),
        Operators::new(&OperatorAuth::None).unwrap(),
        Told::default(),
        background.clone(),
    )
}

/// A store that cannot be reached.
fn redis(background: &Background) -> Redis {
    let settings = Settings {
        servers: Servers::Single(Address { host: "127.0.0.1".to_owned(), port: 1 }),
        db: 0,
        username: None,
        password: None,
        tls: None,
        prefix: "test:".to_owned(),
        dial_timeout: SECOND,
        command_timeout: SECOND,
        validation: Validation::Bus { max_staleness: SECOND },
        keys: None,
    };
    Redis::start(settings, background.tasks(), background.stop())
}

/// Lets it have a channel to other replicas, of which there is none.
fn join(edge: &Edge, background: &Background) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (holder, settings) = (Holder::default(), vmcp_peer::Settings::new("one", 0, Vec::new()));
    let (tasks, stop) = (background.tasks(), background.stop());
    let serve = Arc::new(holder.clone());
    let peers = vmcp_peer::Peers::start(settings, listener, Arc::new(|| None), serve, tasks, stop);
    edge.sessions.join(peers.unwrap(), &holder, "127.0.0.1:4484".into());
}

#[tokio::test]
async fn every_metric_is_told_with_its_attributes() {
    let background = Background::new(tokio::runtime::Handle::current());
    let stores: [Arc<dyn Store>; 2] = [Arc::new(Memory::new()), Arc::new(redis(&background))];
    let mut told = BTreeMap::<_, BTreeSet<_>>::new();
    for store in stores {
        let edge = edge(store, &background);
        join(&edge, &background);
        let nobody = Identity::unproved(Principal::Anonymous);
        edge.sessions.vmcp().rights().note_denied(&nobody, Method::ToolsCall);
        for family in edge.families() {
            let names = family.points.iter().flat_map(|point| &point.attributes);
            told.entry(family.metric.name).or_default().extend(names.map(|(name, _)| *name));
        }
    }
    background.stop().cancel();
    for metric in server::ALL.iter().chain(backends::ALL) {
        let is_elsewhere = ELSEWHERE.contains(metric);
        let Some(names) = told.remove(metric.name) else {
            assert!(is_elsewhere, "{} is told by nobody", metric.name);
            continue;
        };
        assert!(!is_elsewhere, "{} is told here", metric.name);
        assert_eq!(names, metric.attributes.iter().copied().collect(), "{}", metric.name);
    }
    assert_eq!(told, BTreeMap::new());
}

#[tokio::test]
async fn a_stream_counts_while_it_is_open() {
    let background = Background::new(tokio::runtime::Handle::current());
    let edge = edge(Arc::new(Memory::new()), &background);
    let active = || {
        let families = edge.families();
        let of = families.into_iter().find(|of| *of.metric == server::ACTIVE_CONNECTIONS).unwrap();
        let [point] = <[_; 1]>::try_from(of.points).unwrap();
        assert_eq!(point.attributes[0], ("server", "team".into()));
        point.value
    };
    assert_eq!(active(), Value::Number(0));
    let permit = edge.enter_stream(false, None).unwrap_or_else(|fault| panic!("{fault}"));
    assert_eq!(active(), Value::Number(1));
    drop(permit);
    assert_eq!(active(), Value::Number(0));
    background.stop().cancel();
}
