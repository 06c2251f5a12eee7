//! What is sent to a collector, as a receiver sees it that is somebody else's (tools/otlp).

mod errors;
mod hops;
mod log;
mod outage;
mod questions;
mod records;
mod sampling;
mod variables;

use std::collections::BTreeSet;

use serde_json::Value;
use vmcp_testkit::{gateway::Gateway, otlp::Receiver, process::Process};

use crate::serve;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A gateway that sends traces, and whoever receives them.
struct Traced {
    receiver: Receiver,
    process: Process,
}

/// Spans that the receiver has.
struct Spans(Vec<Span>);

/// One of them.
#[derive(Debug, Clone)]
struct Span(Value);

impl Traced {
    /// Starts one; `keys` are more of those of `telemetry`.
    async fn start(gateway: &Gateway, keys: &str) -> Self {
        let receiver = Receiver::start().await.unwrap();
        let process = serve(&gateway.clone().with(&telemetry(&receiver, keys))).await;
        Self { receiver, process }
    }

    fn url(&self) -> String {
        self.process.url()
    }

    /// Ends vmcp and gives all spans that it has sent.
    async fn end(self) -> Spans {
        assert!(self.process.terminate().await.unwrap().success());
        Spans::of(&self.receiver.received().await)
    }
}

impl Spans {
    fn of(received: &Value) -> Self {
        Self(received["spans"].as_array().unwrap().iter().cloned().map(Span).collect())
    }

    /// Those of a trace.
    fn of_trace(&self, trace: &str) -> Vec<&Span> {
        self.0.iter().filter(|span| span.0["trace"] == trace).collect()
    }

    /// The only one of a trace that has this kind, at this vmcp.
    fn one(&self, trace: &str, service: &str, kind: &str) -> &Span {
        let found: Vec<_> = self
            .of_trace(trace)
            .into_iter()
            .filter(|span| span.kind() == kind && span.service() == service)
            .collect();
        match found[..] {
            [span] => span,
            _ => panic!("{service} has {} spans {kind} of {trace}: {found:#?}", found.len()),
        }
    }

    /// The only span at a vmcp and the only one of what it has sent on.
    fn pair(&self, trace: &str, service: &str) -> (&Span, &Span) {
        let server = self.one(trace, service, "SPAN_KIND_SERVER");
        let client = self.one(trace, service, "SPAN_KIND_CLIENT");
        client.assert_within(server);
        (server, client)
    }

    fn traces(&self) -> BTreeSet<&str> {
        self.0.iter().map(|span| span.text("trace")).collect()
    }
}

impl Span {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap()
    }

    fn id(&self) -> &str {
        self.text("id")
    }

    fn parent(&self) -> &str {
        self.text("parent")
    }

    fn kind(&self) -> &str {
        self.text("kind")
    }

    fn service(&self) -> &str {
        self.0["resource"]["service.name"].as_str().unwrap()
    }

    /// When it began and ended, in nanoseconds since 1970.
    fn times(&self) -> (u64, u64) {
        (self.0["start"].as_u64().unwrap(), self.0["end"].as_u64().unwrap())
    }

    fn nanoseconds(&self) -> u64 {
        let (start, end) = self.times();
        end - start
    }

    /// Checks that it is a part of another one of the same process.
    fn assert_within(&self, outer: &Self) {
        assert_eq!(self.parent(), outer.id());
        assert_eq!(self.0["name"], outer.0["name"]);
        let ((outer_start, outer_end), (start, end)) = (outer.times(), self.times());
        assert!(outer_start <= start && end <= outer_end, "{self:#?} is not within {outer:#?}");
        // When the backend began to answer.
        for event in self.0["events"].as_array().unwrap() {
            let at = event[1].as_u64().unwrap();
            assert!(start <= at && at <= end, "{self:#?}");
        }
    }
}

/// The section of a vmcp that sends all its traces there, unless `keys` say something else.
fn telemetry(receiver: &Receiver, keys: &str) -> String {
    let rate = if keys.contains("samplingRate") { "" } else { ", samplingRate: '1'" };
    let name = if keys.contains("serviceName") { "" } else { ", serviceName: vmcp" };
    let endpoint = receiver.url();
    format!("telemetry: {{endpoint: '{endpoint}', tracingEnabled: true{rate}{name}{keys}}}")
}

/// A `traceparent` of this trace.
fn traceparent(trace: &str, flags: &str) -> String {
    format!("00-{trace}-{PARENT}-{flags}")
}

/// A trace id of a test's own.
fn trace_id(number: usize) -> String {
    format!("{TRACE:.24}{:08x}", number + 1)
}
