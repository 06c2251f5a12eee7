//! Clients that leave before they have their answer, streams that they leave, and what is under way at the end.

use std::sync::Arc;

use tokio::{sync::Semaphore, task::JoinSet};
use vmcp_testkit::peers;

use super::*;

/// A tool that works for as long as a client waits for it: it ends when it is told to.
const LONG: &str = r#"{"delay_ms":60000}"#;

/// What it asked for goes on, and is recorded when it is done, with how it ended.
#[tokio::test]
async fn a_legacy_client_that_leaves_has_its_record_when_the_call_is_done() {
    let done = Arc::new(Semaphore::new(0));
    let waiting = Arc::clone(&done);
    let work = raw::handler(move |call: raw::Call| {
        let done = Arc::clone(&waiting);
        async move {
            if let Some(token) = call.progress_token() {
                let params = format!(r#"{{"progressToken":{token},"progress":1}}"#);
                call.notify("notifications/progress", &params).await.unwrap();
            }
            done.acquire().await.unwrap().forget();
            format!("{{{}}}", failing(1)).into()
        }
    });
    let server = RawServer::builder().offer(Kind::Tools, &tool("work"), work);
    let backend = server.start().await.unwrap();
    let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), "").await;
    let client = audited.connect().await;

    let calling = client.clone().with_header(NAME, "silent");
    let mut leaving = JoinSet::new();
    leaving.spawn(async move { drop(calling.call("1", "a_work", "{}").await) });
    eventually("it runs", async || (backend.counters().calls("work") == 1).then_some(())).await;
    leaving.shutdown().await;

    let calling = client.clone().with_header(NAME, "told");
    let params = r#"{"name":"a_work","_meta":{"progressToken":1}}"#;
    let mut response = calling.open("2", "tools/call", params).await.unwrap();
    response.message().await.unwrap().unwrap();
    drop(response);

    // One that ends later has its record before theirs.
    client.clone().with_header(NAME, "ping").request("3", "ping", "{}").await.unwrap();
    audited.recorded("ping").await;
    for name in ["silent", "told"] {
        assert_eq!(audited.so_far().of(name), Vec::<String>::new(), "{name} goes on");
    }
    done.add_permits(2);
    let told = "mcp_tool_call application_error tools/call tool=a_work @a";
    assert_eq!(audited.recorded("silent").await, [told]);
    assert_eq!(audited.recorded("told").await, [format!("{told} 200")]);
    let records = audited.end().await;
    assert_eq!(records.0.len(), 5, "{:?}", records.by_type());
}

/// A modern client that leaves has cancelled its call.
#[tokio::test]
async fn a_modern_client_that_leaves_has_abandoned_its_call() {
    let work = modern::handler(async |call: modern::Call| {
        call.progress(1, 2).await.unwrap();
        call.cancelled.cancelled().await;
        Answer::Hang
    });
    let new = ModernServer::builder().offer(Kind::Tools, &tool("slow"), work);
    let (old, new) = (peers::slow().start().await.unwrap(), new.start().await.unwrap());
    let gateway = Gateway::before(&[("old", old.url()), ("new", new.url())]);
    let audited = Audited::start(&gateway, "").await;
    let client = audited.modern();
    client.learn_tools().await.unwrap();
    let mut expected = Vec::new();
    for backend in ["old", "new"] {
        let name = format!("{backend} silent");
        let params = json!({"name": format!("{backend}_slow"), "arguments": {"delay_ms": 60_000}});
        let calling = client.clone().header(NAME, &name);
        let mut leaving = JoinSet::new();
        let runs = || old.counters().calls("slow") + new.counters().executions("slow");
        let before = runs();
        leaving.spawn({
            let params = params.clone();
            async move { drop(calling.open("tools/call", params).await) }
        });
        eventually("it runs", async || (runs() > before).then_some(())).await;
        leaving.shutdown().await;
        let told =
            format!("mcp_tool_call failure tools/call tool={backend}_slow @{backend} abandoned");
        assert_eq!(audited.recorded(&name).await, [&*told]);
        expected.push((name, told));

        let name = format!("{backend} told");
        let calling = client.clone().header(NAME, &name).meta("progressToken", json!("t"));
        let mut exchange = calling.open("tools/call", params).await.unwrap();
        exchange.notification().await.unwrap();
        drop(exchange);
        let told = format!(
            "mcp_tool_call failure tools/call tool={backend}_slow @{backend} abandoned 200"
        );
        assert_eq!(audited.recorded(&name).await, [&*told]);
        expected.push((name, told));
    }
    let records = audited.end().await;
    records.assert_each(expected.iter().map(|(name, told)| (&**name, &**told)));
    assert_eq!(records.0.len(), expected.len() + 1);
}

/// A stream is what its client asked for, however it ends.
#[tokio::test]
async fn a_stream_has_its_record_when_it_has_ended() {
    let backend = modern_server("a").start().await.unwrap();
    let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), "").await;
    let client = audited.connect().await;
    let stream = client.clone().with_header(NAME, "get").listen(None).await.unwrap();
    let modern = audited.modern().header(NAME, "listen");
    let listening = modern.listen(json!({"toolsListChanged": true})).await.unwrap();
    // Another takes its place.
    let second = client.clone().with_header(NAME, "second").listen(None).await.unwrap();
    assert_eq!(audited.recorded("get").await, ["sse_connection success GET 200"]);
    drop(stream);
    // They would be in the file before that one.
    assert_eq!(audited.so_far().of("listen"), Vec::<String>::new());
    assert_eq!(audited.so_far().of("second"), Vec::<String>::new());
    drop((second, listening));
    audited.recorded("second").await;
    audited.recorded("listen").await;
    let records = audited.end().await;
    records.assert_each([
        ("get", "sse_connection success GET 200"),
        ("second", "sse_connection success GET 200"),
        ("listen", "mcp_request success subscriptions/listen 200"),
    ]);
    assert_eq!(records.0.len(), 5);
}

/// What is under way when vmcp ends has its record, whether or not it was still answered.
#[tokio::test]
async fn what_is_under_way_at_the_end_is_recorded() {
    let backend = peers::slow().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("sessions: {drainTimeout: 2s}");
    let audited = Audited::start(&gateway, "").await;
    let (legacy, modern) = (audited.connect().await, audited.modern());
    let mut calls = JoinSet::new();
    for (name, arguments) in [("soon", r#"{"delay_ms":500}"#), ("late", LONG)] {
        let id = if name == "soon" { "1" } else { "2" };
        let (client, modern) = (
            legacy.clone().with_header(NAME, &format!("legacy {name}")),
            modern.clone().header(NAME, &format!("modern {name}")),
        );
        calls.spawn(async move { drop(client.call(id, "a_slow", arguments).await) });
        calls.spawn(async move { drop(modern.call_literally("a_slow", arguments).await) });
    }
    let stream = legacy.clone().with_header(NAME, "stream").listen(None).await.unwrap();
    eventually("all run", async || (backend.counters().calls("slow") == 4).then_some(())).await;
    let records = audited.end().await;
    calls.join_all().await;
    drop(stream);
    for era in ["legacy", "modern"] {
        let soon = records.of(&format!("{era} soon"));
        assert_eq!(soon, ["mcp_tool_call success tools/call tool=a_slow @a 200"], "{era}");
        let late = records.of(&format!("{era} late"));
        assert_eq!(late.len(), 1, "{era}: {late:?}");
        assert!(!late[0].contains("success"), "{era}: {late:?}");
    }
    assert_eq!(records.of("stream"), ["sse_connection success GET 200"]);
    assert_eq!(records.0.len(), 2 + 4 + 1);
}
