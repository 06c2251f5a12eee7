//! The backend loses its sessions, and the client does not notice; no call ever runs twice.

use std::collections::BTreeSet;

use tokio::task::JoinSet;
use vmcp_testkit::{
    client::Client,
    gateway::{Gateway, eventually},
    peers,
    raw::{Answer, Kind, Lost, Running, fixed},
};

use crate::{connect, serve};

const MANNERS: [Lost; 3] = [Lost::NotFound, Lost::BadRequest, Lost::Answered];

async fn count(client: &Client, id: &str) -> String {
    client.call(id, "a_count", "{}").await.unwrap().text().unwrap()
}

/// How many sessions watch the lists for the gateway itself, once all of them do.
async fn watches(backend: &Running) -> usize {
    eventually("the gateway watches", async || {
        let watching = backend.sessions().iter().filter(|one| one.listens()).count();
        (watching > 0).then_some(watching)
    })
    .await
}

/// Waits until there are so many sessions that watch, and one that is called.
async fn settled(backend: &Running, watches: usize) {
    eventually("the gateway watches again", async || {
        let sessions = backend.sessions();
        let watching = sessions.iter().filter(|one| one.listens()).count();
        (sessions.len() == watches + 1 && watching == watches).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_next_call_works_on_one_new_backend_session() {
    for lost in MANNERS {
        let backend = peers::stateful().start().await.unwrap();
        let process = serve(&Gateway::before(&[("a", backend.url())])).await;
        let client = connect(&process).await;
        let watches = watches(&backend).await;
        assert_eq!(count(&client, "1").await, "1");
        for _ in 0..2 {
            let (before, calls) =
                (backend.counters().initializes(), backend.counters().calls("count"));
            backend.forget_sessions(lost);
            assert_eq!(count(&client, "2").await, "1", "the state is lost, the call is not");
            settled(&backend, watches).await;
            assert_eq!(backend.counters().initializes() - before, 1 + watches as u64);
            assert_eq!(backend.counters().calls("count") - calls, 1);
        }
    }
}

#[tokio::test]
async fn calls_at_once_after_the_loss_open_one_backend_session() {
    for lost in MANNERS {
        let backend = peers::stateful().start().await.unwrap();
        let process = serve(&Gateway::before(&[("a", backend.url())])).await;
        let client = connect(&process).await;
        let watches = watches(&backend).await;
        assert_eq!(count(&client, "1").await, "1");
        let before = backend.counters().initializes();
        backend.forget_sessions(lost);
        let mut calling = JoinSet::new();
        for id in 10..18 {
            let client = client.clone();
            calling.spawn(async move { count(&client, &id.to_string()).await });
        }
        let said: BTreeSet<String> = calling.join_all().await.into_iter().collect();
        assert_eq!(said, (1..=8).map(|number| number.to_string()).collect());
        settled(&backend, watches).await;
        assert_eq!(backend.counters().initializes() - before, 1 + watches as u64);
        assert_eq!(backend.counters().calls("count"), 9);
    }
}

#[tokio::test]
async fn log_level_and_subscriptions_are_replayed() {
    for lost in MANNERS {
        let backend = peers::asking().start().await.unwrap();
        let process = serve(&Gateway::before(&[("a", backend.url())])).await;
        let client = connect(&process).await;
        let mut get = client.listen(None).await.unwrap();
        client.request("1", "logging/setLevel", r#"{"level":"critical"}"#).await.unwrap();
        for uri in ["ask://one", "ask://two"] {
            let params = format!(r#"{{"uri":"{uri}"}}"#);
            client.request("2", "resources/subscribe", &params).await.unwrap().result().unwrap();
        }
        let gone = r#"{"uri":"ask://two"}"#;
        client.request("3", "resources/unsubscribe", gone).await.unwrap().result().unwrap();
        backend.forget_sessions(lost);
        let answer = client.call("4", "a_log", "{}").await.unwrap();
        let levels: Vec<_> =
            answer.before.iter().map(|note| note.json()["params"]["level"].clone()).collect();
        assert_eq!(levels, ["critical", "alert", "emergency"]);
        let replayed = eventually("the subscription is replayed and listened to", async || {
            let sessions = backend.sessions();
            sessions.into_iter().find(|one| one.listens() && !one.subscriptions().is_empty())
        })
        .await;
        assert_eq!(replayed.subscriptions(), ["ask://one"]);
        backend.update("ask://one").await;
        let told = get.message().await.unwrap().unwrap();
        assert_eq!(told.method().unwrap(), "notifications/resources/updated");
    }
}

#[tokio::test]
async fn a_backend_that_restarts_is_used_again() {
    let backend = peers::stateful().start().await.unwrap();
    let port = backend.address().port();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    assert_eq!(count(&client, "1").await, "1");
    assert_eq!(count(&client, "2").await, "2");
    drop(backend);
    eventually("the call fails clearly while it is down", async || {
        let answer = client.call("3", "a_count", "{}").await.unwrap();
        answer.error().is_ok_and(|error| error.contains("backend a")).then_some(())
    })
    .await;
    let again =
        eventually("the port is free", async || peers::stateful().port(port).start().await.ok())
            .await;
    assert_eq!(count(&client, "4").await, "1");
    assert_eq!(again.counters().calls("count"), 1);
}

/// A deployment: the backend comes back with other tools, and the clients that listen are told.
#[tokio::test]
async fn a_backend_that_restarts_with_other_tools_is_listed_anew() {
    let backend = peers::stateful().start().await.unwrap();
    let port = backend.address().port();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    watches(&backend).await;
    drop(backend);
    let _again =
        eventually("the port is free", async || peers::changing().port(port).start().await.ok())
            .await;
    for _ in ["tools", "resources"] {
        let told = get.message().await.unwrap().unwrap().method().unwrap();
        assert!(told.ends_with("/list_changed"), "{told}");
    }
    let list = client.request("1", "tools/list", "{}").await.unwrap();
    assert_eq!(list.keys("tools", "name").unwrap(), ["a_add", "a_remove", "a_touch"]);
    let touch = client.call("2", "a_touch", r#"{"uri":"change://one"}"#).await.unwrap();
    assert_eq!(touch.text().unwrap(), "touched");
    let gone = client.call("3", "a_count", "{}").await.unwrap();
    assert_eq!(gone.error_code().unwrap(), -32602);
}

/// Answers that do not prove that the call did not run: it is not sent again.
#[tokio::test]
async fn a_call_never_runs_twice() {
    let http = |status| Answer::Http {
        status,
        content_type: Some("application/json"),
        body: r#"{"jsonrpc":"2.0","id":$id,"error":{"code":-32000,"message":"no"}}"#.into(),
    };
    let backend = peers::stateful().start().await.unwrap();
    let answers = [
        ("bad_request", http(400)),
        ("bad_gateway", http(502)),
        ("unavailable", http(503)),
        ("broken", http(500)),
        ("close", Answer::Close),
        ("cut_off", Answer::CutOff(10_000)),
    ];
    for (name, answer) in &answers {
        let definition = format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
        backend.add(Kind::Tools, &definition, fixed(answer.clone())).await;
    }
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    assert_eq!(count(&client, "1").await, "1");
    let before = backend.counters().initializes();
    for (name, _) in &answers {
        let answer = client.call("2", &format!("a_{name}"), "{}").await;
        if *name != "cut_off" {
            answer.unwrap().error().unwrap();
        }
        assert_eq!(backend.counters().calls(name), 1, "{name}");
    }
    assert_eq!(count(&client, "3").await, "2", "the backend session is the same");
    assert_eq!(backend.counters().initializes(), before);
}

/// A backend that says 404 whatever happens gets one more session and one more try, not a storm.
#[tokio::test]
async fn a_backend_that_keeps_losing_sessions_is_not_tried_for_ever() {
    let backend = peers::stateful().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    let before = backend.counters().initializes();
    let lost = Answer::Http { status: 404, content_type: None, body: "".into() };
    backend.script("tools/call", fixed(lost));
    let answer = client.call("2", "a_count", "{}").await.unwrap();
    answer.error().unwrap();
    assert_eq!(backend.counters().initializes() - before, 2);
    assert_eq!(backend.counters().calls("count"), 2);
    backend.unscript("tools/call");
    assert_eq!(count(&client, "3").await, "1");
}
