//! Metrics and traces: `telemetry`, and the environment variables of OpenTelemetry where it leaves something out.

mod collector;
pub(super) mod handed;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Uri};
use vmcp_model::percent_decoded;

use super::reader::Reader;

/// What is told of what was done, and to whom.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Telemetry {
    pub(crate) prometheus: Option<Prometheus>,
    pub(crate) otlp: Option<Otlp>,
    /// What is told of the server as a whole: names as OpenTelemetry has them, with what they are.
    pub(crate) resource: Vec<(String, String)>,
    /// Whether names of the reference system are told, too.
    pub(crate) legacy: bool,
    /// How many series are counted apart.
    pub(crate) max_series: usize,
}

/// Where metrics are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prometheus {
    /// Whether clients' listener serves them.
    pub(crate) to_clients: bool,
    /// A listener of their own.
    pub(crate) port: Option<u16>,
}

/// What is sent to a collector.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Otlp {
    /// The part of the requests that is traced.
    pub(crate) traces: Option<Sent<f64>>,
    /// How often metrics are sent.
    pub(crate) metrics: Option<Sent<Duration>>,
    /// Where records of what callers do are sent.
    pub(crate) logs: Option<Uri>,
    /// Their values are secrets.
    pub(crate) headers: HeaderMap,
    /// Authorities that vouch for the collector, in PEM, in place of the system's.
    pub(crate) ca_bundle: Option<Arc<[u8]>>,
    /// How long it may take to answer.
    pub(crate) timeout: Duration,
}

/// What is sent to a URL.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent<T> {
    pub(crate) to: Uri,
    pub(crate) what: T,
}

/// Reads what is told of what was done. `None` if nothing is. `name` is that of the server; `sends_audit` says that
/// records are sent to the collector, too.
pub(super) fn read(reader: &Reader<'_>, name: &str, sends_audit: bool) -> Option<Telemetry> {
    let telemetry = Telemetry {
        prometheus: prometheus(reader),
        otlp: collector::read(reader, sends_audit),
        resource: resource(reader, name),
        legacy: reader.flag("useLegacyAttributes").unwrap_or(true),
        max_series: reader.count("maxSeries"),
    };
    let is_told = telemetry.prometheus.is_some() || telemetry.otlp.is_some();
    (is_told && (reader.is_present() || sends_audit)).then_some(telemetry)
}

fn prometheus(reader: &Reader<'_>) -> Option<Prometheus> {
    let is_on = reader.flag("enablePrometheusMetricsPath").unwrap_or(false);
    let to_clients = reader.flag("metricsOnTransportPort").unwrap_or(true);
    let port = u16::try_from(reader.count("prometheusPort")).ok().filter(|port| *port > 0);
    if !is_on && let Some(value) = reader.value("prometheusPort") {
        value.problem("only takes effect with enablePrometheusMetricsPath: true");
    }
    is_on.then_some(Prometheus { to_clients, port })
}

fn resource(reader: &Reader<'_>, name: &str) -> Vec<(String, String)> {
    let variable = |name: &str| reader.variable(name).filter(|text| !text.trim().is_empty());
    let service = reader.text("serviceName").or_else(|| variable("OTEL_SERVICE_NAME"));
    let mut resource = vec![
        ("service.name".to_owned(), service.unwrap_or_else(|| name.to_owned())),
        (
            "service.version".to_owned(),
            reader.text("serviceVersion").unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned()),
        ),
    ];
    let mut add =
        |name: &str, text: String| match resource.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = text,
            None => resource.push((name.to_owned(), text)),
        };
    // As its specification has it: pairs with commas between them, percent-encoded.
    for pair in variable("OTEL_RESOURCE_ATTRIBUTES").iter().flat_map(|pairs| pairs.split(',')) {
        if let Some((name, text)) = pair.split_once('=')
            && name.trim() != "service.name"
        {
            let text = percent_decoded(text.trim().as_bytes());
            add(name.trim(), String::from_utf8_lossy(&text).into_owned());
        }
    }
    for (name, value) in reader.pairs("customAttributes") {
        if let Some(text) = value.any_text() {
            add(name, text);
        }
    }
    for (value, name) in reader.texts("environmentVariables") {
        match reader.variable(&name) {
            Some(text) => add(&name, text),
            None => value.warning(format!(
                "the environment variable {name} is not set, and nothing is told of it"
            )),
        }
    }
    resource
}
