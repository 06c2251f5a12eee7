//! Replicas in one process: each has backends, sessions and connections of its own.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use vmcp_backend::Backend;
use vmcp_core::{Background, Vmcp};
use vmcp_model::{BackendId, Identity, Principal};
use vmcp_session::{ClientKey, Config, Limits, Reply, ServerInfo, Session, Sessions};
use vmcp_store::{Memory, Store};
use vmcp_testkit::{
    peers,
    raw::{Form, Running},
};
use vmcp_wire::{Fault, Message};

/// How long sessions live in these tests.
pub(crate) const TTL: Duration = Duration::from_secs(2);

/// A replica in front of one backend.
pub(crate) async fn replica(store: &Arc<dyn Store>, url: &str) -> Arc<Sessions> {
    replica_of(store, url, TTL, &Background::new(tokio::runtime::Handle::current()))
}

/// A replica in front of one backend, whose sessions live for so long unused.
pub(crate) fn replica_of(
    store: &Arc<dyn Store>,
    url: &str,
    ttl: Duration,
    background: &Background,
) -> Arc<Sessions> {
    let id = BackendId::new("backend").expect("a name");
    let config = vmcp_backend::Config::plain(id, url.parse().expect("a URL"));
    let backend = Backend::new(&config, background.tasks().clone()).expect("a backend");
    let core = vmcp_core::Config {
        initialize_wait: Duration::from_secs(3),
        rules: vmcp_catalog::Rules::default(),
        max_backend_init_concurrency: 10,
        views: 16,
        caller_views: 16,
        view_idle: ttl,
        offer_max_age: ttl,
        known: vmcp_core::Known::default(),
        bridge: vmcp_core::Bridge::default(),
        held_bytes: 1 << 20,
        policy: None,
        denial: vmcp_core::Denial::default(),
        server_info: "{}".into(),
        keys: {
            let store = Arc::clone(store);
            vmcp_core::Keys::new(move || store.keys().ok())
        },
        state_life: ttl,
    };
    let vmcp = Vmcp::new(vec![backend], core, background.clone());
    let config = Config {
        offer_max_age: ttl,
        ttl,
        initialize_wait: Duration::from_secs(3),
        eager: false,
        max_backend_init_concurrency: 10,
        drain: Duration::from_secs(1),
        server: ServerInfo { name: "test".to_owned(), version: "1".to_owned() },
        limits: Limits {
            sessions: 100,
            sessions_per_client: 100,
            calls_per_session: 10,
            subscriptions: 10,
            log_bytes: 1 << 16,
            event_bytes: 1 << 20,
        },
    };
    Sessions::start(vmcp, Arc::clone(store), config, background.clone())
}

/// A counting backend, and two replicas in front of it that share a store.
pub(crate) async fn two_replicas() -> (Running, Arc<Sessions>, Arc<Sessions>) {
    let backend = peers::stateful().form(Form::Json).start().await.expect("a free port");
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let first = replica(&store, &backend.url()).await;
    let second = replica(&store, &backend.url()).await;
    (backend, first, second)
}

pub(crate) fn client() -> ClientKey {
    ClientKey::Address(IpAddr::from([127, 0, 0, 1]))
}

/// Whom nobody has asked who it is.
pub(crate) fn nobody() -> Identity {
    Identity::unproved(Principal::Anonymous)
}

pub(crate) fn subject(name: &str) -> Identity {
    let issuer = "https://idp.example".into();
    Identity::unproved(Principal::Subject { issuer, subject: name.into() })
}

/// Opens a session and gives its id.
pub(crate) async fn initialize(
    sessions: &Sessions,
    identity: &Identity,
) -> Result<Arc<str>, Fault> {
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}"#;
    let request = Message::parse(Bytes::from_static(text.as_bytes())).expect("a message");
    sessions.initialize(identity, client(), &request).await.map(|(id, _response)| id)
}

/// Calls a tool without arguments and gives the text of the response.
pub(crate) async fn call(session: &Arc<Session>, id: u32, tool: &str) -> String {
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}"}}}}"#
    );
    answer(session, text).await
}

/// Sends a request and gives the text of the response.
pub(crate) async fn answer(session: &Arc<Session>, text: String) -> String {
    let message = Message::parse(Bytes::from(text)).expect("a message");
    match session.handle(&nobody(), message).await {
        Ok(Reply::Ready(text)) => String::from_utf8_lossy(&text).into_owned(),
        Ok(Reply::Parts(parts)) => String::from_utf8_lossy(&parts.concat()).into_owned(),
        Ok(Reply::Accepted | Reply::Relay(_) | Reply::Stream(_)) => "not a whole answer".to_owned(),
        Err(fault) => format!("failed: {fault}"),
    }
}
