//! Clients that leave before they have their answer, and what is left of calls at backends.

use std::{sync::Arc, time::Duration};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};
use vmcp_testkit::{
    gateway::{Gateway, eventually},
    modern, peers,
    process::Process,
    raw::{self, Answer, Form, Kind, RawServer},
};

use super::{modern_client, status, tool};
use crate::{connect, serve};

/// A client that leaves cancels its call: whether or not its answer has begun.
#[tokio::test]
async fn a_modern_client_that_leaves_cancels_its_call_at_a_modern_backend() {
    let talking = modern::handler(async |call: modern::Call| {
        call.progress(1, 2).await.unwrap();
        call.cancelled.cancelled().await;
        Answer::Hang
    });
    let peer = peers::modern().offer(Kind::Tools, &tool("talking"), talking).start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let client = modern_client(&process).meta("progressToken", json!("t"));
    let silent = json!({"name": "a_slow", "arguments": {"delay_ms": 60_000}});
    let mut opening = JoinSet::new();
    opening.spawn({
        let (client, silent) = (client.clone(), silent.clone());
        async move { drop(client.open("tools/call", silent).await) }
    });
    eventually("it runs", async || (peer.counters().executions("slow") == 1).then_some(())).await;
    assert_eq!(peer.counters().abandoned(), 0);
    opening.abort_all();
    peer.counters().until_abandoned(1).await.unwrap();

    let mut exchange = client.open("tools/call", json!({"name": "a_talking"})).await.unwrap();
    exchange.notification().await.unwrap();
    drop(exchange);
    peer.counters().until_abandoned(2).await.unwrap();
    eventually("no call is left", async || {
        (status(&process, "calls_in_flight").await == 0).then_some(())
    })
    .await;
    assert_eq!(peer.counters().requests("notifications/cancelled"), 0, "there is none over HTTP");
}

/// The same at a legacy backend, which is told. The session is kept for the client's next call.
#[tokio::test]
async fn a_modern_client_that_leaves_cancels_its_call_at_a_legacy_backend() {
    let peer = peers::slow().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let client = modern_client(&process);
    client.learn_tools().await.unwrap();
    let (watching, deleted) = (peer.sessions().len(), peer.counters().deletes());
    for streams in [false, true] {
        let call = json!({"name": "a_slow", "arguments": {"delay_ms": 60_000}});
        let before =
            (peer.counters().calls("slow"), peer.counters().requests("notifications/cancelled"));
        let mut leaving = client.clone();
        if streams {
            leaving = leaving.meta("progressToken", json!("t"));
        }
        let mut opening = JoinSet::new();
        opening.spawn(async move {
            let mut exchange = leaving.open("tools/call", call).await.unwrap();
            let _progress = exchange.notification().await;
            std::future::pending::<()>().await;
        });
        eventually("it runs", async || (peer.counters().calls("slow") > before.0).then_some(()))
            .await;
        opening.abort_all();
        eventually("it is told", async || {
            (peer.counters().requests("notifications/cancelled") > before.1).then_some(())
        })
        .await;
        let seen = peer.seen();
        let last = |method: &str| -> Value {
            let seen = seen.iter().rev().find(|seen| seen.method == method).unwrap();
            serde_json::from_slice(&seen.body).unwrap()
        };
        let cancelled = last("notifications/cancelled");
        assert_eq!(cancelled["params"]["requestId"], last("tools/call")["id"]);
    }
    assert_eq!((peer.sessions().len(), peer.counters().deletes()), (watching + 1, deleted));
}

/// A legacy client that leaves has not cancelled anything: what it asked for is done.
#[tokio::test]
async fn a_legacy_client_that_leaves_cancels_nothing() {
    let peer = peers::modern().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let client = connect(&process).await;
    let done = Arc::new(Semaphore::new(0));
    let ended = Arc::clone(&done);
    let work = modern::handler(move |call: modern::Call| {
        let ended = Arc::clone(&ended);
        async move {
            call.notify("notifications/x-begun", "{}").await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            ended.add_permits(usize::from(!call.cancelled.is_cancelled()));
            modern::text("done")
        }
    });
    peer.add(Kind::Tools, &tool("work"), work);
    let mut stream = eventually("it can be called", async || {
        let stream = client.open_call("5", "a_work", "{}").await.unwrap();
        stream.is_stream().then_some(stream)
    })
    .await;
    stream.message().await.unwrap().unwrap();
    drop(stream);
    let done = tokio::time::timeout(Duration::from_secs(60), done.acquire());
    done.await.expect("it goes on").unwrap().forget();
    assert_eq!(peer.counters().abandoned(), 0);
}

/// Where no session is kept, that of a call on a legacy backend ends with it, whatever becomes of it.
#[tokio::test]
async fn no_session_is_left_at_a_legacy_backend() {
    let peer = peers::dying()
        .offer(Kind::Tools, &tool("fine"), raw::fixed(Answer::text("fine")))
        .offer(Kind::Tools, &tool("wrong"), raw::fixed(Answer::error(-7, "wrong")))
        .offer(Kind::Tools, &tool("hang"), raw::fixed(Answer::Hang))
        .start()
        .await
        .unwrap();
    let gateway =
        Gateway::before(&[("a", peer.url())]).with("operational: {timeouts: {default: 300ms}}");
    let process = serve(&gateway.with("bridge: {reuse: never}")).await;
    let client = modern_client(&process).log_level("debug");
    client.learn_tools().await.unwrap();
    let watching = peer.sessions().len();
    let opened = peer.counters().initializes();
    let mut calls = JoinSet::new();
    for form in [Form::Json, Form::Sse] {
        peer.set_form(form);
        for tool in ["fine", "wrong", "cut_off", "close", "close_after_event", "hang"] {
            let client = client.clone();
            calls.spawn(async move {
                client.call(&format!("a_{tool}"), json!({})).await.unwrap();
            });
        }
        while calls.join_next().await.is_some_and(|called| {
            called.unwrap();
            true
        }) {}
    }
    assert_eq!(peer.counters().initializes() - opened, 12, "one for each call");
    eventually("every session is ended", async || {
        (peer.sessions().len() == watching).then_some(())
    })
    .await;
}

