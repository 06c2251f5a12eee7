//! Whoever wants to know what clients send and how that ends: metrics and the audit log.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::time::Instant;
use vmcp_audit::Auditor;
use vmcp_model::{
    trace::{Parent, Trace},
    trail::{Observer, Trail, Wants},
};
use vmcp_server::{Exposition, Told};
use vmcp_telemetry::{
    catalogue::{process, server},
    exposition,
    family::Family,
    metrics::{Metrics, Settings},
    points::Families,
};

use super::process::Process;
use crate::config::{Prometheus, Telemetry};

/// All of them.
#[derive(Debug, Clone)]
pub(super) struct Observers {
    started: Instant,
    metrics: Option<Arc<Metrics>>,
    auditor: Option<Auditor>,
    wants: Wants,
}

impl Observers {
    /// Makes those that a configuration asks for.
    pub(super) fn start(
        name: &str,
        telemetry: Option<&Telemetry>,
        audit: Option<vmcp_audit::Settings>,
    ) -> anyhow::Result<Self> {
        let metrics = telemetry.map(|telemetry| {
            Arc::new(Metrics::new(Settings {
                max_series: telemetry.max_series,
                legacy: telemetry.legacy,
                server: name.to_owned(),
            }))
        });
        let auditor = audit.map(Auditor::start).transpose().context("audit")?;
        let wants = auditor.as_ref().map(Auditor::wants).unwrap_or_default();
        Ok(Self { started: Instant::now(), metrics, auditor, wants })
    }

    /// What the server takes of this.
    pub(super) fn told(&self, telemetry: Option<&Telemetry>) -> Told {
        let is_wanted = self.metrics.is_some() || self.auditor.is_some();
        let observer = is_wanted.then(|| Arc::new(self.clone()) as Arc<dyn Observer>);
        Told { observer, exposition: self.exposition(telemetry) }
    }

    /// The audit log, if there is one.
    pub(super) fn auditor(&self) -> Option<&Auditor> {
        self.auditor.as_ref()
    }

    /// How metrics are shown to who reads them, if that is wanted.
    fn exposition(&self, telemetry: Option<&Telemetry>) -> Option<Exposition> {
        let telemetry = telemetry?;
        let Prometheus { to_clients, port: _ } = telemetry.prometheus?;
        let (observers, resource) = (self.clone(), telemetry.resource.clone());
        let write = move |families| {
            let resource = resource.iter().map(|(name, text)| (name.as_str(), text.as_str()));
            let families = observers.families(families);
            exposition::text(&families, &resource.collect::<Vec<_>>())
        };
        Some(Exposition { to_clients, write: Box::new(write) })
    }

    /// All metrics: those of the server, and what is known here.
    fn families(&self, of_server: Vec<Family>) -> Vec<Family> {
        let mut families = Families::default();
        families.extend(of_server);
        families.extend(self.metrics.iter().flat_map(|metrics| metrics.families()));
        if let Some(auditor) = &self.auditor {
            let stats = auditor.stats();
            families.add(server::AUDIT_WRITTEN.number(stats.written));
            families.add(server::AUDIT_DROPPED.number(stats.dropped));
        }
        families.extend(Process::now().families());
        let of_build = [("version", env!("CARGO_PKG_VERSION"))];
        families.add(process::BUILD_INFO.by(&of_build, 1_u64));
        families.add(process::UPTIME.number(self.started.elapsed()));
        families.into_vec()
    }
}

impl Observer for Observers {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn wants(&self) -> Wants {
        self.wants
    }

    fn trace(&self, _parent: Option<Parent>, _state: Option<&str>) -> Option<Trace> {
        None
    }

    fn take(&self, trail: &Trail, took: Duration) {
        if let Some(metrics) = &self.metrics {
            metrics.count(trail, took);
        }
        if let Some(auditor) = &self.auditor {
            auditor.record(trail, took);
        }
    }
}
