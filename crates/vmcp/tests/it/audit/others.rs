//! Other ways to be answered: by programs, over HTTP+SSE, by vmcp itself, as tasks, late, and again.

use std::time::Duration;

use tokio::task::JoinSet;
use vmcp_testkit::{
    CHILD, chatting_sse,
    framing::http2::{Connection, frame, kind, request},
    modern::{META_CAPABILITIES, META_CLIENT_INFO, META_VERSION, VERSION},
    peers,
};

use super::*;

#[tokio::test]
async fn programs_and_servers_of_the_old_transport_have_the_same_records() {
    let sse = chatting_sse().await.unwrap();
    let gateway = Gateway::before(&[])
        .backend(&format!("name: kid, command: python3, args: ['{CHILD}']"))
        .backend(&format!("name: sse, url: '{}', transport: sse", sse.url()));
    let audited = Audited::start(&gateway.with("sessions: {initializeWait: 30s}"), "").await;
    let mut expected = Vec::new();
    for (era, asker) in Asker::both(&audited).await {
        for (tool, told) in [
            ("kid_count", "mcp_tool_call success tools/call tool=kid_count @kid 200"),
            ("sse_talk", "mcp_tool_call success tools/call tool=sse_talk @sse 200"),
            ("kid_die", "mcp_tool_call error tools/call tool=kid_die @kid backend code -32603 200"),
        ] {
            let name = format!("{era} {tool}");
            asker.ask(&name, "tools/call", named(tool)).await;
            expected.push((name, told));
        }
    }
    let records = audited.end().await;
    records.assert_each(expected.iter().map(|(name, told)| (&**name, *told)));
    assert_eq!(records.0.len(), expected.len() + 2);
}

#[tokio::test]
async fn a_tool_of_vmcps_own_has_no_backend() {
    let backend = legacy_server("a").start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).aggregation(
        "conflictResolution: prefix\nconflictResolutionConfig: {prefixFormat: '{workload}_'}\nstatusTool: true",
    );
    let audited = Audited::start(&gateway, "").await;
    let mut expected = Vec::new();
    for (era, asker) in Asker::both(&audited).await {
        asker.ask(&format!("{era} good"), "tools/call", named("vmcp_status")).await;
        let good = "mcp_tool_call success tools/call tool=vmcp_status 200".to_owned();
        expected.push((format!("{era} good"), good));
        let bad = json!({"name": "vmcp_status", "arguments": {"which": 1}});
        let (status, _) = asker.ask(&format!("{era} bad"), "tools/call", bad).await;
        let told = "mcp_tool_call failure tools/call tool=vmcp_status invalid code -32602";
        expected.push((format!("{era} bad"), format!("{told} {status}")));
    }
    let records = audited.end().await;
    records.assert_each(expected.iter().map(|(name, told)| (&**name, &**told)));
    assert_eq!(records.0.len(), expected.len() + 2);
}

#[tokio::test]
async fn tasks_have_a_record_for_each_request() {
    let backend = peers::tasks().start().await.unwrap();
    let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), "").await;
    let client = audited.connect().await;
    let named = |name: &str| client.clone().with_header(NAME, name);
    let params = r#"{"name":"a_work","arguments":{"delay_ms":60000},"task":{"ttl":60000}}"#;
    let begun = named("begin").request("1", "tools/call", params).await.unwrap().json();
    let task = begun["result"]["task"]["taskId"].as_str().unwrap().to_owned();
    let params = json!({"taskId": task}).to_string();
    named("get").request("2", "tasks/get", &params).await.unwrap().result().unwrap();
    named("list").request("3", "tasks/list", "{}").await.unwrap().result().unwrap();
    named("cancel").request("4", "tasks/cancel", &params).await.unwrap().result().unwrap();
    let other = r#"{"taskId":"a:none"}"#;
    let none = named("none").request("5", "tasks/get", other).await.unwrap();
    let code = none.error_code().unwrap();
    let records = audited.end().await;
    records.assert_each([
        ("begin", "mcp_tool_call success tools/call tool=a_work @a 200"),
        ("get", &*format!("mcp_request success tasks/get ={task} @a 200")),
        ("cancel", &*format!("mcp_request success tasks/cancel ={task} @a 200")),
        ("none", &*format!("mcp_request application_error tasks/get =a:none @a code {code} 200")),
    ]);
    assert_eq!(records.of("list").len(), 1);
    assert_eq!(records.0.len(), 7);
}

