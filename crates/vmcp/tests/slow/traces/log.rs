//! The lines of requests in the log, which name their traces, and who can switch them on and off.

use std::fs;

use bytes::Bytes;
use http::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use vmcp_testkit::{
    client::Client,
    gateway::{Gateway, eventually},
    peers,
    process::{Process, free_port},
};

use super::{Traced, trace_id, traceparent};

const TOKEN: &str = "a-token-of-operators";

/// The lines of requests that the log has of a trace.
fn lines(process: &Process, trace: &str) -> Vec<Value> {
    let log = process.log();
    let of_trace = log.lines().filter(|line| line.contains(trace));
    let lines = of_trace.map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["target"] == "vmcp::requests").collect()
}

/// Calls in a trace, and gives what the log has of that once it has told of a call after it, or at once.
async fn call(traced: &Traced, client: &Client, number: usize, is_told: bool) -> Vec<Value> {
    let trace = trace_id(number);
    let calling = client.clone().with_header("traceparent", &traceparent(&trace, "01"));
    calling.call(&number.to_string(), "a_count", "{}").await.unwrap().text().unwrap();
    if is_told {
        eventually("its line is there", async || {
            (!lines(&traced.process, &trace).is_empty()).then_some(())
        })
        .await;
    }
    lines(&traced.process, &trace)
}

/// Sends the signal, and waits until the log has said so often what that has changed.
async fn toggle(traced: &Traced, said: &str, times: usize) {
    traced.process.signal(Signal::USR1).unwrap();
    eventually(said, async || (traced.process.log().matches(said).count() == times).then_some(()))
        .await;
}

#[tokio::test]
async fn each_request_has_a_line_with_its_trace() {
    let backend = peers::stateful().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("operational: {logLevel: debug}");
    let traced = Traced::start(&gateway, ", samplingRate: '0'").await;
    let client = Client::connect(&traced.url()).await.unwrap();
    let [line] = &call(&traced, &client, 1, true).await[..] else { panic!("one line") };
    assert_eq!((&line["level"], &line["method"]), (&json!("DEBUG"), &json!("tools/call")));
    assert_eq!((&line["name"], &line["backend"]), (&json!("a_count"), &json!("a")));
    assert_eq!((&line["end"], &line["status"]), (&json!("answered"), &json!(200)));
    assert_eq!(line["trace"], trace_id(1));
    assert!(line["ms"].as_f64().is_some_and(|took| took > 0.0), "{line}");
    client.call("9", "a_nothing", "{}").await.unwrap().error().unwrap();
    let log = traced.process.logged("\"name\":\"a_nothing\"").await;
    let told = log.lines().filter(|line| line.contains("vmcp::requests"));
    let told: Vec<Value> = told.map(|line| serde_json::from_str(line).unwrap()).collect();
    let methods: Vec<_> = told.iter().map(|line| line["method"].as_str().unwrap()).collect();
    let expected = ["initialize", "notifications/initialized", "tools/call", "tools/call"];
    assert_eq!(methods, expected);
    assert_eq!(told[3]["end"], "invalid");
    assert!(told[3].get("trace").is_none(), "{told:#?}");
    let session = client.session().unwrap();
    assert!(!log.contains(session), "a session's id is a secret");
    traced.end().await;
}

#[tokio::test]
async fn a_signal_switches_lines_on_and_off() {
    let backend = peers::stateful().start().await.unwrap();
    let traced = Traced::start(&Gateway::before(&[("a", backend.url())]), "").await;
    let client = Client::connect(&traced.url()).await.unwrap();
    for round in 0..2 {
        assert!(call(&traced, &client, 10 * round, false).await.is_empty());
        toggle(&traced, "everything is logged from now on", round + 1).await;
        assert_eq!(call(&traced, &client, 10 * round + 1, true).await.len(), 1);
        toggle(&traced, "no more is logged than before", round + 1).await;
        assert!(call(&traced, &client, 10 * round + 2, false).await.is_empty());
    }
    let process = &traced.process;
    let silent = [0, 2, 10, 12].map(trace_id);
    assert!(silent.iter().all(|trace| lines(process, trace).is_empty()), "{}", process.log());
    traced.end().await;
}

