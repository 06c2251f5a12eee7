//! A backend's state belongs to one client session, and costs one backend session.

use std::collections::BTreeSet;

use tokio::task::JoinSet;
use vmcp_testkit::{
    client::Client,
    gateway::{Gateway, eventually},
    peers,
    raw::{self, Answer, Kind, RawServer},
};

use crate::{connect, serve};

async fn count(client: &Client) -> String {
    client.call("1", "a_count", "{}").await.unwrap().text().unwrap()
}

/// Calls `count` so many times at once, each with an id of its own, and collects what it said.
async fn count_at_once(client: &Client, calls: usize) -> BTreeSet<String> {
    let mut calling = JoinSet::new();
    for id in 0..calls {
        let client = client.clone();
        calling.spawn(async move {
            client.call(&id.to_string(), "a_count", "{}").await.unwrap().text().unwrap()
        });
    }
    calling.join_all().await.into_iter().collect()
}

fn numbers(last: usize) -> BTreeSet<String> {
    (1..=last).map(|number| number.to_string()).collect()
}

#[tokio::test]
async fn a_session_has_its_own_state_on_every_backend() {
    let (raw, rmcp) = (peers::stateful().start().await.unwrap(), peers::counting(0).await.unwrap());
    for url in [raw.url(), rmcp.url()] {
        let process = serve(&Gateway::before(&[("a", url)])).await;
        let (one, two) = (connect(&process).await, connect(&process).await);
        for expected in ["1", "2", "3"] {
            assert_eq!(count(&one).await, expected);
        }
        assert_eq!(count(&two).await, "1");
        assert_eq!(count(&one).await, "4");
        assert_eq!(one.delete().await.unwrap(), 200);
        assert_eq!(count(&connect(&process).await).await, "1");
        assert_eq!(count(&two).await, "2");
    }
}

#[tokio::test]
async fn fifty_sessions_cost_fifty_backend_sessions_and_give_them_back() {
    let (raw, other) =
        (peers::stateful().start().await.unwrap(), peers::stateful().start().await.unwrap());
    let gateway = Gateway::before(&[("a", raw.url()), ("b", other.url())]);
    let process = serve(&gateway).await;
    let first = connect(&process).await;
    first.request("1", "tools/list", "{}").await.unwrap().result().unwrap();
    let (before, others) = (raw.counters().initializes(), other.counters().initializes());
    let mut clients = Vec::new();
    for _ in 0..50 {
        let client = connect(&process).await;
        client.request("1", "tools/list", "{}").await.unwrap().result().unwrap();
        for expected in ["1", "2", "3"] {
            assert_eq!(count(&client).await, expected);
        }
        clients.push(client);
    }
    assert_eq!(raw.counters().initializes() - before, 50);
    assert_eq!(other.counters().initializes(), others, "nobody has used it");
    for client in clients {
        assert_eq!(client.delete().await.unwrap(), 200);
    }
    // All but that of the watch: the one that was read for this kind of client is among them.
    eventually("every backend session is given back", async || {
        (raw.counters().deletes() == raw.counters().initializes() - 1).then_some(())
    })
    .await;
}

#[tokio::test]
async fn first_calls_at_once_open_one_backend_session() {
    let backend = peers::stateful().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    // The first of its kind opens its session at once.
    let _first = connect(&process).await;
    for _ in 0..5 {
        let client = connect(&process).await;
        let before = backend.counters().initializes();
        assert_eq!(count_at_once(&client, 8).await, numbers(8));
        assert_eq!(backend.counters().initializes() - before, 1);
    }
}

/// With `backendInit: eager` the session of each backend is there before the first call.
#[tokio::test]
async fn eager_sessions_are_opened_at_initialize() {
    let backend = peers::stateful().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("sessions: {backendInit: eager}");
    let process = serve(&gateway).await;
    let _first = connect(&process).await;
    let before = backend.counters().initializes();
    let client = connect(&process).await;
    assert_eq!(backend.counters().initializes() - before, 1);
    assert_eq!(count(&client).await, "1");
    assert_eq!(backend.counters().initializes() - before, 1);
}

#[tokio::test]
async fn a_log_level_set_before_the_first_call_holds_from_it_on() {
    let backend = peers::asking().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    client.request("1", "logging/setLevel", r#"{"level":"alert"}"#).await.unwrap();
    let answer = client.call("2", "a_log", "{}").await.unwrap();
    assert_eq!(answer.before.len(), 2, "{answer:?}");
    let levels: Vec<_> =
        backend.sessions().iter().filter_map(|session| session.log_level()).collect();
    assert!(levels.contains(&"alert".to_owned()), "{levels:?}");
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_backend_sessions() {
    let (one, two) = (peers::stateful().start().await.unwrap(), peers::counting(0).await.unwrap());
    let gateway = Gateway::before(&[("a", one.url()), ("b", two.url())]);
    let process = serve(&gateway).await;
    // The first of its kind opens its sessions at once.
    let _first = connect(&process).await;
    let client = connect(&process).await;
    let open = (one.sessions().len(), two.open().await);
    assert_eq!(count(&client).await, "1");
    client.call("2", "b_count", "{}").await.unwrap().result().unwrap();
    assert_eq!((one.sessions().len(), two.open().await), (open.0 + 1, open.1 + 1));
    assert_eq!(client.delete().await.unwrap(), 200);
    assert_eq!(client.delete().await.unwrap(), 404);
    eventually("the backend sessions end", async || {
        ((one.sessions().len(), two.open().await) == open).then_some(())
    })
    .await;
}

/// What a legacy client says about itself reaches the backend on the session that is its own, and on no
/// other.
#[tokio::test]
async fn a_clients_own_backend_session_is_opened_in_its_name() {
    let hello = raw::handler(async |call: raw::Call| {
        let params = String::from_utf8_lossy(call.session.initialize()).into_owned();
        Answer::Result(format!(r#"{{"content":[],"structuredContent":{params}}}"#).into())
    });
    let tool = r#"{"name":"hello","inputSchema":{"type":"object"}}"#;
    let peer = RawServer::builder().offer(Kind::Tools, tool, hello).start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let own = connect(&process).await.call("1", "a_hello", "{}").await.unwrap().json();
    let info = &own["result"]["structuredContent"]["clientInfo"];
    assert_eq!(info, &serde_json::json!({"name": "testkit", "version": "1"}));
    // The session of a modern client's request is lent, and a watch is vmcp's own.
    let modern = vmcp_testkit::modern_client::ModernClient::new(&process.url());
    let params = r#"{"name":"a_hello","arguments":{}}"#;
    let lent = modern.open_literally("tools/call", params).await.unwrap().answer().await.unwrap();
    let lent = lent.message().json();
    assert_eq!(lent["result"]["structuredContent"]["clientInfo"]["name"], "vmcp");
}
