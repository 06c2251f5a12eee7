//! Metrics at one moment, whoever reads them.

use std::borrow::Cow;

/// A metric: what it is, which stands in the table of all, and what it is for each set of attributes.
#[derive(Debug, Clone)]
pub struct Family {
    pub metric: &'static Metric,
    pub points: Vec<Point>,
}

/// What a metric is.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// As OpenTelemetry writes it: `mcp.server.operation.duration`. Prometheus has it with underscores, its unit
    /// and `_total`.
    pub name: &'static str,
    pub kind: MetricKind,
    /// In UCUM, as OpenTelemetry has it: `s`, `By`, `1`, `{session}`.
    pub unit: &'static str,
    /// A sentence without its full stop.
    pub help: &'static str,
    /// The attributes that it may have, as OpenTelemetry writes them.
    pub attributes: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only goes up, but for starts.
    Counter,
    Gauge,
    Histogram,
}

/// What a metric is for one set of attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// In the order of the metric's.
    pub attributes: Vec<(&'static str, Cow<'static, str>)>,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(u64),
    Fraction(f64),
    Histogram(Histogram),
}

/// How often something was how large.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// The upper bounds of all buckets but the last, which has none.
    pub bounds: &'static [f64],
    /// How many are in each bucket, without those in the ones before. One more than bounds.
    pub counts: Vec<u64>,
    pub sum: f64,
}
