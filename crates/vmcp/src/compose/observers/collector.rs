//! The collector that is sent traces, metrics and records.

use std::{sync::Arc, time::SystemTime};

use anyhow::Context as _;
use vmcp_audit::Shown;
use vmcp_core::Background;
use vmcp_telemetry::{
    catalogue::server,
    family::Family,
    otlp::{Config, Exporter, Gather, LogRecord, SignalStats, Stats},
};

use crate::config::{Otlp, Sent, Telemetry};

/// Which process it is, as OpenTelemetry names that.
const INSTANCE: &str = "service.instance.id";

/// How severe records are, as the log of the reference system has it.
const SEVERITY: &str = "AUDIT";

/// Begins to send what a configuration asks for; nothing if it asks for nothing.
pub(super) fn start(
    telemetry: &Telemetry,
    started: SystemTime,
    gather: Gather,
    background: &Background,
) -> anyhow::Result<Option<Arc<Exporter>>> {
    let Some(otlp) = &telemetry.otlp else { return Ok(None) };
    let Otlp { traces, metrics, logs, headers, ca_bundle, timeout } = otlp;
    let mut config = Config::new(started);
    config.traces = traces.as_ref().map(|Sent { to, .. }| to.clone());
    if let Some(Sent { to, what }) = metrics {
        config.metrics = Some(to.clone());
        config.metrics_interval = *what;
    }
    config.logs.clone_from(logs);
    config.headers = headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    config.ca_bundle = ca_bundle.as_ref().map(|bytes| bytes.to_vec());
    let urls = [&config.traces, &config.metrics, &config.logs];
    config.insecure = urls.into_iter().flatten().any(|url| url.scheme_str() == Some("http"));
    config.timeout = *timeout;
    config.resource.clone_from(&telemetry.resource);
    if config.resource.iter().all(|(name, _)| name != INSTANCE) {
        // Replicas of one configuration are otherwise one server to the collector.
        let since = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        config.resource.push((INSTANCE.to_owned(), format!("{since:x}-{:x}", std::process::id())));
    }
    let spawn = |work| drop(background.spawn_until_stop(work));
    Exporter::start(config, gather, &spawn).context("telemetry.caCertPath").map(Some)
}

/// Sends a record.
pub(super) fn log(exporter: &Exporter, shown: &Shown<'_>) {
    exporter.log(LogRecord {
        time: shown.at,
        severity: SEVERITY,
        body: String::from_utf8_lossy(shown.line).into_owned(),
        attributes: Vec::new(),
        trace: shown.trace,
    });
}

/// What became of what was to be sent.
pub(super) fn families(stats: &Stats) -> Vec<Family> {
    let signals = [("traces", stats.traces), ("metrics", stats.metrics), ("logs", stats.logs)];
    let of_one = |(signal, SignalStats { exported, dropped, failed, queued: _ })| {
        let of = [("vmcp.signal", signal)];
        [server::OTLP_EXPORTED.by(&of, exported), server::OTLP_DROPPED.by(&of, dropped + failed)]
    };
    signals.into_iter().flat_map(of_one).collect()
}
