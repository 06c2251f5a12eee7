//! Calls that say nothing for a while.

use std::time::Duration;

use serde_json::{Value, json};
use vmcp_testkit::{
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    modern_client::ModernClient,
    raw::{Answer, Form, Kind, RawServer, handler},
};

use crate::{connect, serve};

/// A backend that says nothing at all for a while, not even how it will answer.
fn silent(form: Form) -> RawServer {
    let slow = handler(|_call| async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        Answer::text("done")
    });
    let failing = handler(|_call| async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        Answer::error(-32603, "failed")
    });
    let tool = |name| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
    RawServer::builder().form(form).offer(Kind::Tools, &tool("slow"), slow).offer(
        Kind::Tools,
        &tool("failing"),
        failing,
    )
}

#[tokio::test]
async fn a_silent_call_shows_that_it_is_alive_before_its_backend_has_answered() {
    let json = silent(Form::Json).start().await.unwrap();
    let sse = silent(Form::Sse).start().await.unwrap();
    let gateway = Gateway::before(&[("json", json.url()), ("sse", sse.url())]);
    let process = serve(&gateway.with("sessions: {keepAlive: 200ms}")).await;
    let (legacy, modern) = (connect(&process).await, ModernClient::new(&process.url()));
    for backend in ["json", "sse"] {
        let response = legacy.open_call("1", &format!("{backend}_slow"), "{}").await.unwrap();
        assert_eq!(response.header("content-type"), Some("text/event-stream"), "{backend}");
        let body = response.bytes().await.unwrap();
        let text = String::from_utf8_lossy(&body).into_owned();
        let comments = text.lines().filter(|line| line.starts_with(':')).count();
        assert!(comments >= 2, "{backend}: {text}");
        let (before, answer) = text.split_once("data: {").unwrap();
        assert!(before.lines().any(|line| line.starts_with(':')), "{backend}: {text}");
        assert!(answer.contains(r#""text":"done""#), "{backend}: {text}");

        for (tool, expected) in [("slow", "done"), ("failing", "failed")] {
            let params = json!({"name": format!("{backend}_{tool}"), "arguments": {}});
            let exchange = modern.open("tools/call", params).await.unwrap();
            assert!(exchange.is_stream(), "{backend} {tool}");
            assert_eq!(exchange.status(), 200, "{backend} {tool}");
            let answer = exchange.answer().await.unwrap();
            let text = String::from_utf8_lossy(&answer.message().bytes).into_owned();
            assert!(text.contains(expected), "{backend} {tool}: {text}");
        }
    }
    // What the status tells is told before.
    let params = json!({"name": "json_missing", "arguments": {}});
    assert_eq!(modern.open("tools/call", params).await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_client_that_takes_no_streams_waits_for_a_silent_call() {
    let backend = silent(Form::Json).start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("sessions: {keepAlive: 100ms}");
    let process = serve(&gateway).await;
    let json = "application/json";
    let mut legacy = Client::new(&process.url()).with_header("accept", json);
    legacy.initialize().await.unwrap();
    let mut response = legacy.open_call("1", "a_slow", "{}").await.unwrap();
    assert_eq!(response.header("content-type"), Some(json));
    assert_eq!(response.answer("1").await.unwrap().text().unwrap(), "done");
    let modern = ModernClient::new(&process.url()).header("accept", json);
    let answer = modern.call("a_slow", json!({})).await.unwrap();
    assert_eq!(answer.text().unwrap(), "done");
}

/// What goes on in such a stream goes on when the client has gone.
#[tokio::test]
async fn a_silent_call_is_not_cancelled_by_a_client_that_leaves() {
    let backend = silent(Form::Json).start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("sessions: {keepAlive: 100ms}");
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let mut response = client.open_call("1", "a_slow", "{}").await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    let in_flight = async || {
        let (_, report) = fetch(&process.url_of("/status")).await.unwrap();
        let report: Value = serde_json::from_slice(&report).unwrap();
        report["calls_in_flight"].clone()
    };
    assert_eq!(in_flight().await, 1);
    eventually("it ends", async || (in_flight().await == 0).then_some(())).await;
    assert_eq!(backend.counters().requests("notifications/cancelled"), 0);
}