/// What was refused before it was sent anywhere has cost nothing.
#[tokio::test]
async fn a_refused_call_opens_no_session() {
    let peer = peers::stateful().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let client = modern_client(&process);
    client.learn_tools().await.unwrap();
    let opened = peer.counters().initializes();
    for tool in ["nobody", "count"] {
        client.call(tool, json!({})).await.unwrap().error().unwrap();
    }
    client.request("no/such", json!({"requestState": "x"})).await.unwrap().error().unwrap();
    client.request("tools/list", json!({})).await.unwrap().result().unwrap();
    assert_eq!(peer.counters().initializes(), opened);
}

/// A server that takes its time over sessions, and a gateway that watches it.
async fn slow_to_open(bridge: &str) -> (raw::Running, Arc<Semaphore>, Process) {
    let gate = Arc::new(Semaphore::new(1_000));
    let waiting = Arc::clone(&gate);
    let hello = raw::handler(move |_: raw::Call| {
        let waiting = Arc::clone(&waiting);
        async move {
            waiting.acquire().await.unwrap().forget();
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"raw","version":"1"}}"#.into()
        }
    });
    let peer = RawServer::builder()
        .tool(&tool("fine"), Answer::text("fine"))
        .script("initialize", hello)
        .start()
        .await
        .unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())]).with(bridge)).await;
    (peer, gate, process)
}

/// The backend may have opened the session that nobody waits for any more: only its answer says which.
/// It is kept for the next call, and ended where none is kept.
#[tokio::test]
async fn a_session_that_is_being_opened_for_somebody_who_leaves_is_not_lost() {
    for (bridge, left) in [("bridge: {reuse: never}", 0), ("", 1)] {
        let (peer, gate, process) = slow_to_open(bridge).await;
        let client = modern_client(&process);
        client.learn_tools().await.unwrap();
        let watching = peer.sessions().len();
        let before = peer.counters().initializes();
        gate.forget_permits(gate.available_permits());
        let mut opening = JoinSet::new();
        let leaving = client.clone();
        opening.spawn(async move { leaving.call("a_fine", json!({})).await });
        eventually("it is asked", async || (peer.counters().initializes() > before).then_some(()))
            .await;
        opening.abort_all();
        eventually("the client has left", async || {
            (status(&process, "calls_in_flight").await == 0).then_some(())
        })
        .await;
        gate.add_permits(10);
        eventually("it is opened, and ended or kept", async || {
            let ended = usize::try_from(peer.counters().deletes()).unwrap();
            (ended + left == 1 && peer.sessions().len() == watching + left).then_some(())
        })
        .await;
        assert_eq!(peer.counters().calls("fine"), 0, "nobody waits for it");
        client.call("a_fine", json!({})).await.unwrap().text().unwrap();
        assert_eq!(peer.counters().initializes() - before, 2 - u64::try_from(left).unwrap());
    }
}

/// A backend that hangs is left, and the client told.
#[tokio::test]
async fn a_call_that_takes_too_long_is_cancelled() {
    let peer = peers::modern().start().await.unwrap();
    let gateway =
        Gateway::before(&[("a", peer.url())]).with("operational: {timeouts: {default: 200ms}}");
    let process = serve(&gateway).await;
    let client = modern_client(&process);
    let late = client.call("a_slow", json!({"delay_ms": 60_000})).await.unwrap();
    let error = late.error().unwrap();
    assert_eq!((&error["code"], &error["data"]["backend"]), (&json!(-32603), &json!("a")));
    peer.counters().until_abandoned(1).await.unwrap();
    assert_eq!(peer.counters().executions("slow"), 1);
    client.call("a_count", json!({})).await.unwrap().text().unwrap();
}

/// What is under way when vmcp ends is finished first.
#[tokio::test]
async fn a_call_that_is_under_way_at_the_end_is_finished() {
    let (new, old) = (peers::modern().start().await.unwrap(), peers::slow().start().await.unwrap());
    let mut process = serve(&Gateway::before(&[("new", new.url()), ("old", old.url())])).await;
    let client = modern_client(&process);
    client.learn_tools().await.unwrap();
    let mut calls = JoinSet::new();
    for backend in ["new", "old"] {
        let client = client.clone();
        calls.spawn(async move {
            let arguments = json!({"delay_ms": 300});
            client.call(&format!("{backend}_slow"), arguments).await.unwrap().text().unwrap()
        });
    }
    eventually("both run", async || {
        (new.counters().executions("slow") + old.counters().calls("slow") == 2).then_some(())
    })
    .await;
    process.signal(Signal::TERM).unwrap();
    assert_eq!(calls.join_all().await, ["done", "done"]);
    assert!(process.wait().await.unwrap().success());
    assert_eq!(new.counters().abandoned(), 0);
    assert!(old.sessions().is_empty(), "every session is given back");
}
