//! One value, which is obtained when it is needed, once however many need it, and renewed before it ends.
//!
//! What obtains it is run by [`Spawn`], so whoever stops waiting stops nothing.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use crate::{
    credential::{Showing, Spawn, Unavailable},
    failures::Failures,
    shown::Shown,
    tally::Tally,
};

/// How long a value is used of which nobody says when it ends.
const KEPT: Duration = Duration::from_secs(300);

/// What ends sooner is for those who wait for it, and not kept.
const SHORTEST: Duration = Duration::from_secs(5);

/// How long obtaining it may take, whatever that consists of.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long a refusal is remembered: another one in this time is not answered by obtaining the value again.
const REFUSAL: Duration = Duration::from_secs(10);

/// After an attempt that was of no use, the next to renew a value that is still good.
const AGAIN: Duration = Duration::from_secs(1);

/// A new value.
#[derive(Clone)]
pub(crate) struct Obtained {
    pub(crate) shown: Shown,
    /// How long it is good, if that is known.
    pub(crate) lifetime: Option<Duration>,
}

/// What obtains a value.
pub(crate) type Obtaining =
    Pin<Box<dyn Future<Output = Result<Obtained, Unavailable>> + Send + 'static>>;

/// The place of one value.
pub(crate) struct Slot {
    held: ArcSwapOption<Held>,
    /// Whether [`Held::renew`] needs no attention.
    is_renewing: AtomicBool,
    state: Mutex<State>,
    failures: Failures,
    /// Those of everybody who is given values by the same source.
    of_source: Option<Arc<Failures>>,
    tally: Arc<Tally>,
}

struct Held {
    shown: Shown,
    expires: Instant,
    /// From then on it is renewed while it is used.
    renew: Instant,
}

#[derive(Default)]
struct State {
    /// The attempt that is under way, if one is.
    flight: Option<watch::Receiver<Landed>>,
    /// When a backend last refused a value that was forgotten for it.
    refused: Option<Instant>,
}

type Landed = Option<Result<Shown, Unavailable>>;

/// An attempt to obtain the value.
struct Flight {
    slot: Arc<Slot>,
    landed: watch::Sender<Landed>,
}

impl Slot {
    /// One without a value. `of_source` counts the failures in a row of all that are given values by the
    /// same source, and `tally` what comes of each attempt.
    pub(crate) fn new(of_source: Option<Arc<Failures>>, tally: Arc<Tally>) -> Arc<Self> {
        Arc::new(Self {
            held: ArcSwapOption::empty(),
            is_renewing: AtomicBool::new(false),
            state: Mutex::default(),
            failures: Failures::new(0),
            of_source,
            tally,
        })
    }

    /// The value, or what waits for it.
    pub(crate) fn shown(
        self: &Arc<Self>,
        now: Instant,
        spawn: &Spawn,
        obtain: impl FnOnce() -> Obtaining,
    ) -> Showing {
        if let Some(held) = &*self.held.load()
            && now < held.expires
        {
            if now >= held.renew && !self.is_renewing.load(Relaxed) {
                self.renew(spawn, obtain);
            }
            return Showing::Now(held.shown.clone());
        }
        let mut state = self.lock();
        if let Some(held) = &*self.held.load()
            && now < held.expires
        {
            return Showing::Now(held.shown.clone());
        }
        if let Some(landing) = &state.flight {
            return waiting(landing.clone());
        }
        if let Some(why) = self.failed(now) {
            return Showing::Wait(Box::pin(async { Err(why) }));
        }
        let (flight, landed) = self.begin(&mut state);
        drop(state);
        spawn(Box::pin(flight.fly(obtain())));
        waiting(landed)
    }

    /// Forgets a value that a backend has refused. Whether there is, or will be, another one that may be better.
    ///
    /// A value that took the place of one that was refused just before stays: a backend that refuses everything
    /// must not make vmcp ask for ever new ones.
    pub(crate) fn refused(&self, now: Instant, shown: &Shown) -> bool {
        let mut state = self.lock();
        let held = self.held.load();
        if held.as_ref().is_some_and(|held| held.shown != *shown) {
            return true;
        }
        if state.refused.is_some_and(|at| now.duration_since(at) < REFUSAL) {
            return held.is_none() && state.flight.is_some();
        }
        state.refused = Some(now);
        self.held.store(None);
        true
    }

    /// Whether there is a value that is good.
    pub(crate) fn is_at_hand(&self, now: Instant) -> bool {
        self.held.load().as_ref().is_some_and(|held| now < held.expires)
    }

