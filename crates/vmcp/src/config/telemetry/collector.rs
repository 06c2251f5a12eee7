//! What is sent to an OpenTelemetry collector: keys, and the variables of OpenTelemetry's specification ("OpenTelemetry
//! Protocol Exporter") where they say nothing.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use vmcp_model::percent_decoded;

use super::{
    super::{file, fixed_headers, outgoing, reader::Reader},
    Otlp, Sent,
};

/// How much is traced, where nothing says so.
const RATE: f64 = 0.05;

/// How long the collector may take to answer, where nothing says so.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Reads what is sent to a collector. `None` if nothing is.
pub(super) fn read(reader: &Reader<'_>, sends_audit: bool) -> Option<Otlp> {
    let traced = reader.flag("tracingEnabled").unwrap_or(false);
    let measured = reader.flag("metricsEnabled").unwrap_or(false);
    let (rate, interval) = (rate(reader), interval(reader));
    let (base, headers) = (base(reader), headers(reader));
    let ca_bundle = reader.value("caCertPath").and_then(|value| file::certificates(&value));
    if !traced && !measured && !sends_audit {
        for name in ["endpoint", "headers", "caCertPath"] {
            if let Some(value) = reader.value(name) {
                value.warning(
                    "nothing is sent without tracingEnabled, metricsEnabled or audit.otlp",
                );
            }
        }
        return None;
    }
    let to = |signal: &str| {
        let own =
            variable(reader, &format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.to_uppercase()));
        let own = own.filter(|_| reader.value("endpoint").is_none());
        let base = base.as_ref().map(|base| format!("{}/v1/{signal}", base.trim_end_matches('/')));
        own.or(base)?.parse::<Uri>().ok()
    };
    let traces = traced.then(|| to("traces")).flatten().map(|to| Sent { to, what: rate });
    let metrics = measured.then(|| to("metrics")).flatten().map(|to| Sent { to, what: interval });
    let logs = sends_audit.then(|| to("logs")).flatten();
    let is_lost = traced && traces.is_none()
        || measured && metrics.is_none()
        || sends_audit && logs.is_none();
    if is_lost && !reader.has("endpoint") {
        reader.missing(
            "endpoint",
            "is required with tracingEnabled, metricsEnabled or audit.otlp: the collector that they are sent to; or set \
             OTEL_EXPORTER_OTLP_ENDPOINT",
        );
    }
    Some(Otlp { traces, metrics, logs, headers, ca_bundle, timeout: timeout(reader) })
}

fn variable(reader: &Reader<'_>, name: &str) -> Option<String> {
    reader.variable(name).filter(|text| !text.trim().is_empty())
}

/// The URL below which the collector takes what is sent.
fn base(reader: &Reader<'_>) -> Option<String> {
    let insecure = reader.flag("insecure").unwrap_or(false);
    let Some(value) = reader.value("endpoint") else {
        return variable(reader, "OTEL_EXPORTER_OTLP_ENDPOINT");
    };
    let text = value.text()?;
    let scheme = if insecure { "http" } else { "https" };
    let url = if text.contains("://") { text } else { format!("{scheme}://{text}") };
    let is_good = url.parse::<Uri>().is_ok_and(|uri| {
        let authority = uri.authority();
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.query().is_none()
            && authority.is_some_and(|authority| !authority.as_str().contains('@'))
    });
    if !is_good {
        // What stands there may hold a password.
        let quoted = if url.contains(['@', '?']) { "it".to_owned() } else { value.quoted() };
        value.problem(format!(
            "{quoted} is not host:port or an http or https URL without user and query; write otel-collector:4318"
        ));
        return None;
    }
    if insecure
        && url.starts_with("https")
        && let Some(insecure) = reader.value("insecure")
    {
        insecure.problem("contradicts endpoint, which begins with https; remove one of the two");
    }
    Some(url)
}

fn rate(reader: &Reader<'_>) -> f64 {
    let of_variable = || {
        let sampler = variable(reader, "OTEL_TRACES_SAMPLER")?;
        match sampler.trim_start_matches("parentbased_") {
            "always_on" => Some(1.0),
            "always_off" => Some(0.0),
            "traceidratio" => variable(reader, "OTEL_TRACES_SAMPLER_ARG")?.parse().ok(),
            _ => None,
        }
    };
    let Some(value) = reader.value("samplingRate") else {
        return of_variable().filter(|rate| (0.0..=1.0).contains(rate)).unwrap_or(RATE);
    };
    let rate = value.text().and_then(|text| text.trim().parse().ok());
    match rate.filter(|rate| (0.0..=1.0).contains(rate)) {
        Some(rate) => rate,
        None => {
            value.problem(format!("{} is not a number between 0 and 1", value.quoted()));
            RATE
        }
    }
}

fn interval(reader: &Reader<'_>) -> Duration {
    let own = reader.time("metricsInterval");
    match reader.value("metricsInterval") {
        Some(_) => own,
        None => milliseconds(reader, "OTEL_METRIC_EXPORT_INTERVAL").unwrap_or(own),
    }
}

fn timeout(reader: &Reader<'_>) -> Duration {
    milliseconds(reader, "OTEL_EXPORTER_OTLP_TIMEOUT").unwrap_or(TIMEOUT)
}

fn milliseconds(reader: &Reader<'_>, name: &str) -> Option<Duration> {
    let milliseconds = variable(reader, name)?.trim().parse().ok().filter(|count| *count > 0)?;
    Some(Duration::from_millis(milliseconds).min(Duration::from_secs(24 * 3600)))
}

/// Headers of the file, and those of the variable that it does not name.
fn headers(reader: &Reader<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for pair in
        variable(reader, "OTEL_EXPORTER_OTLP_HEADERS").iter().flat_map(|text| text.split(','))
    {
        let Some((name, text)) = pair.split_once('=') else { continue };
        let name = HeaderName::from_bytes(name.trim().as_bytes());
        let text = HeaderValue::from_bytes(&percent_decoded(text.trim().as_bytes()));
        if let (Ok(name), Ok(mut text)) = (name, text) {
            text.set_sensitive(true);
            headers.insert(name, text);
        }
    }
    for (name, value) in reader.pairs("headers") {
        let content = value.any_text().map(String::into_bytes);
        let content = content.and_then(|text| outgoing::header_value(&value, &text, "it"));
        match fixed_headers::name(name) {
            Ok(name) => _ = content.map(|content| headers.insert(name, content)),
            Err(why) => value.problem(why),
        }
    }
    headers
}
