//! What a backend is used for: how often each method was called on it, how often that failed, and how
//! long it took.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use vmcp_model::Method;

use crate::latency::{Latency, LatencySnapshot};

/// How one use has ended, which began then and took so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    Answered(Instant, Duration),
    /// With an error.
    Refused(Instant, Duration),
    /// There was no answer.
    Failed,
    /// Nobody waited for its end.
    Abandoned,
}

/// The uses since the start, by method.
#[derive(Debug)]
pub struct Uses([OnceLock<Box<OfMethod>>; Method::ALL.len()]);

/// Those of one method.
#[derive(Debug)]
struct OfMethod {
    calls: AtomicU64,
    errors: AtomicU64,
    abandoned: AtomicU64,
    latency: Latency,
}

/// What a method was used for since the start, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsesSnapshot {
    pub method: Method,
    pub calls: u64,
    /// Calls that were answered with an error, or not at all.
    pub errors: u64,
    /// Calls that nobody waited for to the end.
    pub abandoned: u64,
    /// How long the answers of the last minute or two took to their end.
    pub latency: Option<LatencySnapshot>,
}

impl Uses {
    /// Counts a use that has ended.
    pub fn note(&self, method: Method, how: Use) {
        let of = self.0[method as usize].get_or_init(|| Box::new(OfMethod::new()));
        of.calls.fetch_add(1, Ordering::Relaxed);
        match how {
            Use::Answered(began, took) => of.latency.note(began, took),
            Use::Refused(began, took) => {
                of.errors.fetch_add(1, Ordering::Relaxed);
                of.latency.note(began, took);
            }
            Use::Failed => _ = of.errors.fetch_add(1, Ordering::Relaxed),
            Use::Abandoned => _ = of.abandoned.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The methods that were used.
    pub fn snapshot(&self) -> Vec<UsesSnapshot> {
        let used =
            Method::ALL.into_iter().filter(|method| self.0[*method as usize].get().is_some());
        used.map(|method| self.of(method)).collect()
    }

    /// What one method was used for.
    pub fn of(&self, method: Method) -> UsesSnapshot {
        let of = self.0[method as usize].get();
        let count = |counter: fn(&OfMethod) -> &AtomicU64| {
            of.map_or(0, |of| counter(of).load(Ordering::Relaxed))
        };
        UsesSnapshot {
            method,
            calls: count(|of| &of.calls),
            errors: count(|of| &of.errors),
            abandoned: count(|of| &of.abandoned),
            latency: of.and_then(|of| of.latency.snapshot()),
        }
    }

    /// How long calls of all methods took lately.
    pub(crate) fn latency(&self) -> Option<LatencySnapshot> {
        Latency::snapshot_of(self.0.iter().filter_map(OnceLock::get).map(|of| &of.latency))
    }
}

impl Default for Uses {
    fn default() -> Self {
        Self(std::array::from_fn(|_method| OnceLock::new()))
    }
}

impl OfMethod {
    fn new() -> Self {
        Self {
            calls: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            latency: Latency::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn uses_are_counted_by_method() {
        let uses = Uses::default();
        assert_eq!((uses.snapshot(), uses.latency()), (vec![], None));
        let (began, took) = (Instant::now(), Duration::from_millis(8));
        uses.note(Method::ToolsCall, Use::Answered(began, took));
        uses.note(Method::ToolsCall, Use::Refused(began, took));
        uses.note(Method::ToolsCall, Use::Failed);
        uses.note(Method::ToolsCall, Use::Abandoned);
        uses.note(Method::PromptsGet, Use::Answered(began, took / 8));
        let counted: Vec<_> = uses
            .snapshot()
            .into_iter()
            .map(|of| (of.method, of.calls, of.errors, of.abandoned, of.latency.unwrap().calls))
            .collect();
        assert_eq!(counted, [(Method::ToolsCall, 4, 2, 1, 2), (Method::PromptsGet, 1, 0, 0, 1)]);
        let all = uses.latency().unwrap();
        assert_eq!(all.calls, 3);
        assert!(all.p50 >= took && all.p50 < took * 2, "{all:?}");
    }
}
