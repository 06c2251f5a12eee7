//! One trace from a client over two vmcp processes to a backend, whatever era client and backend have.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use vmcp_testkit::{
    CHILD,
    client::Client,
    gateway::Gateway,
    modern,
    modern_client::ModernClient,
    otlp::Receiver,
    peers,
    process::Process,
    raw::{self, Answer, RawServer},
};

use super::{PARENT, Spans, TRACE, telemetry, trace_id, traceparent};
use crate::serve;

/// By how much clocks of two processes may differ, each of which has taken the time once, when it began.
const SLACK: u64 = Duration::from_secs(1).as_nanos() as u64;

/// A client's vmcp, before another one, before a server of each kind.
pub(super) struct Chain {
    receiver: Receiver,
    outer: Process,
    inner: Process,
    raw: raw::Running,
    modern: modern::Running,
    logs: TempDir,
}

/// Which client calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    Legacy,
    Modern,
}

/// Which server is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Raw,
    Modern,
    Program,
}

/// What says where a call stands: `traceparent` and `tracestate`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told<'a> {
    pub(super) header: Option<&'a str>,
    pub(super) header_state: Option<&'a str>,
    pub(super) meta: Option<&'a str>,
    pub(super) meta_state: Option<&'a str>,
}

/// The same, as a backend got it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Got {
    pub(super) header: Option<String>,
    pub(super) header_state: Option<String>,
    pub(super) meta: Option<String>,
    pub(super) meta_state: Option<String>,
}

impl Asker {
    pub(super) const BOTH: [Self; 2] = [Self::Legacy, Self::Modern];
}

impl Chain {
    /// Both record this part of what no trace has led to.
    pub(super) async fn start(rate: &str) -> Self {
        let receiver = Receiver::start().await.unwrap();
        let logs = tempfile::tempdir().unwrap();
        let tool = r#"{"name":"echo","inputSchema":{"type":"object"}}"#;
        let raw = RawServer::builder().tool(tool, Answer::text("raw")).start().await.unwrap();
        let modern = peers::modern().start().await.unwrap();
        let start = async |name: &str, gateway: Gateway| {
            let keys = format!(", serviceName: {name}, samplingRate: '{rate}'");
            let log = logs.path().join(name);
            let audit = format!("audit: {{logFile: '{}'}}", log.display());
            serve(&gateway.with(&telemetry(&receiver, &keys)).with(&audit)).await
        };
        let backends = Gateway::before(&[("raw", raw.url()), ("modern", modern.url())]).backend(
            &format!("name: program, command: python3, args: ['{CHILD}'], isolation: session"),
        );
        let inner = start("inner", backends).await;
        let outer = start("outer", Gateway::before(&[("inner", inner.url())])).await;
        Self { receiver, outer, inner, raw, modern, logs }
    }

    /// Makes a call, and says what its backend was told.
    pub(super) async fn call(&self, asker: Asker, asked: Asked, told: Told<'_>) -> Got {
        let tool = match asked {
            Asked::Raw => "inner_raw_echo",
            Asked::Modern => "inner_modern_echo",
            Asked::Program => "inner_program_meta",
        };
        let answer = match asker {
            Asker::Legacy => call_legacy(&self.outer.url(), tool, told).await,
            Asker::Modern => call_modern(&self.outer.url(), tool, told).await,
        };
        match asked {
            Asked::Raw => {
                let seen = self.raw.seen();
                let last = seen.iter().rev().find(|seen| seen.method == "tools/call").unwrap();
                let body: Value = serde_json::from_slice(&last.body).unwrap();
                Got::of(&body["params"]["_meta"], |name| last.headers.get(name)?.to_str().ok())
            }
            Asked::Modern => {
                let last = self.modern.last("tools/call").unwrap();
                let body: Value = serde_json::from_slice(&last.body).unwrap();
                Got::of(&body["params"]["_meta"], |name| last.header(name))
            }
            Asked::Program => {
                let text = answer["result"]["content"][0]["text"].as_str();
                let meta = serde_json::from_str(text.unwrap_or_else(|| panic!("{answer}")));
                Got::of(&meta.unwrap(), |_| None)
            }
        }
    }

    /// Ends both, and gives their spans and the audit logs of both.
    pub(super) async fn end(self) -> (Spans, [Vec<Value>; 2]) {
        assert!(self.outer.terminate().await.unwrap().success());
        assert!(self.inner.terminate().await.unwrap().success());
        let records = ["outer", "inner"].map(|name| {
            let text = fs::read_to_string(self.logs.path().join(name)).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        });
        (Spans::of(&self.receiver.received().await), records)
    }
}

impl Got {
    fn of<'a>(meta: &Value, header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let text = |name: &str| meta[name].as_str().map(str::to_owned);
        Self {
            header: header("traceparent").map(str::to_owned),
            header_state: header("tracestate").map(str::to_owned),
            meta: text("traceparent"),
            meta_state: text("tracestate"),
        }
    }
}