/// A call that says nothing for a while has its status before it has its answer.
#[tokio::test]
async fn the_status_is_what_the_client_got_though_the_answer_came_late() {
    let late = |answer: Answer| {
        modern::handler(move |_call: modern::Call| {
            let answer = answer.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(1500)).await;
                answer
            }
        })
    };
    let backend = ModernServer::builder()
        .offer(Kind::Tools, &tool("fine"), late(modern::text("fine")))
        .offer(Kind::Tools, &tool("bad"), late(modern::error(-32602, "bad")))
        .start()
        .await
        .unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("sessions: {keepAlive: 200ms}");
    let audited = Audited::start(&gateway, "").await;
    for (era, asker) in Asker::both(&audited).await {
        for tool in ["a_fine", "a_bad"] {
            let told = asker.ask(&format!("{era} {tool}"), "tools/call", named(tool)).await;
            assert_eq!(told.0, 200, "{era} {tool}");
        }
    }
    let records = audited.end().await;
    for era in ["legacy", "modern"] {
        records.assert_each([
            (&*format!("{era} a_fine"), "mcp_tool_call success tools/call tool=a_fine @a 200"),
            (
                &*format!("{era} a_bad"),
                "mcp_tool_call application_error tools/call tool=a_bad @a code -32602 200",
            ),
        ]);
    }
    assert_eq!(records.0.len(), 4 + 2);
}

/// The stream that is taken up again is a stream; the call has been recorded by itself.
#[tokio::test]
async fn an_answer_that_is_resumed_is_recorded_once() {
    let backend = peers::slow().start().await.unwrap();
    let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), "").await;
    let client = audited.connect().await;
    let params = r#"{"name":"a_slow","arguments":{"delay_ms":500},"_meta":{"progressToken":1}}"#;
    let calling = client.clone().with_header(NAME, "call");
    let mut response = calling.open("1", "tools/call", params).await.unwrap();
    let progress = response.message().await.unwrap().unwrap();
    drop(response);
    let resuming = client.clone().with_header(NAME, "resume");
    let mut rest = resuming.listen(progress.event_id.as_deref()).await.unwrap();
    rest.answer_so_far("1").await.unwrap().result().unwrap();
    drop(rest);
    let records = audited.end().await;
    records.assert_each([
        ("call", "mcp_tool_call success tools/call tool=a_slow @a 200"),
        ("resume", "sse_connection success GET 200"),
    ]);
    assert_eq!(records.0.len(), 4);
}

/// Over HTTP/2 a client leaves one call, and not its connection.
#[tokio::test]
async fn a_stream_of_http2_that_is_reset_is_a_client_that_leaves() {
    let backend = peers::slow().start().await.unwrap();
    let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), "").await;
    audited.modern().learn_tools().await.unwrap();
    let address = ("127.0.0.1", audited.process.port());
    let mut connection = Connection::open(address, &[]).await.unwrap();
    let authority = format!("127.0.0.1:{}", audited.process.port());
    let meta = json!({
        META_VERSION: VERSION,
        META_CLIENT_INFO: {"name": "t", "version": "1"},
        META_CAPABILITIES: {},
    });
    let params = json!({"_meta": meta, "name": "a_slow", "arguments": {"delay_ms": 60_000}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/mcp"),
        (":authority", &*authority),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", VERSION),
        ("mcp-method", "tools/call"),
        ("mcp-name", "a_slow"),
        (NAME, "reset"),
    ];
    connection.send(&request(1, &headers, body.to_string().as_bytes())).await.unwrap();
    eventually("it runs", async || (backend.counters().calls("slow") == 1).then_some(())).await;
    let reset = frame(kind::RST_STREAM, 0, 1, &8_u32.to_be_bytes());
    connection.send(&reset).await.unwrap();
    let told = "mcp_tool_call failure tools/call tool=a_slow @a abandoned";
    assert_eq!(audited.recorded("reset").await, [told]);
    assert_eq!(audited.end().await.0.len(), 2);
}

/// Many at once, of both eras, over connections of their own.
#[tokio::test]
async fn calls_at_once_have_one_record_each() {
    let (old, new) =
        (legacy_server("old").start().await.unwrap(), modern_server("new").start().await.unwrap());
    let gateway = Gateway::before(&[("old", old.url()), ("new", new.url())]);
    let audited = Audited::start(&gateway, "").await;
    let (legacy, modern) = (audited.connect().await, audited.modern());
    let mut calls = JoinSet::new();
    let mut names = Vec::new();
    for (number, tool) in (0..50).flat_map(|number| {
        ["old_fine", "new_fine", "old_fails", "new_wrong"].map(|tool| (number, tool))
    }) {
        let name = format!("legacy {tool} {number}");
        let (client, id) = (legacy.clone().with_header(NAME, &name), format!("\"{name}\""));
        calls.spawn(async move { drop(client.call(&id, tool, "{}").await.unwrap()) });
        names.push(name);
        let name = format!("modern {tool} {number}");
        let client = modern.clone().header(NAME, &name);
        calls.spawn(async move { drop(client.call(tool, json!({})).await.unwrap()) });
        names.push(name);
    }
    calls.join_all().await;
    let records = audited.end().await;
    for name in &names {
        let tool = name.split(' ').nth(1).unwrap();
        let told = records.of(name);
        assert_eq!(told.len(), 1, "{name}: {told:?}");
        let outcome = if tool.ends_with("fine") { "success" } else { "application_error" };
        let expected = format!("mcp_tool_call {outcome} tools/call tool={tool} @{}", &tool[..3]);
        assert!(told[0].starts_with(&expected), "{name}: {told:?}");
    }
    assert_eq!(records.0.len(), names.len() + 2);
}
