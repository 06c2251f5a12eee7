//! What is exported, read and judged by OpenTelemetry's own classes (tools/otlp), whatever the receiver does.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests share fails them just as they fail themselves"
)]

mod trouble;
mod whole;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderName, HeaderValue};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use vmcp_telemetry::{
    otlp::{Config, Exporter, Gather, Work},
    spans::{Side, Span},
};
use vmcp_testkit::otlp::Receiver;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn receiver() -> Receiver {
    Receiver::start().await.unwrap()
}

/// A configuration that sends everything there, soon.
fn config(receiver: &Receiver) -> Config {
    let url = |path: &str| Some(receiver.url_of(path).parse().unwrap());
    Config {
        traces: url("/v1/traces"),
        metrics: url("/v1/metrics"),
        logs: url("/v1/logs"),
        headers: vec![(
            HeaderName::from_static("x-key"),
            HeaderValue::from_static("the key of the receiver"),
        )],
        insecure: true,
        resource: vec![("service.name".to_owned(), "gateway".to_owned())],
        batch_interval: Duration::from_millis(20),
        ..Config::new(SystemTime::now())
    }
}

/// An exporter whose work runs on this test's runtime until that ends.
fn exporter(config: Config, gather: Gather) -> Arc<Exporter> {
    let runtime = tokio::runtime::Handle::current();
    let spawn = |work: Work| drop(runtime.spawn(work));
    Exporter::start(config, gather, &spawn).unwrap()
}

fn nothing() -> Gather {
    Box::new(Vec::new)
}

/// Waits until the exporter says so.
async fn until(exporter: &Exporter, what: &str, is_so: impl Fn(&Exporter) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so(exporter) {
        assert!(Instant::now() < deadline, "not {what}: {exporter:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn span(number: u32) -> Span {
    let mut id = [1; 8];
    id[..4].copy_from_slice(&number.to_be_bytes());
    let now = SystemTime::now();
    Span {
        trace: [1; 16],
        id,
        parent: None,
        state: None,
        name: format!("span {number}"),
        side: Side::Server,
        start: now,
        end: now,
        attributes: Vec::new(),
        answered: None,
        error: None,
    }
}

fn spans(received: &Value) -> usize {
    received["spans"].as_array().unwrap().len()
}

fn requests(received: &Value) -> usize {
    received["requests"].as_array().unwrap().len()
}
