//! Whoever wants to know what clients send and how that ends: metrics, the audit log, and a collector of traces.

mod collector;

use std::{
    sync::{Arc, OnceLock, Weak},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use tokio::time::Instant;
use tracing::Level;
use vmcp_audit::{Also, Auditor, StartError};
use vmcp_core::Background;
use vmcp_model::{
    Method,
    trace::{Parent, Trace},
    trail::{End, Observer, Trail, Wants},
};
use vmcp_server::{Edge, Exposition, LogControl, Told};
use vmcp_telemetry::{
    catalogue::{process, server},
    exposition,
    family::Family,
    metrics::{Metrics, Settings},
    otlp::{Exporter, Stats},
    points::Families,
    spans::{Style, Tracer, spans_of},
};

use super::process::Process;
use crate::{
    config::{Audit, Prometheus, Telemetry},
    logging::Threshold,
};

/// What the lines of requests in the log are by.
const REQUESTS: &str = "vmcp::requests";

/// How long the collector is waited for at the end.
const FAREWELL: Duration = Duration::from_secs(3);

/// All of them.
#[derive(Clone)]
pub(super) struct Observers(Arc<Inner>);

struct Inner {
    started: Instant,
    /// The same moment, as clocks on walls have it.
    started_at: SystemTime,
    metrics: Option<Arc<Metrics>>,
    auditor: Option<Auditor>,
    tracer: Option<(Tracer, Style)>,
    exporter: Option<Arc<Exporter>>,
    wants: Wants,
    /// What the server knows, once there is one.
    edge: OnceLock<Weak<Edge>>,
}

/// The key that asks for what has failed.
fn key_of(error: &StartError) -> &'static str {
    match error {
        StartError::Open { .. } => "audit.logFile",
        StartError::Rotate { .. } => "audit.maxFileBytes",
        StartError::Stdout(_) | StartError::Randomness | StartError::Thread(_) => "audit",
    }
}

impl Observers {
    /// Makes those that a configuration asks for.
    pub(super) fn start(
        name: &str,
        telemetry: Option<&Telemetry>,
        audit: Option<Audit>,
        background: &Background,
    ) -> anyhow::Result<Self> {
        let (started, started_at) = (Instant::now(), SystemTime::now());
        let metrics = telemetry.filter(|telemetry| tells_metrics(telemetry)).map(|telemetry| {
            Arc::new(Metrics::new(Settings {
                max_series: telemetry.max_series,
                legacy: telemetry.legacy,
                server: name.to_owned(),
            }))
        });
        // Metrics are sent of what is made here.
        let known = Arc::new(OnceLock::<Weak<Inner>>::new());
        let gathered = Arc::clone(&known);
        let gather = move || {
            let inner = gathered.get().and_then(Weak::upgrade);
            inner.map(|inner| Self(inner).families()).unwrap_or_default()
        };
        let exporter = telemetry
            .map(|telemetry| collector::start(telemetry, started_at, Box::new(gather), background))
            .transpose()?
            .flatten();
        let also = exporter.clone().filter(|exporter| exporter.sends_logs());
        let also = also
            .map(|exporter| -> Also { Box::new(move |shown| collector::log(&exporter, shown)) });
        let auditor = audit.map(|audit| {
            Auditor::start_with(audit.settings, also).map_err(|error| {
                let key = key_of(&error);
                anyhow::Error::from(error).context(key)
            })
        });
        let auditor = auditor.transpose()?;
        let tracer = telemetry.and_then(|telemetry| {
            let traces = telemetry.otlp.as_ref()?.traces.as_ref()?;
            let style = Style { server_name: name.into(), legacy: telemetry.legacy };
            Some((Tracer::new(traces.what, true), style))
        });
        let wants = Wants {
            all: metrics.is_some() || auditor.is_some(),
            traces: tracer.is_some(),
            ..auditor.as_ref().map(Auditor::wants).unwrap_or_default()
        };
        let edge = OnceLock::new();
        let inner = Arc::new(Inner {
            started,
            started_at,
            metrics,
            auditor,
            tracer,
            exporter,
            wants,
            edge,
        });
        known.get_or_init(|| Arc::downgrade(&inner));
        Ok(Self(inner))
    }

    /// What the server takes of this.
    pub(super) fn told(
        &self,
        telemetry: Option<&Telemetry>,
        threshold: Option<&Threshold>,
    ) -> Told {
        let observer = Some(Arc::new(self.clone()) as Arc<dyn Observer>);
        let log = threshold.map(|threshold| {
            let (shown, changed) = (threshold.clone(), threshold.clone());
            LogControl {
                levels: Box::new(move || shown.levels()),
                set: Box::new(move |levels| {
                    changed.set_by_operator(levels);
                    tracing::info!(now = ?changed.levels(), "an operator has changed what is logged");
                }),
            }
        });
        Told { observer, exposition: self.exposition(telemetry), log }
    }

    /// Takes what the server knows into metrics from now on.
    pub(super) fn ask(&self, edge: &Arc<Edge>) {
        self.0.edge.get_or_init(|| Arc::downgrade(edge));
    }

    /// Has the audit log write to the file of its name, where the old one was renamed.
    pub(super) fn reopen(&self) {
        if let Some(auditor) = &self.0.auditor {
            auditor.reopen();
        }
    }