    /// Whether nothing would be lost with it.
    pub(crate) fn is_spent(&self, now: Instant) -> bool {
        let state = self.lock();
        let is_held = self.is_at_hand(now);
        let is_refused = state.refused.is_some_and(|at| now.duration_since(at) < REFUSAL);
        !is_held && !is_refused && state.flight.is_none() && self.failures.recent(now).is_none()
    }

    fn renew(self: &Arc<Self>, spawn: &Spawn, obtain: impl FnOnce() -> Obtaining) {
        let mut state = self.lock();
        // That of others, or one which was begun before this one was held.
        if state.flight.is_some() {
            return;
        }
        self.is_renewing.store(true, Relaxed);
        let (flight, _landed) = self.begin(&mut state);
        drop(state);
        spawn(Box::pin(flight.fly(obtain())));
    }

    /// Begins an attempt, which is to be run after the lock is given back: it ends in it.
    fn begin(self: &Arc<Self>, state: &mut State) -> (Flight, watch::Receiver<Landed>) {
        let (landed, landing) = watch::channel(None);
        state.flight = Some(landing.clone());
        (Flight { slot: Arc::clone(self), landed }, landing)
    }

    /// Why it is not worth while to try now, if it is not.
    fn failed(&self, now: Instant) -> Option<Unavailable> {
        let of_source = || self.of_source.as_ref()?.standing(now);
        self.failures.recent(now).or_else(of_source)
    }

    /// Takes what came of an attempt. A value's life began with it, as nobody knows when it was made.
    fn land(
        &self,
        began: Instant,
        outcome: Result<Obtained, Unavailable>,
    ) -> Result<Shown, Unavailable> {
        let now = Instant::now();
        let mut state = self.lock();
        state.flight = None;
        let outcome = match outcome {
            Ok(Obtained { shown, lifetime }) => {
                self.tally.note_obtained();
                self.failures.over();
                self.of_source.iter().for_each(|failures| failures.over());
                let lifetime = lifetime.unwrap_or(KEPT);
                if lifetime >= SHORTEST {
                    let (expires, renew) = (began + lifetime, began + lifetime.mul_f64(0.8));
                    let held = Held { shown: shown.clone(), expires, renew };
                    self.held.store(Some(Arc::new(held)));
                } else {
                    self.leave(now + AGAIN);
                }
                Ok(shown)
            }
            Err(why) => {
                self.tally.note_failure();
                self.leave(self.note(now, &why));
                Err(why)
            }
        };
        self.is_renewing.store(false, Relaxed);
        outcome
    }

    /// Takes note of a failure, and says when it is time to try again.
    fn note(&self, now: Instant, why: &Unavailable) -> Instant {
        let again = self.failures.note(now, why);
        let of_source = self.of_source.as_deref();
        let is_first = match why {
            Unavailable::Source(_) | Unavailable::Missing(_) => {
                let row = of_source.map(|failures| failures.note(now, why)).unwrap_or(again);
                row.length == 1
            }
            Unavailable::Caller(_) => {
                of_source.iter().for_each(|failures| failures.over());
                false
            }
        };
        if is_first && self.is_at_hand(now) {
            tracing::warn!("a token cannot be renewed and is used until its end: it {why}");
        }
        again.until
    }

    /// Leaves the value in use that there is, and does not renew it before.
    fn leave(&self, again: Instant) {
        if let Some(held) = self.held.load_full() {
            let (shown, expires) = (held.shown.clone(), held.expires);
            self.held.store(Some(Arc::new(Held { shown, expires, renew: again })));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    async fn fly(self, obtaining: Obtaining) {
        let began = Instant::now();
        let outcome = timeout(DEADLINE, obtaining).await.unwrap_or_else(|_elapsed| {
            let seconds = DEADLINE.as_secs();
            let why = format!("cannot be obtained: that takes longer than {seconds} s");
            Err(Unavailable::Source(why.into()))
        });
        let outcome = self.slot.land(began, outcome);
        self.landed.send_replace(Some(outcome));
    }
}

/// One that did not come to its end makes room for the next.
impl Drop for Flight {
    fn drop(&mut self) {
        if self.landed.borrow().is_none() {
            self.slot.tally.note_failure();
            self.slot.lock().flight = None;
            self.slot.is_renewing.store(false, Relaxed);
        }
    }
}

fn waiting(mut landed: watch::Receiver<Landed>) -> Showing {
    Showing::Wait(Box::pin(async move {
        let outcome = landed.wait_for(Option::is_some).await;
        let outcome = outcome.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| {
            Err(Unavailable::Source("cannot be obtained: the attempt broke off".into()))
        })
    }))
}

#[cfg(test)]
mod tests;
