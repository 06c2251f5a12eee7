//! The whole server before both backends, for one execution.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tokio_util::task::TaskTracker;
use vmcp_auth::{Authenticator, OperatorAuth, Operators};
use vmcp_backend::{Backend, Config, Endpoint, Limits, Timeouts, Transport};
use vmcp_catalog::Rules;
use vmcp_core::{Background, Bridge, Keys, Known, Vmcp};
use vmcp_model::BackendId;
use vmcp_server::{Edge, Listens, Serving};
use vmcp_session::{ServerInfo, Sessions};
use vmcp_store::{Memory, Store};

use crate::{peer::Peer, script::Script};

/// How long the hostile peer may be silent.
const IDLE: Duration = Duration::from_millis(200);
/// How long one of its calls may take.
const ABSOLUTE: Duration = Duration::from_millis(600);
/// What the end of everything may take.
const END: Duration = Duration::from_secs(20);

/// A running server.
pub struct World {
    pub address: SocketAddr,
    serving: Serving,
    background: Background,
    vmcp: Arc<Vmcp>,
}

/// A place on loopback that was not used for a while, so that ports do not run out.
fn fresh() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 1, high, low)), 0)
}

impl World {
    pub async fn start(script: &Arc<Script>) -> Self {
        let at = fresh();
        let good = Peer::neighbour().serve(at).await;
        let evil = Peer::hostile(Arc::clone(script)).serve(at).await;
        let background = Background::new(tokio::runtime::Handle::current());
        let connections = TaskTracker::new();
        let backends = [good_config(good), evil_config(evil, script)];
        let backends = backends.iter().map(|config| {
            Backend::new(config, connections.clone()).expect("a plain configuration")
        });
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let server = ServerInfo { name: "vmcp".to_owned(), version: "1".to_owned() };
        let vmcp =
            Vmcp::new(backends.collect(), core_config(&store, &server, script), background.clone());
        let sessions = session_config(server, script);
        let sessions = Sessions::start(Arc::clone(&vmcp), store, sessions, background.clone());
        let edge = vmcp_server::Config {
            endpoint: "/mcp".to_owned(),
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            public_url: None,
            request_bytes: 1 << 20,
            held_request_bytes: 16 << 20,
            streams: 100,
            connections: 100,
            keep_alive: Duration::from_secs(10),
        };
        let labels = serde_json::Value::Null;
        let who = Authenticator::anonymous();
        let operators = Operators::new(&OperatorAuth::None).expect("nothing is made");
        let edge = Edge::new(edge, labels, sessions, who, operators, background.clone());
        let listener = TcpListener::bind(at).expect("an address on loopback");
        let address = listener.local_addr().expect("it listens");
        let listeners = vec![(listener, Listens::Clients)];
        let serving = vmcp_server::serve(listeners, &edge, 1, &background).expect("a worker");
        Self { address, serving, background, vmcp }
    }

    /// Ends everything, which must not take long.
    pub async fn stop(self) {
        let Self { serving, background, vmcp, .. } = self;
        let ended = async {
            serving.stop_accepting();
            background.stop().cancel();
            tokio::task::spawn_blocking(|| serving.close()).await.expect("no panic");
            background.tasks().close();
            background.tasks().wait().await;
            vmcp.shutdown().await;
        };
        assert!(tokio::time::timeout(END, ended).await.is_ok(), "the server does not end");
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::plain(format!("http://{address}/mcp").parse().expect("a URL"))
}

fn good_config(address: SocketAddr) -> Config {
    let id = BackendId::new("good").expect("a name");
    let url = format!("http://{address}/mcp").parse().expect("a URL");
    Config::plain(id, url)
}

fn evil_config(address: SocketAddr, script: &Script) -> Config {
    let endpoint = endpoint(address);
    let transport =
        if script.setup.is_sse() { Transport::Sse(endpoint) } else { Transport::Http(endpoint) };
    Config {
        id: BackendId::new("evil").expect("a name"),
        transport,
        timeouts: Timeouts { connect: IDLE, initialize: IDLE, idle: IDLE, absolute: ABSOLUTE },
        limits: Limits {
            response_bytes: 256 << 10,
            event_bytes: 128 << 10,
            in_flight: 16,
            streams: 16,
            links: 4,
            list_pages: 4,
            list_items: 20,
            list_bytes: 256 << 10,
        },
    }
}

fn core_config(store: &Arc<dyn Store>, server: &ServerInfo, script: &Script) -> vmcp_core::Config {
    let store = Arc::clone(store);
    vmcp_core::Config {
        rules: Rules::default(),
        max_backend_init_concurrency: 4,
        views: 100,
        view_idle: Duration::from_secs(60),
        initialize_wait: IDLE,
        server_info: server.to_json(),
        keys: Keys::new(move || store.keys().ok()),
        state_life: Duration::from_secs(60),
        offer_max_age: Duration::from_millis(50),
        known: Known::default(),
        bridge: Bridge {
            reuse: script.setup.reuse(),
            concurrency: None,
            idle: Duration::from_secs(5),
            wait: IDLE,
            sessions: 8,
        },
        held_bytes: 1 << 20,
    }
}

fn session_config(server: ServerInfo, script: &Script) -> vmcp_session::Config {
    vmcp_session::Config {
        ttl: Duration::from_secs(60),
        initialize_wait: IDLE,
        offer_max_age: Duration::from_millis(50),
        eager: script.setup.is_eager(),
        max_backend_init_concurrency: 4,
        drain: Duration::from_millis(100),
        server,
        limits: vmcp_session::Limits {
            sessions: 100,
            sessions_per_client: 100,
            calls_per_session: 100,
            subscriptions: 10,
            log_bytes: 256 << 10,
            event_bytes: 128 << 10,
        },
    }
}
