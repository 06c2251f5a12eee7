//! Lists that were more than vmcp takes, which are not begun again at once: whoever asks for them is
//! told the same meanwhile.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use vmcp_model::Kind;

use crate::error::Error;

/// How long a list is left alone that was too much, the first time and at most.
const REST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// What is known of each list, in the order of [`Kind::ALL`].
#[derive(Debug, Default)]
pub(crate) struct Excess([Mutex<Option<Resting>>; Kind::ALL.len()]);

#[derive(Debug)]
struct Resting {
    until: Instant,
    times: u32,
    why: Error,
}

impl Excess {
    /// The error says that the list was too much lately.
    pub(crate) fn check(&self, kind: Kind) -> Result<(), Error> {
        let resting = self.0[kind as usize].lock().unwrap_or_else(PoisonError::into_inner);
        match &*resting {
            Some(resting) if resting.until > Instant::now() => Err(resting.why.clone()),
            Some(_) | None => Ok(()),
        }
    }

    /// Notes what came of reading the list.
    pub(crate) fn note(&self, kind: Kind, error: Option<&Error>) {
        let mut resting = self.0[kind as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let Some(why @ Error::Excessive(_)) = error else {
            if error.is_none() {
                *resting = None;
            }
            return;
        };
        let times = resting.as_ref().map_or(0, |resting| resting.times + 1);
        let wait = REST.0.saturating_mul(1 << times.min(10)).min(REST.1);
        *resting = Some(Resting { until: Instant::now() + wait, times, why: why.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_too_much_is_left_alone_for_longer_each_time() {
        let excess = Excess::default();
        let why = Error::Excessive("much".to_owned());
        let mut waits = Vec::new();
        for _time in 0..9 {
            excess.note(Kind::Tool, Some(&why));
            assert!(excess.check(Kind::Prompt).is_ok());
            let began = Instant::now();
            while excess.check(Kind::Tool).is_err() {
                tokio::time::advance(Duration::from_secs(1)).await;
            }
            waits.push(began.elapsed().as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300]);
        excess.note(Kind::Tool, None);
        excess.note(Kind::Tool, Some(&why));
        tokio::time::advance(REST.0).await;
        assert!(excess.check(Kind::Tool).is_ok());
    }
}
