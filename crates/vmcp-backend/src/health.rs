//! How a backend fares, and whether it is to be left alone for a while.
//!
//! Fed by every exchange with it, calls of clients included; a backend that nobody uses is checked
//! now and then by one of those who watch it. Nothing is sent here: others ask [`Health::admit`]
//! before they send, and say afterwards what came of it.
//!
//! While all goes well, a call costs some relaxed atomics. The lock is one backend's own, and is
//! taken only when something goes wrong, or has gone wrong before.

mod breaker;
mod hooks;
mod judgement;
mod window;

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use vmcp_model::BackendId;

pub use breaker::{BreakerSettings, Phase};
pub use judgement::{HealthSnapshot, State};

use crate::error::Error;
use breaker::Admission;
use judgement::Judgement;
use window::{Counts, Window};

/// When a backend is taken for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthSettings {
    /// How long a backend may show no sign of life before it is checked.
    pub check_interval: Duration,
    /// How long a check may take.
    pub check_timeout: Duration,
    /// How many checks in a row must fail for it to be unhealthy.
    pub unhealthy_threshold: u32,
    /// `None` leaves no backend alone, however often it fails.
    pub breaker: Option<BreakerSettings>,
}

/// What is known about one backend's health.
#[derive(Debug)]
pub(crate) struct Health {
    backend: BackendId,
    of_callers: bool,
    origin: Instant,
    /// Milliseconds since the origin.
    last_sign: AtomicU64,
    window: Window,
    /// All is well: a success changes nothing.
    calm: AtomicBool,
    /// The breaker is closed.
    closed: AtomicBool,
    /// The backend cannot be used, as far as is known.
    out: AtomicBool,
    judgement: Mutex<Judgement>,
    changed: Notify,
}

/// Leave to send something. Whoever has it says what came of it; dropped, nothing is known.
#[derive(Debug)]
pub(crate) struct Admitted<'h> {
    health: &'h Health,
    /// It is the one exchange that decides whether the breaker closes.
    probe: bool,
}

/// Why whoever watches a backend has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// It is to be checked, by nobody else.
    Check,
    /// It can be used again.
    Recovered,
}

/// What an exchange says about the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Alive,
    /// It lives, and refuses the credential.
    Denied,
    Failed,
    /// Nothing was sent.
    Nothing,
}

/// Who has something to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// A request of a client: how many of these fail decides about the breaker.
    Call,
    /// The opening of a session for one, which counts if it fails: else its request does.
    Opening,
    /// What vmcp says or asks on its own account. It neither opens the breaker nor hides how many
    /// requests fail.
    Own,
    /// An exchange that is made to find out. Those that fail in a row decide about the breaker, too.
    Check,
}

