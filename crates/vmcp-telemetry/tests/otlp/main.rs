//! What is exported, read and judged by OpenTelemetry's own classes (tools/otlp), whatever the receiver does.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests share fails them just as they fail themselves"
)]

mod trouble;
mod whole;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderName, HeaderValue, Method};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use vmcp_telemetry::{
    otlp::{Config, Exporter, Gather, Work},
    spans::{Side, Span},
};
use vmcp_testkit::{
    client::{Client, fetch},
    process::{Process, Program},
};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The receiver of tools/otlp.
struct Receiver {
    process: Process,
}

impl Receiver {
    async fn start() -> Self {
        Self::start_as(&program()).await
    }

    async fn start_as(program: &Program) -> Self {
        Self { process: program.start().await.unwrap() }
    }

    /// Says how the next requests are answered.
    async fn behave(&self, behaviours: &str) {
        self.post("/behave", behaviours).await;
    }

    async fn release(&self) {
        self.post("/release", "{}").await;
    }

    async fn post(&self, path: &str, body: &str) {
        let client = Client::new(&self.process.url_of(path));
        let answer = client.send(Method::POST, &[], body.to_owned().into()).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }

    async fn received(&self) -> Value {
        let (status, text) = fetch(&self.process.url_of("/received")).await.unwrap();
        assert_eq!(status, 200);
        let received: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(received["problems"], serde_json::json!([]), "{received:#}");
        received
    }

    /// Waits until it has received what is wanted.
    async fn until(&self, what: &str, is_there: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let received = self.received().await;
            if is_there(&received) {
                return received;
            }
            assert!(Instant::now() < deadline, "not {what}: {received:#}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// A configuration that sends everything here, soon.
    fn config(&self) -> Config {
        let url = |path: &str| Some(self.process.url_of(path).parse().unwrap());
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
}

fn program() -> Program {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/otlp/run");
    Program::new(tool, &["{port}"])
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
