//! Counts and times requests when they have ended.
//!
//! Each request is one update of one series: one thread's numbers for all that it is told apart by. The metrics are
//! made out of these series when somebody reads them. A thread counts in a table of its own; what it shares with
//! others is behind a lock that is taken only to create a series and to read.

mod cell;
mod key;
mod points;
mod projection;
mod registry;
mod threads;
mod view;

use std::{sync::Arc, time::Duration};

use vmcp_model::trail::Trail;

use self::{cell::Seen, key::Sought, registry::Registry, view::View};
use crate::{family::Family, text};

/// What is counted of requests.
#[derive(Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    settings: Settings,
}

/// How requests are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// So many series are told apart, over all threads. Where there is no room for one more, the one of a tool or
    /// prompt that was unused longest is folded into the series `other` of its backend, method and outcome, which is
    /// one of them, too. When there are none of tools or prompts left, one of these is folded into the series of the
    /// backend `other`. Of such there is one for each method and outcome beyond this number: a few dozen, and never
    /// more than there are methods times outcomes.
    pub max_series: usize,
    /// Whether there are also the metrics that ToolHive's dashboards know, `toolhive_mcp_*` and
    /// `toolhive_vmcp_backend_*`. They repeat those of OpenTelemetry, which are always there: calls of tools are
    /// those of `mcp.server.operation.duration` that have a `gen_ai.tool.name`, errors of backends those of
    /// `mcp.client.operation.duration` that have an `error.type` other than `tool_error`.
    pub legacy: bool,
    /// The name of this server, which ToolHive's metrics carry.
    pub server: String,
}

impl Metrics {
    pub fn new(settings: Settings) -> Self {
        let registry = Registry::new(settings.max_series, View::all(settings.legacy));
        Self { registry: Arc::new(registry), settings }
    }

    /// Counts a request that has ended, and took so long. It takes no lock and allocates nothing once its series
    /// exists.
    pub fn count(&self, trail: &Trail, took: Duration) {
        let end = trail.began().saturating_add(took);
        let seen = Seen {
            took,
            at_backend: key::at_backend(trail, took),
            when: u64::try_from(end.as_nanos()).unwrap_or(u64::MAX),
        };
        let sought = Sought::of(trail);
        text::with_value(sought.name, |name| {
            threads::count(&self.registry, &sought.with_name(name), &seen);
        });
    }

    /// All metrics of requests as they are now. What is new in a series goes on in `other` if the series is folded
    /// before the next time; what was read does not, so that `other` shows only what happens.
    pub fn families(&self) -> Vec<Family> {
        projection::families(&self.registry.read(), &self.settings)
    }
}
