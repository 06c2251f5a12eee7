//! Requests that end as a test says, counted as those of a server are.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use vmcp_model::{
    BackendId, Era, Kind, Method, ProtocolVersion,
    trace::{Parent, Trace},
    trail::{Asked, End, Observer, Target, Trail, Via, Wants},
};
use vmcp_telemetry::{
    family::{Family, Metric, Value},
    metrics::{Metrics, Settings},
};

/// A clock, and the metrics that count by it.
#[derive(Debug)]
pub(crate) struct Server {
    now: AtomicU64,
    metrics: Arc<Metrics>,
}

/// A request, and how it goes.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) via: Via,
    pub(crate) method: Option<Method>,
    pub(crate) era: Era,
    pub(crate) backend: Option<&'static str>,
    pub(crate) capability: Option<(Kind, String)>,
    pub(crate) end: Option<End>,
    pub(crate) status: u16,
    /// At the backend, if it is sent there.
    pub(crate) at_backend: Option<Duration>,
    /// Before and after.
    pub(crate) in_vmcp: Duration,
}

impl Observer for Server {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.now.load(Ordering::Relaxed))
    }

    fn wants(&self) -> Wants {
        Wants::default()
    }

    fn trace(&self, _parent: Option<Parent>, _state: Option<&str>) -> Option<Trace> {
        None
    }

    fn take(&self, trail: &Trail, took: Duration) {
        self.metrics.count(trail, took);
    }
}

impl Server {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { now: AtomicU64::new(1_000), metrics: Arc::clone(metrics) })
    }

    pub(crate) fn wait(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).expect("a short time");
        self.now.fetch_add(time, Ordering::Relaxed);
    }

    /// Makes the request. It is counted when its trail is dropped.
    pub(crate) fn trail(self: &Arc<Self>, request: &Request) -> Arc<Trail> {
        let observer: Arc<dyn Observer> = self.clone();
        let asked = Asked {
            via: request.via,
            method: request.method,
            era: request.era,
            identity: None,
            address: Ipv4Addr::LOCALHOST.into(),
            trace: None,
            details: None,
        };
        let trail = Trail::new(observer, asked);
        trail.note_version(ProtocolVersion::LATEST_LEGACY);
        if request.backend.is_some() || request.capability.is_some() {
            trail.note_target(|| Target {
                backend: request.backend.map(|name| BackendId::new(name).expect("a name")),
                capability: request
                    .capability
                    .as_ref()
                    .map(|(kind, name)| (*kind, name.as_str().into())),
            });
        }
        self.wait(request.in_vmcp);
        if let Some(time) = request.at_backend {
            trail.note_sent();
            self.wait(time);
            trail.note_answered();
        }
        if let Some(end) = &request.end {
            trail.note_end(|| end.clone());
        }
        if request.status != 0 {
            trail.note_status(request.status);
        }
        trail
    }

    /// Makes the request and counts it.
    pub(crate) fn serve(self: &Arc<Self>, request: &Request) {
        drop(self.trail(request));
    }

    /// Calls this tool, in ten milliseconds.
    pub(crate) fn call(self: &Arc<Self>, tool: &str) {
        self.serve(&call(tool));
    }
}

pub(crate) fn metrics(max_series: usize) -> Arc<Metrics> {
    let server = "vmcp".to_owned();
    Arc::new(Metrics::new(Settings { max_series, legacy: true, server }))
}

/// A call of a tool of `jira` that goes well: 8 ms at the backend, 2 ms elsewhere.
pub(crate) fn call(tool: &str) -> Request {
    Request {
        via: Via::Post,
        method: Some(Method::ToolsCall),
        era: Era::Legacy,
        backend: Some("jira"),
        capability: Some((Kind::Tool, tool.to_owned())),
        end: Some(End::Answered),
        status: 200,
        at_backend: Some(Duration::from_millis(8)),
        in_vmcp: Duration::from_millis(2),
    }
}

/// A request that leads to nothing.
pub(crate) fn without_target(method: Method) -> Request {
    let (backend, capability, at_backend) = (None, None, None);
    Request { method: Some(method), backend, capability, at_backend, ..call("") }
}

/// The points of a metric: attributes as one text, and the number or how often it happened.
pub(crate) fn points(families: &[Family], metric: &'static Metric) -> Vec<(String, u64)> {
    let family = families.iter().find(|family| family.metric == metric).expect("a metric");
    let points = family.points.iter().map(|point| {
        let attributes: Vec<_> =
            point.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let number = match &point.value {
            Value::Number(number) => *number,
            Value::Histogram(histogram) => histogram.counts.iter().sum(),
            Value::Fraction(_) => panic!("{} is a fraction", metric.name),
        };
        (attributes.join(" "), number)
    });
    points.collect()
}

/// The sum of those points of a metric that have this among their attributes.
pub(crate) fn sum(families: &[Family], metric: &'static Metric, with: &str) -> u64 {
    let points = points(families, metric);
    let with = |attributes: &str| with.split(' ').all(|one| attributes.contains(one));
    points.iter().filter(|(attributes, _)| with(attributes)).map(|(_, number)| number).sum()
}
