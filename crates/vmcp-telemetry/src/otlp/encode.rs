//! Writes what is sent as messages of OTLP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message as _;

use super::{LogRecord, proto};
use crate::{
    family::{Family, Histogram, MetricKind, Point, Value},
    spans::{Attribute, AttributeValue, Side, Span},
};

/// From whom everything is, and since when.
pub(super) struct Origin {
    resource: proto::Resource,
    scope: proto::Scope,
    started: SystemTime,
}

impl Origin {
    pub(super) fn new(resource: Vec<(String, String)>, started: SystemTime) -> Self {
        let attributes = resource.into_iter().map(|(name, text)| pair(name, kind(text))).collect();
        let scope =
            proto::Scope { name: "vmcp".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        Self { resource: proto::Resource { attributes }, scope, started }
    }
}

pub(super) fn spans(origin: &Origin, spans: Vec<Span>) -> Vec<u8> {
    let scope_spans = proto::ScopeSpans {
        scope: Some(origin.scope.clone()),
        spans: spans.into_iter().map(span).collect(),
    };
    let resource_spans = proto::ResourceSpans {
        resource: Some(origin.resource.clone()),
        scope_spans: vec![scope_spans],
    };
    proto::ExportTraceRequest { resource_spans: vec![resource_spans] }.encode_to_vec()
}

pub(super) fn logs(origin: &Origin, records: Vec<LogRecord>) -> Vec<u8> {
    let scope_logs = proto::ScopeLogs {
        scope: Some(origin.scope.clone()),
        log_records: records.into_iter().map(record).collect(),
    };
    let resource_logs = proto::ResourceLogs {
        resource: Some(origin.resource.clone()),
        scope_logs: vec![scope_logs],
    };
    proto::ExportLogsRequest { resource_logs: vec![resource_logs] }.encode_to_vec()
}

/// Also says how many points there are.
pub(super) fn metrics(origin: &Origin, families: Vec<Family>) -> (Vec<u8>, u64) {
    let now = SystemTime::now().max(origin.started);
    let times = (nanoseconds(origin.started), nanoseconds(now));
    let count = families.iter().map(|family| family.points.len() as u64).sum();
    let metrics = families.into_iter().filter(|family| !family.points.is_empty());
    let scope_metrics = proto::ScopeMetrics {
        scope: Some(origin.scope.clone()),
        metrics: metrics.map(|family| metric(family, times)).collect(),
    };
    let resource_metrics = proto::ResourceMetrics {
        resource: Some(origin.resource.clone()),
        scope_metrics: vec![scope_metrics],
    };
    let request = proto::ExportMetricsRequest { resource_metrics: vec![resource_metrics] };
    (request.encode_to_vec(), count)
}

fn span(span: Span) -> proto::Span {
    let is_remote = span.side == Side::Server && span.parent.is_some();
    let remote = if is_remote { proto::FLAG_IS_REMOTE } else { 0 };
    let event =
        |time| proto::Event { time_unix_nano: nanoseconds(time), name: "answered".to_owned() };
    let status = |message| proto::Status { message, code: proto::STATUS_ERROR };
    proto::Span {
        trace_id: span.trace.to_vec(),
        span_id: span.id.to_vec(),
        trace_state: span.state.map(String::from).unwrap_or_default(),
        parent_span_id: span.parent.map(Vec::from).unwrap_or_default(),
        name: span.name,
        kind: match span.side {
            Side::Server => proto::KIND_SERVER,
            Side::Client => proto::KIND_CLIENT,
        },
        start_time_unix_nano: nanoseconds(span.start),
        end_time_unix_nano: nanoseconds(span.end),
        attributes: pairs(span.attributes),
        events: span.answered.map(event).into_iter().collect(),
        status: span.error.map(status),
        // What is sent is sampled.
        flags: 1 | proto::FLAG_HAS_IS_REMOTE | remote,
    }
}

fn record(record: LogRecord) -> proto::LogRecord {
    let (trace_id, span_id) = match record.trace {
        Some((trace, span)) => (trace.to_vec(), span.to_vec()),
        None => (Vec::new(), Vec::new()),
    };
    let time = nanoseconds(record.time);
    proto::LogRecord {
        time_unix_nano: time,
        observed_time_unix_nano: time,
        severity_number: proto::SEVERITY_INFO,
        severity_text: record.severity.to_owned(),
        body: Some(proto::AnyValue { value: Some(kind(record.body)) }),
        attributes: pairs(record.attributes),
        trace_id,
        span_id,
    }
}

fn metric(family: Family, times: (u64, u64)) -> proto::Metric {
    let Family { metric, points } = family;
    let numbers = |points: Vec<Point>| {
        points.into_iter().filter_map(|point| number_point(point, times)).collect()
    };
    let data = match metric.kind {
        MetricKind::Counter => proto::MetricData::Sum(proto::Sum {
            data_points: numbers(points),
            aggregation_temporality: proto::CUMULATIVE,
            is_monotonic: true,
        }),
        MetricKind::Gauge => {
            proto::MetricData::Gauge(proto::Gauge { data_points: numbers(points) })
        }
        MetricKind::Histogram => {
            let points = points.into_iter().filter_map(|point| histogram_point(point, times));
            proto::MetricData::Histogram(proto::Histogram {
                data_points: points.collect(),
                aggregation_temporality: proto::CUMULATIVE,
            })
        }
    };
    proto::Metric {
        name: metric.name.to_owned(),
        description: metric.help.to_owned(),
        unit: metric.unit.to_owned(),
        data: Some(data),
    }
}

fn number_point(point: Point, (started, now): (u64, u64)) -> Option<proto::NumberPoint> {
    let value = match point.value {
        Value::Number(number) => proto::Number::Int(i64::try_from(number).unwrap_or(i64::MAX)),
        Value::Fraction(fraction) => proto::Number::Fraction(fraction),
        Value::Histogram(_) => return None,
    };
    Some(proto::NumberPoint {
        start_time_unix_nano: started,
        time_unix_nano: now,
        attributes: labels(point.attributes),
        value: Some(value),
    })
}

fn histogram_point(point: Point, (started, now): (u64, u64)) -> Option<proto::HistogramPoint> {
    let Value::Histogram(Histogram { bounds, counts, sum }) = point.value else { return None };
    Some(proto::HistogramPoint {
        start_time_unix_nano: started,
        time_unix_nano: now,
        count: counts.iter().sum(),
        sum: Some(sum),
        bucket_counts: counts,
        explicit_bounds: bounds.to_vec(),
        attributes: labels(point.attributes),
    })
}

fn labels(attributes: Vec<(&'static str, std::borrow::Cow<'static, str>)>) -> Vec<proto::KeyValue> {
    let label = |(name, text): (&str, std::borrow::Cow<'_, str>)| {
        pair(name.to_owned(), kind(text.into_owned()))
    };
    attributes.into_iter().map(label).collect()
}

fn pairs(attributes: Vec<Attribute>) -> Vec<proto::KeyValue> {
    let value = |value| match value {
        AttributeValue::Text(text) => kind(String::from(text)),
        AttributeValue::Name(name) => kind(name.to_owned()),
        AttributeValue::Int(number) => proto::AnyValueKind::Int(number),
    };
    attributes.into_iter().map(|(name, told)| pair(name.to_owned(), value(told))).collect()
}

fn kind(text: String) -> proto::AnyValueKind {
    proto::AnyValueKind::Text(text)
}

fn pair(key: String, value: proto::AnyValueKind) -> proto::KeyValue {
    proto::KeyValue { key, value: Some(proto::AnyValue { value: Some(value) }) }
}

/// Since 1970.
fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