    /// Writes and sends what is left, when nothing more comes.
    pub(super) async fn end(&self) -> anyhow::Result<()> {
        if let Some(auditor) = self.0.auditor.clone() {
            let before = auditor.stats().dropped;
            let ended = tokio::task::spawn_blocking(move || auditor.close()).await;
            let lost = ended.context("audit")?.dropped.saturating_sub(before);
            if lost > 0 {
                tracing::error!(
                    records = lost,
                    "audit records could not be written at the end, and are lost"
                );
            }
        }
        if let Some(exporter) = &self.0.exporter {
            let sent = |stats: &Stats| stats.traces.exported + stats.logs.exported;
            let waiting = |stats: &Stats| stats.traces.queued + stats.logs.queued;
            let before = exporter.stats();
            exporter.flush(FAREWELL).await;
            let now = exporter.stats();
            let lost = waiting(&before).saturating_sub(sent(&now).saturating_sub(sent(&before)));
            if lost > 0 {
                tracing::warn!(
                    items = lost,
                    "the collector did not take all at the end, and the rest is lost"
                );
            }
        }
        Ok(())
    }

    /// How metrics are shown to who reads them, if that is wanted.
    fn exposition(&self, telemetry: Option<&Telemetry>) -> Option<Exposition> {
        let telemetry = telemetry?;
        let Prometheus { to_clients, port: _ } = telemetry.prometheus?;
        let (observers, resource) = (self.clone(), telemetry.resource.clone());
        let write = move || {
            let resource = resource.iter().map(|(name, text)| (name.as_str(), text.as_str()));
            exposition::text(&observers.families(), &resource.collect::<Vec<_>>())
        };
        Some(Exposition { to_clients, write: Box::new(write) })
    }

    /// All metrics: those of the server, and what is known here.
    fn families(&self) -> Vec<Family> {
        let Inner { started, metrics, auditor, exporter, edge, .. } = &*self.0;
        let mut families = Families::default();
        let edge = edge.get().and_then(Weak::upgrade);
        families.extend(edge.iter().flat_map(|edge| edge.families()));
        families.extend(metrics.iter().flat_map(|metrics| metrics.families()));
        if let Some(auditor) = auditor {
            let stats = auditor.stats();
            families.add(server::AUDIT_WRITTEN.number(stats.written));
            families.add(server::AUDIT_DROPPED.number(stats.dropped));
        }
        if let Some(exporter) = exporter {
            families.extend(collector::families(&exporter.stats()));
        }
        families.extend(Process::now().families());
        let of_build = [("version", env!("CARGO_PKG_VERSION"))];
        families.add(process::BUILD_INFO.by(&of_build, 1_u64));
        families.add(process::UPTIME.number(started.elapsed()));
        families.into_vec()
    }
}

/// Whether each request has a line in the log.
fn logs_requests() -> bool {
    tracing::enabled!(target: REQUESTS, Level::DEBUG)
}

/// Writes the line of a request.
fn log(trail: &Trail, took: Duration) {
    let asked = trail.asked();
    let target = trail.target();
    let details = asked.details.as_ref();
    let end = match trail.end() {
        Some(End::Answered) => "answered",
        Some(End::ToolError) => "tool error",
        Some(End::Error { .. }) => "error",
        Some(End::Failed { why, .. }) => why.name(),
        None => "abandoned",
    };
    tracing::debug!(
        target: REQUESTS,
        method = asked.method.map_or("-", Method::name),
        name = details.and_then(|details| details.name.as_deref()),
        backend = target.and_then(|target| target.backend.as_ref()).map(|id| id.as_str()),
        end,
        status = trail.status(),
        ms = took.as_secs_f64() * 1e3,
        trace = asked.trace.as_ref().map(Trace::id),
        "request"
    );
}

/// Whether anybody reads metrics.
fn tells_metrics(telemetry: &Telemetry) -> bool {
    let sent = telemetry.otlp.as_ref().and_then(|otlp| otlp.metrics.as_ref());
    telemetry.prometheus.is_some() || sent.is_some()
}

impl std::fmt::Debug for Observers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observers").field("wants", &self.0.wants).finish_non_exhaustive()
    }
}

impl Observer for Observers {
    fn now(&self) -> Duration {
        self.0.started.elapsed()
    }

    fn wants(&self) -> Wants {
        let wants = self.0.wants;
        match logs_requests() {
            true => Wants { all: true, details: true, ..wants },
            false => wants,
        }
    }

    fn trace(&self, parent: Option<Parent>, state: Option<&str>) -> Option<Trace> {
        let (tracer, _) = self.0.tracer.as_ref()?;
        tracer.begin(parent, state)
    }

    fn take(&self, trail: &Trail, took: Duration) {
        let Inner { metrics, auditor, tracer, exporter, started_at, .. } = &*self.0;
        if logs_requests() {
            log(trail, took);
        }
        if let Some(metrics) = metrics {
            metrics.count(trail, took);
        }
        if let Some(auditor) = auditor {
            auditor.record(trail, took);
        }
        if let (Some((_, style)), Some(exporter)) = (tracer, exporter)
            && trail.asked().trace.as_ref().is_some_and(|trace| trace.sampled)
            && let Some((server, client)) = spans_of(trail, took, *started_at, style)
        {
            exporter.record([Some(server), client].into_iter().flatten());
        }
    }
}
