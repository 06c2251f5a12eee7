//! A `Vmcp` in front of servers in memory.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::HeaderName;
use tokio::{io::DuplexStream, sync::mpsc::Sender};
use vmcp_backend::{
    Backend, ClientView, Config as BackendConfig, Endpoint, Limits, Memory, Network, Subject,
    Timeouts, Transport, UsesSnapshot,
};
use vmcp_catalog::{Admission, Item, Rules};
use vmcp_core::{Background, Bridge, Config, Denial, Keys, Known, View, Vmcp};
use vmcp_model::{BackendId, Era, Identity, Method, Passed, Principal, ProtocolVersion};
use vmcp_policy::Policy;
use vmcp_testkit::{
    InMemory,
    modern::{self, ModernServer},
    raw::{self, Answer, Kind, RawServer},
};

use crate::client::Client;

/// A header that backends may be passed.
const TENANT: HeaderName = HeaderName::from_static("x-tenant");

/// A legacy server in memory.
pub(crate) type Legacy = InMemory<raw::Server>;

/// A modern one.
pub(crate) type Modern = InMemory<modern::Server>;

/// What a world is made of.
pub(crate) struct Setup {
    pub(crate) rules: Rules,
    pub(crate) bridge: Bridge,
    pub(crate) timeouts: Timeouts,
    pub(crate) limits: Limits,
    pub(crate) held_bytes: usize,
    pub(crate) views: usize,
    /// Backends are passed the header `x-tenant` of callers' requests.
    pub(crate) passes_tenant: bool,
    pub(crate) keys: Keys,
    pub(crate) policy: Option<Arc<Policy>>,
    pub(crate) backends: Vec<(BackendId, Sender<DuplexStream>)>,
}

/// A `Vmcp` and what it runs on. Everything ends with it.
pub(crate) struct World {
    pub(crate) vmcp: Arc<Vmcp>,
    background: Background,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let timeouts = Timeouts {
            connect: Duration::from_secs(5),
            initialize: Duration::from_secs(30),
            idle: Duration::from_secs(10),
            absolute: Duration::from_secs(60),
        };
        Self {
            rules: Rules::default(),
            bridge: Bridge::default(),
            timeouts,
            limits: Limits::default(),
            held_bytes: 1 << 20,
            views: 16,
            passes_tenant: false,
            keys: Keys::new(|| None),
            policy: None,
            backends: Vec::new(),
        }
    }

    /// With a server of either era behind it.
    pub(crate) fn with<S>(mut self, name: &str, server: &InMemory<S>) -> Self {
        self.backends.push((id(name), server.dial()));
        self
    }

    pub(crate) fn begin(self) -> World {
        let background = Background::new(tokio::runtime::Handle::current());
        let backend = |(id, server): (BackendId, Sender<DuplexStream>)| {
            let url = format!("http://{id}/mcp").parse().unwrap();
            let network = Network::Memory(Memory::new(server));
            let passthrough: &[_] = if self.passes_tenant { &[TENANT] } else { &[] };
            let passthrough = passthrough.into();
            let endpoint = Endpoint { network, passthrough, ..Endpoint::plain(url) };
            let transport = Transport::Http(endpoint);
            let Self { timeouts, limits, .. } = self;
            let config = BackendConfig { id, transport, timeouts, limits };
            Backend::new(&config, background.tasks().clone()).unwrap()
        };
        let backends = self.backends.into_iter().map(backend).collect();
        let config = Config {
            rules: self.rules,
            max_backend_init_concurrency: 10,
            views: self.views,
            caller_views: self.views,
            view_idle: Duration::from_secs(60),
            initialize_wait: Duration::from_secs(3),
            server_info: Bytes::from_static(br#"{"name":"vmcp","version":"0"}"#),
            keys: self.keys,
            state_life: Duration::from_secs(60),
            offer_max_age: Duration::from_secs(60),
            known: Known::default(),
            bridge: self.bridge,
            held_bytes: self.held_bytes,
            policy: self.policy,
            denial: Denial::default(),
        };
        World { vmcp: Vmcp::new(backends, config, background.clone()), background }
    }

    /// The same, when a client of the era that can do nothing sees everything.
    pub(crate) async fn settled(self, era: Era) -> (World, Client) {
        let world = self.begin();
        let client = world.client(era).await;
        (world, client)
    }
}