async fn call_legacy(url: &str, tool: &str, told: Told<'_>) -> Value {
    let mut client = Client::connect(url).await.unwrap();
    for (name, value) in headers(told) {
        client = client.with_header(name, value);
    }
    let meta: Value = metas(told).map(|(name, text)| (name.to_owned(), json!(text))).collect();
    let params = json!({"name": tool, "arguments": {}, "_meta": meta}).to_string();
    client.request("1", "tools/call", &params).await.unwrap().json()
}

async fn call_modern(url: &str, tool: &str, told: Told<'_>) -> Value {
    let mut client = ModernClient::new(url).capable().tolerant();
    for (name, value) in headers(told) {
        client = client.header(name, value);
    }
    for (name, text) in metas(told) {
        client = client.meta(name, json!(text));
    }
    client.call(tool, json!({})).await.unwrap().message().json()
}

fn headers(told: Told<'_>) -> impl Iterator<Item = (&'static str, &str)> {
    named(told.header, told.header_state)
}

fn metas(told: Told<'_>) -> impl Iterator<Item = (&'static str, &str)> {
    named(told.meta, told.meta_state)
}

fn named<'a>(
    parent: Option<&'a str>,
    state: Option<&'a str>,
) -> impl Iterator<Item = (&'static str, &'a str)> {
    [("traceparent", parent), ("tracestate", state)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
}

/// Checks that a trace has the four spans of both vmcp, each with the right parent, and that the backend was told of
/// the last.
pub(super) fn assert_chain(spans: &Spans, trace: &str, parent: &str, told: &str) {
    assert_eq!(spans.of_trace(trace).len(), 4, "{:#?}", spans.of_trace(trace));
    let (outer, onward) = spans.pair(trace, "outer");
    let (inner, to_backend) = spans.pair(trace, "inner");
    assert_eq!(outer.parent(), parent);
    assert_eq!(inner.parent(), onward.id());
    assert_eq!(
        (&outer.0["remote"], &inner.0["remote"]),
        (&json!(!parent.is_empty()), &json!(true))
    );
    assert_eq!(told, format!("00-{trace}-{}-01", to_backend.id()));
    let ((start, end), (inner_start, inner_end)) = (onward.times(), inner.times());
    assert!(start <= inner_start + SLACK && inner_end <= end + SLACK, "{onward:#?} {inner:#?}");
}

/// Checks that the call of a trace is in an audit log under the trace's name.
fn assert_recorded(records: &[Value], trace: &str) {
    let of_trace = records.iter().filter(|one| one["metadata"]["extra"]["trace_id"] == trace);
    let methods: Vec<_> = of_trace.map(|record| &record["target"]["method"]).collect();
    assert_eq!(methods, ["tools/call"], "{trace}");
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

#[tokio::test]
async fn a_trace_goes_from_the_client_to_the_backend() {
    let began = nanoseconds(SystemTime::now());
    let chain = Chain::start("0").await;
    let mut cells = Vec::new();
    for asker in Asker::BOTH {
        for asked in [Asked::Raw, Asked::Modern, Asked::Program] {
            let trace = trace_id(cells.len());
            let parent = traceparent(&trace, "01");
            let told = Told {
                header: Some(&parent),
                header_state: Some("congo=t61rcWkgMzE,rojo=00f067"),
                ..Told::default()
            };
            let got = chain.call(asker, asked, told).await;
            cells.push((trace, asker, asked, got));
        }
    }
    let (spans, records) = chain.end().await;
    for (trace, asker, asked, got) in &cells {
        println!("{asker:?} {asked:?} {got:?}");
        let told = got.meta.as_deref().unwrap();
        assert_chain(&spans, trace, PARENT, told);
        let state = Some("congo=t61rcWkgMzE,rojo=00f067".to_owned());
        assert_eq!(got.meta_state, state, "{asker:?} {asked:?}");
        if *asked != Asked::Program {
            assert_eq!((got.header.as_deref(), &got.header_state), (Some(told), &state));
        }
        for span in spans.of_trace(trace) {
            assert_eq!(span.text("state"), "congo=t61rcWkgMzE,rojo=00f067");
            let ((start, end), now) = (span.times(), nanoseconds(SystemTime::now()));
            assert!(began <= start + SLACK && end <= now + SLACK, "{span:#?}");
        }
        let backend = &spans.pair(trace, "inner").1.0["attributes"]["target.workload_name"];
        assert_eq!(*backend, format!("{asked:?}").to_lowercase());
        for records in &records {
            assert_recorded(records, trace);
        }
    }
    // Nothing else was traced.
    assert_eq!(spans.traces().len(), cells.len());
    assert!(!spans.traces().contains(TRACE));
}
