//! Everything that is sent where nothing goes wrong.

use std::{
    borrow::Cow,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use vmcp_model::{
    BackendId, Era, Kind, Method,
    trace::{Parent, Trace},
    trail::{Asked, Details, End, Observer, Target, Trail, Via, Wants},
};
use vmcp_telemetry::{
    family::{Family, Histogram, Metric, MetricKind, Point, Value as MetricValue},
    otlp::{Exporter, LogRecord},
    spans::{AttributeValue, Style, Tracer, spans_of},
};

use crate::{config, exporter, nothing, receiver, span};

/// Exports the spans of all trails; each look at its clock takes a millisecond.
#[derive(Debug)]
struct Watch {
    tracer: Tracer,
    zero: SystemTime,
    clock: AtomicU64,
    exporter: Arc<Exporter>,
}

impl Observer for Watch {
    fn now(&self) -> Duration {
        Duration::from_millis(self.clock.fetch_add(1, Ordering::Relaxed))
    }

    fn wants(&self) -> Wants {
        Wants { details: true, traces: true, ..Wants::default() }
    }

    fn trace(&self, parent: Option<Parent>, state: Option<&str>) -> Option<Trace> {
        self.tracer.begin(parent, state)
    }

    fn take(&self, trail: &Trail, took: Duration) {
        let style = Style { server_name: "gateway".into(), legacy: false };
        if let Some((server, client)) = spans_of(trail, took, self.zero, &style) {
            self.exporter.record([server].into_iter().chain(client));
        }
    }
}

fn call(watch: &Arc<Watch>, parent: Option<Parent>) {
    let asked = Asked {
        via: Via::Post,
        method: Some(Method::ToolsCall),
        era: Era::Legacy,
        identity: None,
        address: Ipv4Addr::LOCALHOST.into(),
        trace: watch.trace(parent, parent.map(|_| "vendor=1")),
        details: Some(Box::new(Details {
            id: Some("7".into()),
            session: Some("a secret".into()),
            name: Some("add".into()),
            ..Details::default()
        })),
    };
    let trail = Trail::new(Arc::<Watch>::clone(watch), asked);
    let backend = BackendId::new("sums").unwrap();
    let capability = (Kind::Tool, "sums_add".into());
    trail.note_target(|| Target { backend: Some(backend), capability: Some(capability) });
    trail.note_sent();
    trail.note_answered();
    trail.note_status(200);
    trail.note_end(|| End::ToolError);
}

#[tokio::test]
async fn a_call_is_two_spans_of_its_callers_trace() {
    let receiver = receiver().await;
    let exporter = exporter(config(&receiver), nothing());
    let watch = Arc::new(Watch {
        tracer: Tracer::new(1.0, true),
        zero: SystemTime::now(),
        clock: AtomicU64::new(1),
        exporter: Arc::clone(&exporter),
    });
    call(&watch, Some(Parent { trace: [0xab; 16], span: [0xcd; 8], sampled: true }));
    call(&watch, Some(Parent { trace: [0xee; 16], span: [0xcd; 8], sampled: false }));
    call(&watch, None);
    let received = receiver.until("four spans", |received| crate::spans(received) == 4).await;
    let spans = received["spans"].as_array().unwrap();
    let (server, client) = (&spans[0], &spans[1]);
    assert_eq!(server["parent"], "cd".repeat(8));
    assert_eq!(server["remote"], true);
    assert_eq!(client["parent"], server["id"]);
    assert_eq!(client["remote"], false);
    for span in [server, client] {
        assert_eq!(span["trace"], "ab".repeat(16));
        assert_eq!(span["state"], "vendor=1");
        assert_eq!(span["name"], "tools/call sums_add");
        assert_eq!(span["status"], "STATUS_CODE_ERROR");
        assert_eq!(span["resource"], json!({"service.name": "gateway"}));
        assert_eq!(span["attributes"]["gen_ai.tool.name"], "sums_add");
        assert_eq!(span["attributes"]["error.type"], "tool_error");
    }
    assert_eq!(server["kind"], "SPAN_KIND_SERVER");
    assert_eq!(server["attributes"]["http.response.status_code"], 200);
    assert_eq!(server["attributes"]["jsonrpc.request.id"], "7");
    assert_eq!(client["kind"], "SPAN_KIND_CLIENT");
    assert_eq!(client["attributes"]["mcp.server.name"], "sums");
    assert_eq!(client["events"][0][0], "answered");
    let time = |time: &Value| time.as_u64().unwrap();
    assert_eq!(time(&client["start"]) - time(&server["start"]), 1_000_000);
    assert_eq!(time(&client["events"][0][1]) - time(&client["start"]), 1_000_000);
    assert_eq!(time(&client["end"]) - time(&client["start"]), 2_000_000);
    assert_eq!(client["end"], server["end"]);
    // One of vmcp's own.
    assert_eq!(spans[2]["parent"], "");
    assert!(!received.to_string().contains("a secret"));
    let key = &received["requests"][0]["headers"]["x-key"];
    assert_eq!(key, "the key of the receiver");
    assert!(!format!("{:?}", config(&receiver)).contains("the key"));
    assert_eq!(exporter.stats().traces.exported, 4);
}

static CALLS: Metric = Metric {
    name: "calls",
    kind: MetricKind::Counter,
    unit: "{call}",
    help: "Calls",
    attributes: &["tool"],
};
static SESSIONS: Metric = Metric {
    name: "sessions",
    kind: MetricKind::Gauge,
    unit: "{session}",
    help: "Sessions",
    attributes: &[],
};
static DURATION: Metric = Metric {
    name: "duration",
    kind: MetricKind::Histogram,
    unit: "s",
    help: "How long calls take",
    attributes: &[],
};

fn point(value: MetricValue) -> Point {
    Point { attributes: Vec::new(), value }
}

fn families() -> Vec<Family> {
    let tool = |name: &'static str, count| Point {
        attributes: vec![("tool", Cow::Borrowed(name))],
        value: MetricValue::Number(count),
    };
    let durations = Histogram { bounds: &[0.1, 1.0], counts: vec![3, 0, 1], sum: 4.5 };
    vec![
        Family { metric: &CALLS, points: vec![tool("add", 3), tool("subtract", 0)] },
        Family { metric: &SESSIONS, points: vec![point(MetricValue::Fraction(1.5))] },
        Family { metric: &DURATION, points: vec![point(MetricValue::Histogram(durations))] },
    ]
}