impl Health {
    /// `of_callers` says that the backend is shown its callers' own credentials: that it refuses one says
    /// nothing about it.
    pub(crate) fn new(backend: BackendId, of_callers: bool) -> Self {
        let origin = Instant::now();
        Self {
            judgement: Mutex::new(Judgement::new(&backend, HealthSettings::default(), origin)),
            backend,
            of_callers,
            origin,
            last_sign: AtomicU64::new(0),
            window: Window::default(),
            calm: AtomicBool::new(false),
            closed: AtomicBool::new(true),
            out: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// Notes that nothing can ever be sent to it, and why.
    pub(crate) fn lacks(&self, error: &Error) {
        let mut judgement = self.judgement();
        judgement.last_error = Some((error.to_string(), Instant::now()));
        judgement.lacks();
        self.conclude(judgement);
    }

    pub(crate) fn set(&self, settings: HealthSettings) {
        let mut judgement = self.judgement();
        judgement.set(settings, Instant::now());
        self.conclude(judgement);
        self.changed.notify_waiters();
    }

    pub(crate) fn settings(&self) -> HealthSettings {
        self.judgement().settings
    }

    /// Gives leave to send something, or says why not and for how long.
    pub(crate) fn admit(&self) -> Result<Admitted<'_>, Error> {
        if self.closed.load(Ordering::Relaxed) {
            return Ok(Admitted { health: self, probe: false });
        }
        let mut judgement = self.judgement();
        let admission = judgement.breaker.admit(Instant::now());
        self.conclude(judgement);
        match admission {
            Admission::Pass => Ok(Admitted { health: self, probe: false }),
            Admission::Probe => Ok(Admitted { health: self, probe: true }),
            Admission::Refuse(again_in) => Err(Error::LeftAlone { again_in }),
        }
    }

    /// Notes that an exchange has failed of which nothing else has been said.
    pub(crate) fn failed(&self, sign: Sign, error: &Error) {
        self.note(Some(error), sign, false);
    }

    /// Notes that an exchange has failed that had begun well, and has been counted.
    pub(crate) fn spoiled(&self, error: &Error) {
        if Verdict::of(Some(error)) == Verdict::Failed {
            self.window.spoil(self.seconds());
            self.judge(Verdict::Failed, Some(error), Sign::Call, false);
        } else {
            // It says nothing about the backend's health, and is to be found all the same.
            self.judgement().last_error = Some((error.to_string(), Instant::now()));
        }
    }

    /// Notes how an attempt went to find out what the backend offers. One that was not made says nothing.
    pub(crate) fn offered(&self, error: Option<&Error>) {
        let mut judgement = self.judgement();
        match error {
            None => judgement.offered(),
            Some(error) if Verdict::of(Some(error)) == Verdict::Nothing => return,
            Some(error) => {
                judgement.unread();
                judgement.last_error = Some((error.to_string(), Instant::now()));
            }
        }
        self.conclude(judgement);
    }

    /// Notes how long a check took that went well.
    pub(crate) fn checked_within(&self, took: Duration) {
        let mut judgement = self.judgement();
        judgement.slow = took > judgement.settings.check_timeout / 2;
        self.conclude(judgement);
    }

    /// Whether the backend cannot be used, as far as is known.
    pub(crate) fn is_out(&self) -> bool {
        self.out.load(Ordering::Relaxed)
    }

    pub(crate) fn snapshot(&self) -> HealthSnapshot {
        let mut judgement = self.judgement();
        let now = Instant::now();
        judgement.settle(now, self.window.counts(self.seconds()));
        judgement.snapshot(now, self.last_sign())
    }

    /// Waits until the backend is to be checked, which nobody else does then, or can be used again.
    pub(crate) async fn due(&self) -> Due {
        let mut was_out = self.is_out();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let out = self.is_out();
            if was_out && !out {
                return Due::Recovered;
            }
            was_out = out;
            let due = self.judgement().due(self.last_sign());
            tokio::select! {
                () = tokio::time::sleep_until(due) => {
                    let last_sign = self.last_sign();
                    if self.judgement().claim(Instant::now(), last_sign) {
                        return Due::Check;
                    }
                }
                () = changed => {}
            }
        }
    }