/// What an operator is answered.
async fn operate(url: &str, verb: Method, token: &str, body: &'static str) -> (u16, Value) {
    let shown = format!("Bearer {token}");
    let headers = [("authorization", &*shown), ("content-type", "application/json")];
    let headers = if token.is_empty() { &headers[1..] } else { &headers[..] };
    let answer = Client::new(url).send(verb, headers, Bytes::from(body)).await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

#[tokio::test]
async fn operators_with_a_proof_change_what_is_logged() {
    let backend = peers::stateful().start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, TOKEN).unwrap();
    let admin = free_port().unwrap();
    let section = format!(
        "admin: {{listen: '127.0.0.1:{admin}', auth: {{type: token, tokenFile: '{}'}}}}",
        file.display()
    );
    let gateway = Gateway::before(&[("a", backend.url())]).with(&section);
    let traced = Traced::start(&gateway, "").await;
    let client = Client::connect(&traced.url()).await.unwrap();
    let url = format!("http://127.0.0.1:{admin}/log");
    let configured = (200, json!({"level": "info", "targets": {}}));
    for verb in [Method::GET, Method::PUT, Method::DELETE] {
        for token in ["", "another"] {
            let body = r#"{"level":"debug"}"#;
            assert_eq!(operate(&url, verb.clone(), token, body).await.0, 401, "{verb} {token}");
        }
    }
    assert_eq!(operate(&url, Method::GET, TOKEN, "").await, configured);
    assert!(call(&traced, &client, 1, false).await.is_empty());

    // Of requests alone.
    let targets = json!({"vmcp::requests": "debug"});
    let changed = (200, json!({"level": "warn", "targets": targets}));
    let body = r#"{"level":"warn","targets":{"vmcp::requests":"debug"}}"#;
    assert_eq!(operate(&url, Method::PUT, TOKEN, body).await, changed);
    assert_eq!(operate(&url, Method::GET, TOKEN, "").await, changed);
    assert_eq!(call(&traced, &client, 2, true).await.len(), 1);
    for wrong in ["", "{", r#"{"level":"loud"}"#, r#"{"levels":"info"}"#] {
        let (status, told) = operate(&url, Method::PUT, TOKEN, wrong).await;
        assert_eq!(status, 400, "{wrong}: {told}");
    }
    assert_eq!(operate(&url, Method::GET, TOKEN, "").await, changed);
    assert_eq!(operate(&url, Method::POST, TOKEN, body).await.0, 405);

    assert_eq!(operate(&url, Method::DELETE, TOKEN, "").await, configured);
    assert!(call(&traced, &client, 3, false).await.is_empty());
    assert_eq!(operate(&url, Method::GET, TOKEN, "").await, configured);
    let process = &traced.process;
    assert!([1, 3].into_iter().all(|one| lines(process, &trace_id(one)).is_empty()));
    assert!(!process.log().contains(TOKEN));
    traced.end().await;
}

/// Whoever need not prove anything may look.
#[tokio::test]
async fn without_a_proof_nothing_is_changed() {
    let backend = peers::stateful().start().await.unwrap();
    let admin = free_port().unwrap();
    let gateway = Gateway::before(&[("a", backend.url())])
        .with(&format!("admin: {{listen: '127.0.0.1:{admin}'}}"));
    let traced = Traced::start(&gateway, "").await;
    let url = format!("http://127.0.0.1:{admin}/log");
    let configured = (200, json!({"level": "info", "targets": {}}));
    for verb in [Method::PUT, Method::DELETE] {
        let (status, told) = operate(&url, verb, "", r#"{"level":"trace"}"#).await;
        assert_eq!(status, 403, "{told}");
        assert!(told.to_string().contains("admin.auth"), "{told}");
    }
    assert_eq!(operate(&url, Method::GET, "", "").await, configured);
    traced.end().await;
}
