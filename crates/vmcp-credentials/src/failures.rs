//! Failures in a row, after which nobody asks for a while.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::time::Instant;

use crate::credential::Unavailable;

/// How long nobody asks after the first failure, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// How long one that is let through after a pause may take until the next one is.
const TRIAL: Duration = Duration::from_secs(10);

pub(crate) struct Failures {
    /// How many in a row have no effect.
    free: u32,
    row: Mutex<Row>,
}

/// What was taken note of.
#[derive(Clone, Copy)]
pub(crate) struct Noted {
    /// How many there are in a row.
    pub(crate) length: u32,
    /// When it is time to try again.
    pub(crate) until: Instant,
}

#[derive(Default)]
struct Row {
    length: u32,
    /// The last one, and until when it stands for whatever would follow.
    last: Option<(Unavailable, Instant)>,
}

impl Failures {
    /// None yet. So many in a row have no effect.
    pub(crate) fn new(free: u32) -> Self {
        Self { free, row: Mutex::default() }
    }

    /// The failure that is the answer for now. When its time is over, one is let through to try.
    pub(crate) fn standing(&self, now: Instant) -> Option<Unavailable> {
        let mut row = self.lock();
        let (why, until) = row.last.as_mut()?;
        if now < *until {
            return Some(why.clone());
        }
        *until = now + TRIAL;
        None
    }

    /// Takes note of one more.
    pub(crate) fn note(&self, now: Instant, why: &Unavailable) -> Noted {
        let mut row = self.lock();
        row.length = row.length.saturating_add(1);
        let until = now + pause(row.length.saturating_sub(self.free));
        row.last = (row.length > self.free).then(|| (why.clone(), until));
        Noted { length: row.length, until }
    }

    /// What was asked for was given.
    pub(crate) fn over(&self) {
        *self.lock() = Row::default();
    }

    /// The same, where whoever asks sees to it that only one tries.
    pub(crate) fn recent(&self, now: Instant) -> Option<Unavailable> {
        let row = self.lock();
        let (why, _) = row.last.as_ref().filter(|(_, until)| now < *until)?;
        Some(why.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Row> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long nobody asks after so many failures: twice as long after each, give or take a fifth, so that those
/// who failed together do not come back together.
fn pause(length: u32) -> Duration {
    let (first, longest) = PAUSES;
    let doubled = first.saturating_mul(1 << length.saturating_sub(1).min(5));
    let mut byte = [128];
    // Without randomness there is no jitter.
    let _filled = SystemRandom::new().fill(&mut byte);
    doubled.min(longest).mul_f64(0.8 + 0.4 * f64::from(byte[0]) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why() -> Unavailable {
        Unavailable::Source("is away".into())
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_one_tries_after_each() {
        let failures = Failures::new(0);
        let mut now = Instant::now();
        assert_eq!(failures.standing(now), None);
        for expected in [1, 2, 4, 8, 16, 30, 30] {
            let until = failures.note(now, &why()).until;
            let pause = until.duration_since(now).as_secs_f64() / f64::from(expected);
            assert!((0.79..=1.21).contains(&pause), "{pause} of {expected} s");
            assert_eq!(failures.standing(until - Duration::from_millis(1)), Some(why()));
            assert_eq!(failures.recent(now), Some(why()));
            assert_eq!(failures.standing(until), None, "it is time to try");
            assert_eq!(failures.standing(until), Some(why()), "one tries");
            now = until;
        }
        failures.over();
        assert_eq!(failures.standing(now), None);
        assert_eq!(failures.recent(now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn some_in_a_row_have_no_effect() {
        let failures = Failures::new(2);
        let now = Instant::now();
        for _ in 0..2 {
            failures.note(now, &why());
            assert_eq!(failures.standing(now), None);
        }
        failures.note(now, &why());
        assert_eq!(failures.standing(now), Some(why()));
    }
}