    /// Waits until the backend can be used again after it could not.
    pub(crate) async fn recovered(&self) {
        let mut was_out = self.is_out();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let out = self.is_out();
            if was_out && !out {
                return;
            }
            was_out = out;
            changed.await;
        }
    }

    fn note(&self, error: Option<&Error>, sign: Sign, probe: bool) {
        let verdict = match Verdict::of(error) {
            Verdict::Denied if self.of_callers => Verdict::Alive,
            verdict => verdict,
        };
        if verdict == Verdict::Nothing {
            return self.release(probe);
        }
        let since = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_sign.store(since, Ordering::Relaxed);
        let failed = verdict == Verdict::Failed;
        if sign == Sign::Call || (sign == Sign::Opening && failed) {
            self.window.add(since / 1000, failed);
        }
        if verdict != Verdict::Alive || probe || !self.calm.load(Ordering::Relaxed) {
            self.judge(verdict, error, sign, probe);
        }
    }

    fn judge(&self, verdict: Verdict, error: Option<&Error>, sign: Sign, probe: bool) {
        let counts = self.window.counts(self.seconds());
        let now = Instant::now();
        let mut judgement = self.judgement();
        let doubted = judgement.doubt.is_some();
        if let (Verdict::Failed | Verdict::Denied, Some(error)) = (verdict, error) {
            judgement.last_error = Some((error.to_string(), now));
        }
        match (verdict, sign) {
            (Verdict::Alive, _) => judgement.alive(),
            (Verdict::Denied, Sign::Check | Sign::Opening) => judgement.denied(),
            (Verdict::Failed, Sign::Check) => judgement.check_failed(now),
            (Verdict::Failed, Sign::Call | Sign::Opening | Sign::Own) => {
                judgement.doubt = Some(now);
            }
            (Verdict::Denied, Sign::Call | Sign::Own) | (Verdict::Nothing, _) => {}
        }
        if verdict == Verdict::Failed {
            let settings = judgement.settings.breaker;
            let counted = matches!(sign, Sign::Call | Sign::Opening);
            let counts = match sign {
                Sign::Call | Sign::Opening => counts,
                Sign::Check => judgement.checks(),
                Sign::Own => Counts::default(),
            };
            // Of the others, only that decides which is let through.
            judgement.breaker.fail(now, probe || counted, counts, settings);
        } else if judgement.breaker.succeed(now, probe) {
            self.window.clear();
        }
        let doubts = !doubted && judgement.doubt.is_some();
        self.conclude(judgement);
        if doubts {
            self.changed.notify_waiters();
        }
    }

    /// Lets another exchange decide instead of one that came to nothing.
    fn release(&self, probe: bool) {
        if probe {
            let mut judgement = self.judgement();
            judgement.breaker.release();
            self.conclude(judgement);
        }
    }

    /// Makes known what has been judged.
    fn conclude(&self, mut judgement: MutexGuard<'_, Judgement>) {
        let now = Instant::now();
        let changed = judgement.settle(now, self.window.counts(self.seconds()));
        let out = judgement.is_out();
        let was_out = self.out.swap(out, Ordering::Relaxed);
        self.calm.store(judgement.is_calm(), Ordering::Relaxed);
        let closed = judgement.breaker.is_closed();
        let was_closed = self.closed.swap(closed, Ordering::Relaxed);
        if out != was_out {
            self.tell(out, &judgement);
        }
        drop(judgement);
        if changed || out != was_out || closed != was_closed {
            self.changed.notify_waiters();
        }
    }

    fn tell(&self, out: bool, judgement: &Judgement) {
        let backend = &self.backend;
        let error = judgement.last_error.as_ref().map_or("", |(error, _)| error.as_str());
        match judgement.breaker.phase() {
            _ if !out => tracing::info!(%backend, "the backend is back"),
            Phase::Closed => tracing::warn!(%backend, error, "the backend is unhealthy"),
            Phase::Open | Phase::HalfOpen => {
                let until = judgement.breaker.until();
                let wait = until.map(|until| until.saturating_duration_since(Instant::now()));
                let seconds = wait.unwrap_or_default().as_millis().div_ceil(1000);
                tracing::warn!(%backend, error, again_in_seconds = %seconds, "the backend has failed too often and is left alone for a while: its circuit breaker is open");
            }
        }
    }

    fn last_sign(&self) -> Instant {
        self.origin + Duration::from_millis(self.last_sign.load(Ordering::Relaxed))
    }

    fn seconds(&self) -> u64 {
        self.origin.elapsed().as_secs()
    }

    fn judgement(&self) -> MutexGuard<'_, Judgement> {
        self.judgement.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted<'_> {
    /// Says what came of it.
    pub(crate) fn note(mut self, sign: Sign, error: Option<&Error>) {
        let probe = std::mem::take(&mut self.probe);
        self.health.note(error, sign, probe);
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.health.release(self.probe);
    }
}

impl Verdict {
    fn of(error: Option<&Error>) -> Self {
        match error {
            // What is too large for vmcp is no failure of the backend's.
            None
            | Some(
                Error::SessionLost
                | Error::SessionGone { .. }
                | Error::TooLarge { .. }
                | Error::Excessive(_),
            ) => Self::Alive,
            // It is about what was asked for, and everything else may well be allowed.
            Some(Error::Refused { denial: Some(denial), .. })
                if &*denial.error == "insufficient_scope" =>
            {
                Self::Alive
            }
            Some(Error::Refused { status: 401 | 403, .. }) => Self::Denied,
            Some(Error::Refused { status, .. }) if *status < 500 => Self::Alive,
            Some(
                Error::Refused { .. }
                | Error::Unreachable(_)
                | Error::Broken(_)
                | Error::LinkEnded { .. }
                | Error::NotReady { .. }
                | Error::Timeout(_)
                | Error::Protocol(_),
            ) => Self::Failed,
            Some(
                Error::Busy { .. }
                | Error::LeftAlone { .. }
                // It is another vmcp that failed.
                | Error::Held { .. }
                | Error::Unavailable(_)
                | Error::NoCredential(_)
                | Error::Ended,
            ) => Self::Nothing,
        }
    }
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            check_interval: Duration::from_secs(30),
            check_timeout: Duration::from_secs(10),
            unhealthy_threshold: 3,
            breaker: None,
        }
    }
}

#[cfg(test)]
mod tests;