impl World {
    /// A client that can do nothing, once it has been shown everything.
    pub(crate) async fn client(&self, era: Era) -> Client {
        self.client_with(era, "{}").await
    }

    /// The same with these capabilities.
    pub(crate) async fn client_with(&self, era: Era, capabilities: &'static str) -> Client {
        let view = self.view(&client_view(era, capabilities)).await;
        Client::new(&self.vmcp, view)
    }

    /// What backends are told of a client of this caller that can do nothing.
    pub(crate) fn client_view_of(&self, era: Era, caller: &Identity) -> ClientView {
        let subject = self.vmcp.subject(caller).map(|key| Subject::new(key, caller));
        client_view(era, "{}").shown(subject)
    }

    /// What clients of this kind see, once that is everything.
    pub(crate) async fn view(&self, client: &ClientView) -> Arc<View> {
        let view = self.vmcp.view(client).unwrap();
        let settled = view.settle(Duration::from_secs(10)).await;
        assert_eq!(settled.missing, []);
        view
    }

    pub(crate) fn backend(&self, name: &str) -> Arc<Backend> {
        self.vmcp.backend(name).unwrap()
    }

    /// What a backend was used for by this method.
    pub(crate) fn uses(&self, name: &str, method: Method) -> UsesSnapshot {
        let uses = self.backend(name).stats().uses;
        uses.into_iter().find(|of| of.method == method).unwrap_or(UsesSnapshot {
            method,
            calls: 0,
            errors: 0,
            abandoned: 0,
            latency: None,
        })
    }

    /// Calls of tools that have ended on a backend: all, those with an error, and those that were left.
    pub(crate) fn tool_calls(&self, name: &str) -> (u64, u64, u64) {
        let of = self.uses(name, Method::ToolsCall);
        (of.calls, of.errors, of.abandoned)
    }

    /// How many calls are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.vmcp.calls().count()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.background.stop().cancel();
    }
}

pub(crate) fn client_view(era: Era, capabilities: &'static str) -> ClientView {
    let version = match era {
        Era::Legacy => ProtocolVersion::LATEST_LEGACY,
        Era::Modern => ProtocolVersion::MODERN,
    };
    ClientView::new(version, Bytes::from_static(capabilities.as_bytes()))
}

/// A caller whose requests carry this tenant's name, which backends are passed.
pub(crate) fn of_tenant(name: &str) -> Identity {
    let header = (TENANT.as_str().into(), Bytes::copy_from_slice(name.as_bytes()));
    Identity::unproved(Principal::Anonymous).passing(Passed::new(vec![header]).unwrap())
}

pub(crate) fn id(name: &str) -> BackendId {
    BackendId::new(name).unwrap()
}

/// The definition of a tool.
pub(crate) fn tool(name: &str) -> String {
    format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#)
}

/// A legacy server with a tool that answers so.
pub(crate) fn legacy(name: &str, handler: raw::Handler) -> Legacy {
    RawServer::builder().offer(Kind::Tools, &tool(name), handler).start_in_memory()
}

/// A modern one.
pub(crate) fn modern(name: &str, handler: modern::Handler) -> Modern {
    ModernServer::builder().offer(Kind::Tools, &tool(name), handler).start_in_memory()
}

/// A legacy server with the tool `t`, which answers a text.
pub(crate) fn plain_legacy() -> Legacy {
    legacy("t", raw::fixed(Answer::text("legacy")))
}

/// A modern one.
pub(crate) fn plain_modern() -> Modern {
    modern("t", modern::fixed(modern::text("modern")))
}

/// Lets everything run that can. The clock goes on by a millisecond.
pub(crate) async fn idle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Lets those through that it says, whatever their arguments are.
pub(crate) fn free(allows: impl Fn(Item<'_>) -> bool) -> impl Fn(Item<'_>) -> Option<Admission> {
    move |item| allows(item).then_some(Admission::Free)
}

pub(crate) const BOTH: [Era; 2] = [Era::Legacy, Era::Modern];
