//! How kept sessions end, and how they go on when a backend has lost them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};
use vmcp_testkit::{
    client::fetch,
    gateway::{Gateway, eventually},
    modern_client::ModernClient,
    peers,
    raw::{Answer, Call, Handler, Kind, Lost, handler},
};

use super::{Kept, call, count, tool};
use crate::serve;

/// How often each number ran.
type Ran = Arc<Mutex<BTreeMap<u64, u64>>>;

/// A tool that notes that it ran.
fn noting(ran: &Ran) -> Handler {
    let ran = Arc::clone(ran);
    handler(move |call: Call| {
        let number = call.argument("n").unwrap();
        *ran.lock().unwrap().entry(number).or_default() += 1;
        async { Answer::text("noted") }
    })
}

async fn note(client: ModernClient, number: u64) {
    let answer = call(&client, "a_note", json!({"n": number})).await;
    assert_eq!(answer.text().unwrap(), "noted", "{answer:?}");
}

/// However many calls find that the session is gone, it is renewed once, and each runs once.
#[tokio::test]
async fn a_lost_session_is_renewed_once_and_no_call_runs_twice() {
    for lost in [Lost::NotFound, Lost::BadRequest, Lost::Answered] {
        let ran = Ran::default();
        let peer = peers::stateful().offer(Kind::Tools, &tool("note"), noting(&ran));
        let kept = Kept::before(peer, "").await;
        for round in 0..2_u64 {
            assert_eq!(count(&kept.client).await, "1", "{lost:?} {round}");
            assert_eq!(count(&kept.client).await, "2");
            let before = kept.peer.counters().initializes();
            kept.peer.forget_sessions(lost);
            let numbers = round * 100..round * 100 + 16;
            let calls = numbers.map(|number| note(kept.client.clone(), number));
            calls.collect::<JoinSet<_>>().join_all().await;
            // What watches the server has to begin again as well.
            let all = kept.watching + 1;
            eventually("all are open again", async || {
                (kept.peer.sessions().len() == all).then_some(())
            })
            .await;
            let opened = kept.peer.counters().initializes() - before;
            assert_eq!(opened, u64::try_from(all).unwrap(), "{lost:?} {round}");
            kept.peer.forget_sessions(lost);
        }
        let ran = ran.lock().unwrap();
        assert_eq!(ran.len(), 32);
        assert!(ran.values().all(|times| *times == 1), "{ran:?}");
    }
}

#[tokio::test]
async fn an_idle_session_ends() {
    let kept = Kept::before(peers::stateful(), "bridge: {idle: 400ms}").await;
    assert_eq!(count(&kept.client).await, "1");
    assert_eq!(kept.open(), 1);
    eventually("it is ended", async || (kept.open() == 0).then_some(())).await;
    eventually("nobody listens", async || {
        let watching = u64::try_from(kept.watching).unwrap();
        (kept.peer.counters().open_streams() <= watching).then_some(())
    })
    .await;
    assert_eq!(kept.told().await, 0);
    assert_eq!(count(&kept.client).await, "1");
    // One that is used does not end, however long a call takes.
    let slow = call(&kept.client, "a_slow", json!({"delay_ms": 1500})).await;
    assert_eq!(slow.text().unwrap(), "done");
    assert_eq!(count(&kept.client).await, "2");
}

