//! The receiver of `tools/otlp`, which reads what it is sent with OpenTelemetry's own classes and judges it.
//!
//! `tools/otlp/receiver.py` says what it can be asked and told.

use std::time::Duration;

use anyhow::Result;
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    client::{Client, fetch},
    process::{Process, Program},
};

/// How long [`Receiver::until`] waits before the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
const POLL: Duration = Duration::from_millis(20);

const TOOL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/otlp/run");

/// A receiver that runs. It ends when this value is dropped.
#[derive(Debug)]
pub struct Receiver {
    process: Process,
}

impl Receiver {
    /// The program, for a receiver at a port of its own.
    pub fn program() -> Program {
        Program::new(TOOL, &["{port}"])
    }

    pub async fn start() -> Result<Self> {
        Self::start_as(&Self::program()).await
    }

    pub async fn start_as(program: &Program) -> Result<Self> {
        Ok(Self { process: program.start().await? })
    }

    /// The URL below which it takes what is sent.
    pub fn url(&self) -> String {
        self.url_of("")
    }

    /// The URL of a path of it: `/v1/traces`.
    pub fn url_of(&self, path: &str) -> String {
        self.process.url_of(path)
    }

    /// Ends it as a crash would.
    pub async fn kill(self) -> Result<()> {
        self.process.kill().await.map(drop)
    }

    /// Says how the next requests are answered.
    pub async fn behave(&self, behaviours: &str) {
        self.post("/behave", behaviours).await;
    }

    /// Answers whatever is held, and holds nothing any more.
    pub async fn release(&self) {
        self.post("/release", "{}").await;
    }

    /// What it has taken so far. Panics if something is wrong with that.
    pub async fn received(&self) -> Value {
        let (status, text) = fetch(&self.url_of("/received")).await.expect("it answers");
        assert_eq!(status, 200);
        let received: Value = serde_json::from_slice(&text).expect("it answers JSON");
        assert_eq!(received["problems"], json!([]), "{received:#}");
        received
    }

    /// Waits until it has received what is wanted; panics when that takes too long.
    pub async fn until(&self, what: &str, is_there: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let received = self.received().await;
            if is_there(&received) {
                return received;
            }
            assert!(Instant::now() < deadline, "not {what}: {received:#}");
            sleep(POLL).await;
        }
    }

    async fn post(&self, path: &str, body: &str) {
        let client = Client::new(&self.url_of(path));
        let answer = client.send(Method::POST, &[], body.to_owned().into()).await;
        assert_eq!(answer.expect("it answers").status(), 200, "{path}");
    }
}
