//! The circuit breaker: leaves a backend alone that fails too often. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::window::Counts;

/// How long whoever comes while one exchange is let through is told to wait.
const SOON: Duration = Duration::from_secs(1);

/// When a backend is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// So many exchanges must have failed lately, and at least half of all.
    pub failure_threshold: u32,
    pub timeout: Duration,
}

/// Whether a backend is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is not.
    Closed,
    /// Nothing is sent.
    Open,
    /// One exchange is let through, which decides.
    HalfOpen,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Breaker {
    state: BreakerState,
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BreakerState {
    Closed,
    Open { until: Instant },
    HalfOpen { probing: bool },
}

/// Whether something may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Pass,
    /// It decides what happens next.
    Probe,
    /// Not before so long.
    Refuse(Duration),
}

impl Breaker {
    pub(super) fn closed(now: Instant) -> Self {
        Self { state: BreakerState::Closed, since: now }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.state {
            BreakerState::Closed => Phase::Closed,
            BreakerState::Open { .. } => Phase::Open,
            BreakerState::HalfOpen { .. } => Phase::HalfOpen,
        }
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == BreakerState::Closed
    }

    /// When the next exchange is let through, if the backend is left alone.
    pub(super) fn until(&self) -> Option<Instant> {
        match self.state {
            BreakerState::Open { until } => Some(until),
            BreakerState::Closed | BreakerState::HalfOpen { .. } => None,
        }
    }

    pub(super) fn admit(&mut self, now: Instant) -> Admission {
        match self.state {
            BreakerState::Closed => Admission::Pass,
            BreakerState::Open { until } if now < until => Admission::Refuse(until - now),
            BreakerState::Open { .. } => {
                self.enter(BreakerState::HalfOpen { probing: true }, now);
                Admission::Probe
            }
            BreakerState::HalfOpen { probing: true } => Admission::Refuse(SOON),
            BreakerState::HalfOpen { probing: false } => {
                self.state = BreakerState::HalfOpen { probing: true };
                Admission::Probe
            }
        }
    }

    /// Notes an exchange that went well. Says whether it closes the breaker.
    pub(super) fn succeed(&mut self, now: Instant, probe: bool) -> bool {
        let closes = probe && matches!(self.state, BreakerState::HalfOpen { .. });
        if closes {
            self.enter(BreakerState::Closed, now);
        }
        closes
    }

    /// Notes one that failed; `decides` says whether it may open the breaker again that is being
    /// closed. `counts` are those of the last seconds, this one included.
    pub(super) fn fail(
        &mut self,
        now: Instant,
        decides: bool,
        counts: Counts,
        settings: Option<BreakerSettings>,
    ) {
        let Some(settings) = settings else { return };
        let opens = match self.state {
            BreakerState::Closed => {
                counts.failed >= settings.failure_threshold && counts.failed * 2 >= counts.all
            }
            BreakerState::HalfOpen { .. } => decides,
            BreakerState::Open { .. } => false,
        };
        if opens {
            self.enter(BreakerState::Open { until: now + settings.timeout }, now);
        }
    }

    /// The exchange that was to decide has come to nothing: another may.
    pub(super) fn release(&mut self) {
        if let BreakerState::HalfOpen { probing } = &mut self.state {
            *probing = false;
        }
    }

    fn enter(&mut self, state: BreakerState, now: Instant) {
        self.state = state;
        self.since = now;
    }
}