#[tokio::test]
async fn there_are_no_more_kept_sessions_than_there_may_be() {
    let gate = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&gate);
    let gated = handler(move |_: Call| {
        let waiting = Arc::clone(&waiting);
        async move {
            waiting.acquire().await.unwrap().forget();
            Answer::text("done")
        }
    });
    let sections = "limits: {keptSessionsPerBackend: 2}\nbridge: {wait: 1s}";
    let kept =
        Kept::before(peers::stateful().offer(Kind::Tools, &tool("gated"), gated), sections).await;
    let clients: Vec<_> = ["one", "two", "three"].map(|name| kept.named(name)).into();
    for client in &clients {
        assert_eq!(count(client).await, "1");
    }
    eventually("the longest idle one has made room", async || (kept.open() == 2).then_some(()))
        .await;
    assert_eq!(count(&clients[1]).await, "2");
    assert_eq!(count(&clients[0]).await, "1", "it was the longest idle one");
    let mut busy = JoinSet::new();
    for client in [clients[0].clone(), clients[1].clone()] {
        busy.spawn(async move { call(&client, "a_gated", json!({})).await.text().unwrap() });
    }
    eventually("both run", async || (kept.peer.counters().calls("gated") == 2).then_some(())).await;
    let refused = call(&clients[2], "a_count", json!({})).await;
    assert_eq!((refused.status().as_u16(), refused.error_code().unwrap()), (503, -32603));
    assert!(refused.headers().contains_key("retry-after"), "{refused:?}");
    let told = refused.error().unwrap()["message"].as_str().unwrap().to_owned();
    assert!(
        told.contains(
            "2 kept sessions in use already (limits.keptSessionsPerBackend); try again later"
        ),
        "{told}"
    );
    // Those that are kept are not refused.
    assert_eq!(count(&clients[1]).await, "3");
    let third = clients[2].clone();
    busy.spawn(async move { count(&third).await });
    gate.add_permits(2);
    let mut answers = busy.join_all().await;
    answers.sort();
    assert_eq!(answers, ["1", "done", "done"]);
    assert_eq!(kept.told().await, 2);
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_is_to_be() {
    let kept = Kept::before(peers::stateful(), "bridge: {reuse: never}").await;
    for _ in 0..3 {
        assert_eq!(count(&kept.client).await, "1");
    }
    eventually("each is ended", async || (kept.open() == 0).then_some(())).await;
    assert_eq!((kept.opened(), kept.told().await), (3, json!(0)));
}

/// Gives the process another configuration, and waits until it has taken it.
pub(super) async fn reload(kept: &Kept, gateway: &Gateway) {
    let status = async || -> Value {
        let (_, text) = fetch(&kept.process.url_of("/status")).await.unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    let before = status().await["reload"]["attempts"].as_u64().unwrap_or(0);
    kept.process.write_config(&gateway.yaml()).unwrap();
    kept.process.signal(Signal::HUP).unwrap();
    let reloaded = eventually("it is reloaded", async || {
        let status = status().await["reload"].clone();
        (status["attempts"].as_u64().unwrap_or(0) > before).then_some(status)
    })
    .await;
    assert_eq!(reloaded["succeeded"], true, "{reloaded}");
}

/// What stays goes on; on what is taken out a call ends first, and then the session.
#[tokio::test]
async fn a_session_ends_when_its_backend_is_taken_out() {
    let other = peers::stateful().start().await.unwrap();
    let peer = peers::stateful().start().await.unwrap();
    let both = Gateway::before(&[("a", peer.url()), ("b", other.url())]);
    let kept = Kept::of(peer, serve(&both).await).await;
    assert_eq!(count(&kept.client).await, "1");
    let rules = both.clone().with("operational: {timeouts: {default: 20s}}");
    reload(&kept, &rules).await;
    assert_eq!(count(&kept.client).await, "2", "it is the same server");
    let client = kept.client.clone();
    let mut slow = JoinSet::new();
    slow.spawn(
        async move { call(&client, "a_slow", json!({"delay_ms": 1200})).await.text().unwrap() },
    );
    eventually("it runs", async || (kept.peer.counters().calls("slow") == 1).then_some(())).await;
    reload(&kept, &Gateway::before(&[("b", other.url())])).await;
    assert_eq!(slow.join_all().await, ["done"]);
    eventually("every session is ended", async || kept.peer.sessions().is_empty().then_some(()))
        .await;
}

#[tokio::test]
async fn no_session_is_left_when_the_gateway_ends() {
    let kept = Kept::before(peers::stateful(), "").await;
    for name in ["one", "two", "three"] {
        assert_eq!(count(&kept.named(name)).await, "1");
    }
    assert_eq!(kept.open(), 3);
    let Kept { peer, process, .. } = kept;
    assert!(process.terminate().await.unwrap().success());
    assert!(peer.sessions().is_empty());
}
