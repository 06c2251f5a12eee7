//! Records of the audit log that are sent to the collector (`audit.otlp`).

use std::fs;

use serde_json::{Value, json};
use vmcp_testkit::{
    client::Client,
    gateway::{Gateway, eventually},
    modern_client::ModernClient,
    otlp::Receiver,
    peers,
};

use super::{Spans, telemetry, trace_id, traceparent};
use crate::serve;

/// What is in a record that is sent, as JSON.
fn body(log: &Value) -> Value {
    serde_json::from_str(log["body"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn records_are_sent_with_the_ids_of_their_spans() {
    let backend = peers::stateful().start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("audit.log");
    let into_file = format!(", logFile: '{}'", file.display());
    for keys in ["", &*into_file] {
        let receiver = Receiver::start().await.unwrap();
        let gateway = Gateway::before(&[("a", backend.url())])
            .with(&telemetry(&receiver, ", samplingRate: '0'"))
            .with(&format!("audit: {{otlp: true, component: here{keys}}}"));
        let process = serve(&gateway).await;
        let [sampled, unsampled, modern] = [1, 2, 3].map(trace_id);
        let client = Client::connect(&process.url()).await.unwrap();
        for (number, (trace, flags)) in [(&sampled, "01"), (&unsampled, "00")].iter().enumerate() {
            let calling = client.clone().with_header("traceparent", &traceparent(trace, flags));
            calling.call(&number.to_string(), "a_count", "{}").await.unwrap().text().unwrap();
        }
        client.call("2", "a_count", "{}").await.unwrap().text().unwrap();
        let calling = ModernClient::new(&process.url()).capable().tolerant();
        let calling = calling.meta("traceparent", json!(traceparent(&modern, "01")));
        calling.call("a_count", json!({})).await.unwrap().text().unwrap();
        let log = process.log();
        assert!(process.terminate().await.unwrap().success());
        assert!(!log.contains("audit_event") && !log.contains("AUDIT"), "{log}");

        let received = receiver.received().await;
        let logs = received["logs"].as_array().unwrap();
        let calls: Vec<_> =
            logs.iter().filter(|log| body(log)["type"] == "mcp_tool_call").collect();
        // initialize, initialized, and four calls.
        assert_eq!((logs.len(), calls.len()), (6, 4), "{logs:#?}");
        let spans = Spans::of(&received);
        let told = [Some((&sampled, true)), Some((&unsampled, false)), None, Some((&modern, true))];
        for (log, told) in calls.iter().zip(told) {
            assert_eq!(log["severity_text"], "AUDIT");
            assert_eq!(log["resource"]["service.name"], "vmcp");
            let record = body(log);
            assert_eq!(
                (&record["component"], &record["outcome"]),
                (&json!("here"), &json!("success"))
            );
            let (trace, is_sampled) = told.unzip();
            assert_eq!(log["trace"], trace.map_or("", |trace| trace.as_str()));
            let extra = &record["metadata"]["extra"];
            assert_eq!(extra["trace_id"], json!(trace), "{record:#}");
            if is_sampled == Some(true) {
                let (server, _) = spans.pair(trace.unwrap(), "vmcp");
                assert_eq!(log["span"], server.id());
                // The record is of the end of the span, to the millisecond.
                let (at, end) = (log["time"].as_u64().unwrap(), server.times().1);
                assert!(at.abs_diff(end) < 1_000_000_000, "{at} {end}");
            }
        }
        if !keys.is_empty() {
            let text = fs::read_to_string(&file).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            let sent: Vec<_> =
                logs.iter().map(|log| log["body"].as_str().unwrap().trim_end()).collect();
            assert_eq!(lines, sent);
        }
    }
}

/// Nothing else need be sent.
#[tokio::test]
async fn records_are_sent_alone() {
    let backend = peers::stateful().start().await.unwrap();
    let receiver = Receiver::start().await.unwrap();
    let section = format!(
        "telemetry: {{endpoint: '{}', serviceName: vmcp}}\naudit: {{otlp: true, eventTypes: [mcp_tool_call]}}",
        receiver.url()
    );
    let process = serve(&Gateway::before(&[("a", backend.url())]).with(&section)).await;
    let client = Client::connect(&process.url()).await.unwrap();
    let calling = client.with_header("traceparent", &traceparent(&trace_id(1), "01"));
    calling.call("1", "a_count", "{}").await.unwrap().text().unwrap();
    // It does not wait for the end.
    eventually("it is sent", async || {
        let received = receiver.received().await;
        (received["logs"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    assert!(process.terminate().await.unwrap().success());
    let received = receiver.received().await;
    assert_eq!(body(&received["logs"][0])["target"]["name"], "a_count");
    let requests = received["requests"].as_array().unwrap();
    assert!(requests.iter().all(|request| request["path"] == "/v1/logs"), "{requests:#?}");
    assert!(received["spans"].as_array().unwrap().is_empty());
}
