//! An example of everything: requests of all kinds with names of all kinds, and all metrics that there are.

use std::time::Duration;

use vmcp_model::{
    Era, Kind, Method,
    trail::{End, Via, Why},
};
use vmcp_telemetry::{
    catalogue::METRICS,
    family::{Family, MetricKind},
    points::Families,
};

use crate::support::{Request, Server, call, metrics, without_target};

/// Names that are there to break whoever writes or reads them.
pub(crate) const HOSTILE: [&str; 12] = [
    "quote\"",
    "back\\slash",
    "line\nbreak",
    "return\r\n",
    "escape\u{1b}[31m",
    "nul\0",
    "closing\"} 1\n# TYPE fake counter",
    "{le=\"0.1\"}",
    "\u{202e}reversed",
    "日本語",
    "\\n",
    "x,y=\"z\"",
];

/// Requests of every kind that matters.
pub(crate) fn requests() -> Vec<Request> {
    let mut requests: Vec<_> = HOSTILE.iter().map(|name| call(name)).collect();
    requests.push(call(&"long".repeat(200)));
    requests.push(call(&format!("x{}", "é".repeat(100))));
    for method in Method::ALL {
        for era in [Era::Legacy, Era::Modern] {
            requests.push(Request { era, ..without_target(method) });
        }
    }
    for name in HOSTILE {
        let capability = Some((Kind::Prompt, name.to_owned()));
        requests.push(Request { method: Some(Method::PromptsGet), capability, ..call("") });
    }
    let ends = [
        End::ToolError,
        End::Error { code: -32602, message: "no".into() },
        End::Error { code: 4711, message: "no".into() },
        End::Failed { why: Why::Timeout, code: -32603, message: "no".into() },
    ];
    for (end, seconds) in ends.into_iter().zip([1, 20, 200, 2_000]) {
        let at_backend = Some(Duration::from_secs(seconds));
        requests.push(Request { end: Some(end), at_backend, ..call("search") });
    }
    for via in [Via::Get, Via::Delete] {
        let (method, end) = (None, None);
        requests.push(Request { via, method, end, ..without_target(Method::Ping) });
    }
    requests
}

/// Every metric that exists, those of requests and two points of all others.
pub(crate) fn families() -> Vec<Family> {
    let metrics = metrics(40);
    let server = Server::new(&metrics);
    requests().iter().for_each(|request| server.serve(request));
    let mut families = Families::default();
    families.extend(metrics.families());
    let counted = families.into_vec();
    let mut families = Families::default();
    for metric in METRICS {
        if counted.iter().any(|family| family.metric == *metric) {
            continue;
        }
        assert_ne!(metric.kind, MetricKind::Histogram, "{} has no points", metric.name);
        for value in ["plain", HOSTILE[6]] {
            let attributes: Vec<_> = metric.attributes.iter().map(|name| (*name, value)).collect();
            families.add(metric.by(&attributes, 7_u64));
        }
    }
    families.extend(counted);
    families.into_vec()
}
