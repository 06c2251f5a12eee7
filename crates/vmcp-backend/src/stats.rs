//! What a backend has been asked, and how that went.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use http::Uri;
use vmcp_credentials::Counts as Credentials;
use vmcp_model::{Era, ProtocolVersion};

use crate::{
    backend::{Backend, Wire},
    latency::LatencySnapshot,
    uses::{Uses, UsesSnapshot},
};

/// Counts since the start.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) sessions_opened: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) stray_progress: AtomicU64,
    pub(crate) uses: Uses,
    /// The revision that the last backend session agreed on.
    pub(crate) agreed: Mutex<Option<ProtocolVersion>>,
}

/// Connections of HTTP to one backend that are open, at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    /// A request is under way on each, or its answer.
    pub used: usize,
    /// They wait for a request.
    pub idle: usize,
}

/// Counts since the start, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsSnapshot {
    pub sessions_opened: u64,
    pub requests: u64,
    pub failures: u64,
    /// Notifications of progress that nobody had asked for, which were dropped.
    pub stray_progress: u64,
    /// Requests under way.
    pub in_flight: usize,
    /// GET streams open.
    pub streams: usize,
    /// Child processes that run, or connections of HTTP+SSE that are open.
    pub links: usize,
    /// `None` if it is not reached over HTTP.
    pub connections: Option<Connections>,
    /// How long calls of clients took lately.
    pub latency: Option<LatencySnapshot>,
    /// What clients have called, by method.
    pub uses: Vec<UsesSnapshot>,
}

impl Backend {
    /// The newest revision that is spoken with it, as far as is known.
    pub fn revision(&self) -> Option<ProtocolVersion> {
        match self.era()? {
            Era::Modern => Some(ProtocolVersion::MODERN),
            Era::Legacy => *self.stats.agreed.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Where it is, unless it is a program.
    pub fn url(&self) -> Option<&Uri> {
        self.url.as_ref()
    }

    /// Counts since the start.
    pub fn stats(&self) -> StatsSnapshot {
        let counts = self.stats.snapshot();
        match &self.wire {
            Wire::Http(http) => {
                let (in_flight, streams) = http.under_way();
                let connections = Some(http.connections());
                StatsSnapshot { in_flight, streams, connections, ..counts }
            }
            Wire::Links(of) => {
                let (in_flight, streams, links) = of.under_way();
                let connections = of.connections();
                StatsSnapshot { in_flight, streams, links, connections, ..counts }
            }
        }
    }

    /// The credentials that are obtained for it; `None` if none are. Looks at each.
    pub fn credentials(&self) -> Option<Credentials> {
        self.credential.counts()
    }

    /// Whether all of a session goes over one link: to a child process, or a channel of HTTP+SSE.
    pub fn has_links(&self) -> bool {
        matches!(self.wire, Wire::Links(_))
    }
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self {
            sessions_opened: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            stray_progress: AtomicU64::new(0),
            uses: Uses::default(),
            agreed: Mutex::default(),
        }
    }

    /// The counts now, but for what is not counted here.
    pub(crate) fn snapshot(&self) -> StatsSnapshot {
        StatsSnapshot {
            sessions_opened: self.sessions_opened.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            stray_progress: self.stray_progress.load(Ordering::Relaxed),
            in_flight: 0,
            streams: 0,
            links: 0,
            connections: None,
            latency: self.uses.latency(),
            uses: self.uses.snapshot(),
        }
    }
}
