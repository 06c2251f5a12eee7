//! Clients that leave before they have their answer, streams that they leave, and what is under way at the end.

use tokio::task::JoinSet;
use vmcp_testkit::peers;

use super::*;

/// A tool that works for as long as a client waits for it: it ends when it is told to.
const LONG: &str = r#"{"delay_ms":60000}"#;

/// What it asked for goes on, and is recorded when it is done, with how it ended.
#[tokio::test]
async fn a_legacy_client_that_leaves_has_its_record_when_the_call_is_done() {
    let backend =
        peers::slow().tool(&tool("fails"), format!("{{{}}}", failing(1))).start().await.unwrap();
    let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), "").await;
    let client = audited.connect().await;
    for (name, meta, told) in [
        ("silent", "", "mcp_tool_call success tools/call tool=a_slow @a"),
        (
            "told",
            r#","_meta":{"progressToken":1}"#,
            "mcp_tool_call success tools/call tool=a_slow @a 200",
        ),
    ] {
        let params = format!(r#"{{"name":"a_slow","arguments":{{"delay_ms":1000}}{meta}}}"#);
        let calling = client.clone().with_header(NAME, name);
        let before = backend.counters().calls("slow");
        let mut leaving = JoinSet::new();
        leaving.spawn(async move {
            let mut response = calling.open("1", "tools/call", &params).await.unwrap();
            response.message().await.unwrap().unwrap();
            std::future::pending::<()>().await;
        });
        eventually("it runs", async || (backend.counters().calls("slow") > before).then_some(()))
            .await;
        if !meta.is_empty() {
            eventually("it has begun", async || {
                let seen = backend.seen();
                let calls = seen.iter().filter(|seen| seen.method == "tools/call").count();
                (calls == 2).then_some(())
            })
            .await;
            // Its first event is on its way.
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        leaving.shutdown().await;
        assert_eq!(audited.so_far().of(name), Vec::<String>::new(), "it goes on");
        assert_eq!(audited.recorded(name).await, [told]);
    }
    let records = audited.end().await;
    assert_eq!(records.0.len(), 4, "{:?}", records.by_type());
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