#[tokio::test]
async fn metrics_are_sent_again_and_again_as_they_are() {
    let receiver = receiver().await;
    let started = SystemTime::now() - Duration::from_secs(60);
    let mut config = config(&receiver);
    config.started = started;
    config.metrics_interval = Duration::from_millis(50);
    let exporter = exporter(config, Box::new(families));
    let twice = |received: &Value| received["metrics"].as_array().unwrap().len() >= 6;
    let received = receiver.until("metrics, twice", twice).await;
    let metrics = received["metrics"].as_array().unwrap();
    for metrics in [&metrics[..3], &metrics[3..6]] {
        let calls = &metrics[0];
        assert_eq!((&calls["name"], &calls["kind"]), (&json!("calls"), &json!("sum")));
        assert_eq!((&calls["unit"], &calls["monotonic"]), (&json!("{call}"), &json!(true)));
        assert_eq!(calls["points"][0]["value"], 3);
        assert_eq!(calls["points"][1]["value"], 0);
        assert_eq!(calls["points"][0]["attributes"], json!({"tool": "add"}));
        let since = started.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        assert_eq!(u128::from(calls["points"][0]["start"].as_u64().unwrap()), since);
        assert_eq!(metrics[1]["kind"], "gauge");
        assert_eq!(metrics[1]["points"][0]["value"], 1.5);
        assert_eq!(metrics[2]["kind"], "histogram");
        assert_eq!(metrics[2]["points"][0]["counts"], json!([3, 0, 1]));
        assert_eq!(metrics[2]["points"][0]["sum"], 4.5);
    }
    assert!(exporter.stats().metrics.exported >= 4);
}

#[tokio::test]
async fn records_know_the_span_that_they_belong_to() {
    let receiver = receiver().await;
    let exporter = exporter(config(&receiver), nothing());
    let record = LogRecord {
        time: SystemTime::now(),
        severity: "AUDIT",
        body: r#"{"type":"mcp_tool_call"}"#.to_owned(),
        attributes: vec![("type", AttributeValue::Name("mcp_tool_call"))],
        trace: Some(([3; 16], [4; 8])),
    };
    exporter.log(record.clone());
    exporter.log(LogRecord { trace: None, ..record });
    let both = |received: &Value| received["logs"].as_array().unwrap().len() == 2;
    let received = receiver.until("two records", both).await;
    let logs = received["logs"].as_array().unwrap();
    assert_eq!((&logs[0]["trace"], &logs[1]["trace"]), (&json!("03".repeat(16)), &json!("")));
    assert_eq!(logs[0]["span"], "04".repeat(8));
    for log in logs {
        assert_eq!(log["severity_text"], "AUDIT");
        assert_eq!(log["severity"], "SEVERITY_NUMBER_INFO");
        assert_eq!(log["body"], r#"{"type":"mcp_tool_call"}"#);
        assert_eq!(log["attributes"], json!({"type": "mcp_tool_call"}));
    }
}

/// A shutdown sends what there is, though its tasks are gone already, and the metrics as they are then.
#[tokio::test]
async fn the_end_sends_what_is_left() {
    let receiver = receiver().await;
    let exporter =
        Exporter::start(config(&receiver), Box::new(families), &|work| drop(work)).unwrap();
    exporter.record((0..1000).map(span));
    exporter.flush(crate::PATIENCE).await;
    let received = receiver.received().await;
    assert_eq!(crate::spans(&received), 1000);
    assert_eq!(received["metrics"].as_array().unwrap().len(), 3);
    exporter.record([span(0)]);
    let stats = exporter.stats();
    assert_eq!((stats.traces.exported, stats.traces.dropped), (1000, 1));
    assert_eq!(stats.metrics.exported, 4);
}
