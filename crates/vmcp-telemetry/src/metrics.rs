//! Counts and times requests when they have ended.
//!
//! Each request is one update of one series: one thread's numbers for all that it is told apart by. The metrics are
//! made out of these series when somebody reads them. A thread counts in a table of its own; what it shares with
//! others is behind a lock that is taken only to create a series and to read.

mod cell;
mod key;
mod projection;
mod registry;
mod threads;

use std::{sync::Arc, time::Duration};

use vmcp_model::trail::Trail;

use self::{cell::Seen, key::Sought, registry::Registry};
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
    /// So many series are told apart, over all threads. Those that were unused longest are folded into the series
    /// `other` of their method and outcome, of which there is a fixed number.
    pub max_series: usize,
    /// Whether attributes are also there under the names that ToolHive gives to them.
    pub legacy: bool,
    /// The name of this server, which ToolHive's metrics carry.
    pub server: String,
}

impl Metrics {
    pub fn new(settings: Settings) -> Self {
        Self { registry: Arc::new(Registry::new(settings.max_series)), settings }
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

    /// All metrics of requests as they are now.
    pub fn families(&self) -> Vec<Family> {
        projection::families(&self.registry.read(), &self.settings)
    }
}
