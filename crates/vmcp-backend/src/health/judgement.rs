//! What a backend is taken for, and when it is to be checked. Pure.

use std::time::Duration;

use tokio::time::Instant;
use vmcp_model::BackendId;

use super::{
    HealthSettings,
    breaker::{Breaker, Phase},
    window::Counts,
};

/// How soon a backend is checked that failed a call, and how often at most.
const DOUBT: Duration = Duration::from_secs(1);

/// What a backend is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not shown yet what it is.
    Unknown,
    Healthy,
    /// Some exchanges failed lately, it is slow, or it is just being tried again.
    Degraded,
    Unhealthy,
    /// It refuses its credential.
    Unauthenticated,
}

/// A backend's health at one moment.
#[derive(Debug, Clone)]
pub struct HealthSnapshot {
    pub state: State,
    /// How long it has been so.
    pub state_age: Duration,
    /// How long ago it showed a sign of life or was found to show none. `None` if nobody has looked yet.
    pub last_sign_age: Option<Duration>,
    /// Checks that failed in a row.
    pub consecutive_failures: u32,
    /// What went wrong last, and how long ago.
    pub last_error: Option<(String, Duration)>,
    /// `None` where there is no breaker.
    pub breaker: Option<(Phase, Duration)>,
}

#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) settings: HealthSettings,
    pub(super) breaker: Breaker,
    pub(super) last_error: Option<(String, Instant)>,
    /// A call failed then, and nothing went well since.
    pub(super) doubt: Option<Instant>,
    /// The last check was slow, and nothing went well since.
    pub(super) slow: bool,
    consecutive: u32,
    /// What it is, whatever else is known, until it answers.
    certain: Option<State>,
    ever_alive: bool,
    /// How often it could not be read what it offers, of one that never said it; `None` once it has.
    unread: Option<u32>,
    state: State,
    since: Instant,
    claimed: Instant,
    /// Where the next jitter comes from.
    dice: u32,
}

impl Judgement {
    pub(super) fn new(id: &BackendId, settings: HealthSettings, now: Instant) -> Self {
        let seed = |sum: u32, byte: u8| sum.wrapping_mul(31).wrapping_add(u32::from(byte));
        Self {
            settings,
            breaker: Breaker::closed(now),
            last_error: None,
            doubt: None,
            slow: false,
            consecutive: 0,
            certain: None,
            ever_alive: false,
            unread: Some(0),
            state: State::Unknown,
            since: now,
            claimed: now,
            dice: id.as_str().bytes().fold(17, seed),
        }
    }

    pub(super) fn set(&mut self, settings: HealthSettings, now: Instant) {
        if settings.breaker.is_none() && !self.breaker.is_closed() {
            self.breaker = Breaker::closed(now);
        }
        self.settings = settings;
    }

    /// It answered.
    pub(super) fn alive(&mut self) {
        (self.consecutive, self.doubt, self.slow) = (0, None, false);
        (self.certain, self.ever_alive) = (None, true);
    }

    /// It answered a check by refusing the credential.
    pub(super) fn denied(&mut self) {
        self.alive();
        self.certain = Some(State::Unauthenticated);
    }

    pub(super) fn check_failed(&mut self, now: Instant) {
        self.consecutive = self.consecutive.saturating_add(1);
        self.doubt = Some(now);
    }

    /// The checks that failed in a row, for the breaker. What never answered may still be starting, and is to be
    /// found as soon as it does: there are none.
    pub(super) fn checks(&self) -> Counts {
        let failed = if self.ever_alive { self.consecutive } else { 0 };
        Counts { all: failed, failed }
    }

    /// It can never be sent anything.
    pub(super) fn lacks(&mut self) {
        self.certain = Some(State::Unhealthy);
    }

    /// It said what it offers.
    pub(super) fn offered(&mut self) {
        self.unread = None;
    }

    /// It could not be read what it offers.
    pub(super) fn unread(&mut self) {
        self.unread = self.unread.map(|times| times.saturating_add(1));
    }

    /// Whether a success would change nothing.
    pub(super) fn is_calm(&self) -> bool {
        self.ever_alive
            && self.consecutive == 0
            && self.doubt.is_none()
            && self.certain.is_none()
            && !self.slow
            && self.breaker.is_closed()
    }

    /// Whether it cannot be used. While it is being tried again that is not known yet.
    pub(super) fn is_out(&self) -> bool {
        matches!(self.state, State::Unhealthy | State::Unauthenticated)
            || self.breaker.phase() == Phase::HalfOpen
    }

    /// Concludes from what is known now. Says whether something else was true before.
    pub(super) fn settle(&mut self, now: Instant, lately: Counts) -> bool {
        let state = self.concluded(lately);
        let changed = state != self.state;
        if changed {
            (self.state, self.since) = (state, now);
        }
        changed
    }

    fn concluded(&self, lately: Counts) -> State {
        match self.breaker.phase() {
            Phase::Open => return State::Unhealthy,
            Phase::HalfOpen => return State::Degraded,
            Phase::Closed => {}
        }
        if let Some(state) = self.certain {
            state
        } else if self.consecutive >= self.settings.unhealthy_threshold {
            State::Unhealthy
        } else if self.unread.is_some_and(|times| times >= self.settings.unhealthy_threshold) {
            // It answers, and yet nothing of it can be used.
            State::Unhealthy
        } else if !self.ever_alive || self.unread.is_some_and(|times| times > 0) {
            State::Unknown
        } else if self.consecutive > 0 || lately.failed > 0 || self.slow {
            State::Degraded
        } else {
            State::Healthy
        }
    }

    /// When it is to be checked next.
    pub(super) fn due(&self, last_sign: Instant) -> Instant {
        if let Some(until) = self.breaker.until() {
            return if self.claimed < until { until } else { self.claimed + DOUBT };
        }
        if self.breaker.phase() == Phase::HalfOpen {
            return self.claimed + DOUBT;
        }
        if let Some(doubt) = self.doubt {
            return doubt.max(self.claimed) + DOUBT.min(self.settings.check_interval);
        }
        // Not all at the same time: up to a tenth sooner or later.
        let tenths = 0.9 + 0.2 * f64::from(self.dice >> 16 & 0xff) / 255.0;
        last_sign.max(self.claimed) + self.settings.check_interval.mul_f64(tenths)
    }

    /// Takes it upon the caller to check, if it is to be checked.
    pub(super) fn claim(&mut self, now: Instant, last_sign: Instant) -> bool {
        let due = now >= self.due(last_sign);
        if due {
            self.claimed = now;
            self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        }
        due
    }

    pub(super) fn snapshot(&self, now: Instant, last_sign: Instant) -> HealthSnapshot {
        let is_known = self.state != State::Unknown || self.last_error.is_some();
        HealthSnapshot {
            state: self.state,
            state_age: now - self.since,
            last_sign_age: is_known.then(|| now.saturating_duration_since(last_sign)),
            consecutive_failures: self.consecutive,
            last_error: self.last_error.clone().map(|(error, at)| (error, now - at)),
            breaker: self
                .settings
                .breaker
                .map(|_| (self.breaker.phase(), now - self.breaker.since())),
        }
    }
}

impl State {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::Unauthenticated => "unauthenticated",
        }
    }
}

impl Phase {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}
