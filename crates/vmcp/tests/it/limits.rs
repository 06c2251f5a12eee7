//! Everything has a bound, and at the bound there is a clear answer.

use http::StatusCode;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use vmcp_testkit::{
    client::{Client, Response},
    gateway::{Gateway, eventually},
    peers,
    process::Process,
    raw::Running,
};

use crate::{connect, serve};

async fn fixture(limits: &str) -> (Running, Process) {
    let backend = peers::slow().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with(&format!("limits: {limits}"));
    (backend, serve(&gateway).await)
}

async fn initialize(process: &Process) -> Response {
    let params = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#;
    Client::new(&process.url()).open("0", "initialize", params).await.unwrap()
}

fn assert_refused(response: &Response, status: StatusCode) {
    assert_eq!(response.status(), status);
    let wait: u64 = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

#[tokio::test]
async fn sessions_of_one_client() {
    let (_backend, process) = fixture("{sessionsPerClient: 2}").await;
    let (one, two) = (connect(&process).await, connect(&process).await);
    let mut refused = initialize(&process).await;
    assert_refused(&refused, StatusCode::TOO_MANY_REQUESTS);
    refused.answer("0").await.unwrap().error().unwrap();
    one.request("1", "ping", "{}").await.unwrap().result().unwrap();
    assert_eq!(one.delete().await.unwrap(), 200);
    eventually("there is room again", async || {
        (initialize(&process).await.status() == 200).then_some(())
    })
    .await;
    two.request("1", "ping", "{}").await.unwrap().result().unwrap();
}

#[tokio::test]
async fn sessions_of_all_clients() {
    let (_backend, process) = fixture("{sessions: 1}").await;
    let one = connect(&process).await;
    let mut refused = initialize(&process).await;
    assert_refused(&refused, StatusCode::SERVICE_UNAVAILABLE);
    refused.answer("0").await.unwrap().error().unwrap();
    one.request("1", "ping", "{}").await.unwrap().result().unwrap();
    assert_eq!(one.delete().await.unwrap(), 200);
    eventually("there is room again", async || {
        (initialize(&process).await.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn calls_of_one_session() {
    let (backend, process) = fixture("{callsPerSession: 1}").await;
    let (client, other) = (connect(&process).await, connect(&process).await);
    let params = r#"{"name":"a_slow","arguments":{"delay_ms":400},"_meta":{"progressToken":1}}"#;
    let mut first = client.open("1", "tools/call", params).await.unwrap();
    first.message().await.unwrap().unwrap();
    let mut refused = client.open_call("2", "a_slow", "{}").await.unwrap();
    // Some clients take another status for the end of the whole session.
    assert_eq!(refused.status(), StatusCode::OK);
    let answer = refused.answer("2").await.unwrap();
    let told = answer.error().unwrap();
    assert!(told.contains("limits.callsPerSession"), "{told}");
    client.request("3", "ping", "{}").await.unwrap().result().unwrap();
    other.call("1", "a_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    first.answer("1").await.unwrap().result().unwrap();
    client.call("4", "a_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    assert_eq!(backend.counters().calls("slow"), 3);
}

/// Large bodies that are on their way, and those of calls under way.
#[tokio::test]
async fn large_requests_of_all_clients() {
    const LARGE: usize = 1 << 20;
    let limits = "{requestBytes: 2MiB, heldRequestBytes: 4MiB}";
    let (_backend, process) = fixture(limits).await;
    let client = connect(&process).await;
    let before = process.memory().unwrap();
    let mut unfinished = Vec::new();
    for _connection in 0..100 {
        let mut socket = TcpStream::connect(("127.0.0.1", process.port())).await.unwrap();
        let head = format!(
            "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: application/json, text/event-stream\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            LARGE + 1
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        // What is refused is not read to the end.
        let _ = socket.write_all(&vec![b' '; LARGE]).await;
        unfinished.push(socket);
    }
    eventually("one more is refused", async || {
        let text = format!(r#"{{"text":"{}"}}"#, "x".repeat(LARGE));
        let refused = client.open_call("1", "a_slow", &text).await.unwrap();
        (refused.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    let grown = process.memory().unwrap().saturating_sub(before);
    assert!(grown < 50 * LARGE as u64, "{grown} bytes");
    // Small ones are no part of it.
    client.call("2", "a_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    drop(unfinished);
    eventually("there is room again", async || {
        let text = format!(r#"{{"delay_ms":1,"text":"{}"}}"#, "x".repeat(LARGE));
        let answer = client.open_call("3", "a_slow", &text).await.unwrap();
        (answer.status() == StatusCode::OK).then_some(())
    })
    .await;
}

#[tokio::test]
async fn calls_to_one_backend() {
    let (full, free) = (peers::slow().start().await.unwrap(), peers::slow().start().await.unwrap());
    let gateway = Gateway::before(&[("a", full.url()), ("b", free.url())]);
    let process = serve(&gateway.with("limits: {callsPerBackend: 1}")).await;
    let (one, two) = (connect(&process).await, connect(&process).await);
    // The gateway's own questions for what there is do not count.
    for client in [&one, &two] {
        eventually("the backends have made their offers", async || {
            let list = client.request("0", "tools/list", "{}").await.unwrap();
            (list.keys("tools", "name").unwrap() == ["a_slow", "b_slow"]).then_some(())
        })
        .await;
    }
    // Both have their backend session, so that only calls are counted.
    for client in [&one, &two] {
        client.call("0", "a_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    }
    let params = r#"{"name":"a_slow","arguments":{"delay_ms":400},"_meta":{"progressToken":1}}"#;
    let mut first = one.open("1", "tools/call", params).await.unwrap();
    first.message().await.unwrap().unwrap();
    let mut refused = two.open_call("2", "a_slow", r#"{"delay_ms":1}"#).await.unwrap();
    // Some clients take another status for the end of the whole session.
    assert_eq!(refused.status(), StatusCode::OK);
    let answer = refused.answer("2").await.unwrap();
    let told = answer.error().unwrap();
    assert!(told.contains("has 1 requests under way already (limits.callsPerBackend)"), "{told}");
    two.call("3", "b_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    first.answer("1").await.unwrap().result().unwrap();
    two.call("4", "a_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
}

#[tokio::test]
async fn get_streams_of_all_clients() {
    let (_backend, process) = fixture("{streams: 1}").await;
    let (one, two) = (connect(&process).await, connect(&process).await);
    let open = one.listen(None).await.unwrap();
    assert_eq!(open.status(), StatusCode::OK);
    assert_refused(&two.listen(None).await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    drop(open);
    eventually("there is room again", async || {
        (two.listen(None).await.unwrap().status() == 200).then_some(())
    })
    .await;
}

/// A client whose connection broke without anybody noticing must be able to come back.
#[tokio::test]
async fn a_stream_that_takes_over_needs_no_room() {
    let (_backend, process) = fixture("{streams: 1}").await;
    let client = connect(&process).await;
    let mut old = client.listen(None).await.unwrap();
    let new = client.listen(None).await.unwrap();
    assert_eq!(new.status(), StatusCode::OK);
    while old.event().await.unwrap().is_some() {}
}

#[tokio::test]
async fn results_and_events_of_a_backend() {
    let backend = peers::huge().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]);
    let process = serve(&gateway.with("limits: {responseBytes: 256KiB, eventBytes: 64KiB}")).await;
    let client = connect(&process).await;
    let small = client.call("1", "a_huge", r#"{"bytes":30000}"#).await.unwrap();
    assert_eq!(small.text().unwrap().len(), 30_000);
    let large = client.call("2", "a_huge", r#"{"bytes":200000}"#).await.unwrap();
    assert_eq!(large.text().unwrap().len(), 200_000);
    // Too large: an error, or the connection broken off; never a result that looks whole.
    if let Ok(answer) = client.call("3", "a_huge", r#"{"bytes":400000}"#).await {
        answer.error().unwrap();
    }
    backend.set_form(vmcp_testkit::raw::Form::Sse);
    let small = client.call("4", "a_huge", r#"{"bytes":30000}"#).await.unwrap();
    assert_eq!(small.text().unwrap().len(), 30_000);
    let large = client.call("5", "a_huge", r#"{"bytes":100000}"#).await.unwrap();
    assert!(large.error().unwrap().contains("backend a"), "{large:?}");
}
