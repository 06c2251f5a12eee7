//! How a program is started again that does not stay up.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;

/// Ends in a row, without a call served, after which the program has to wait.
const TOLERATED: u32 = 3;

/// The first and the longest wait.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What is known of a program's ends.
#[derive(Debug, Default)]
pub(super) struct Crashes {
    in_a_row: u32,
    /// How the last one was.
    why: String,
    not_before: Option<Instant>,
}

impl Crashes {
    /// Refuses to start a program that keeps ending at once, until it has waited.
    pub(super) fn check(&self) -> Result<(), Error> {
        let wait = self.not_before.map(|at| at.saturating_duration_since(Instant::now()));
        let Some(wait) = wait.filter(|wait| !wait.is_zero()) else { return Ok(()) };
        Err(Error::Unreachable(format!(
            "it {}; {} times in a row before it served a call, so it is started again in {} s",
            self.why,
            self.in_a_row,
            wait.as_secs() + 1
        )))
    }

    /// Notes an end that nobody asked for. `early` says how it was if no call had been served before.
    pub(super) fn note(&mut self, early: Option<String>) {
        let Some(why) = early else {
            *self = Self::default();
            return;
        };
        self.why = why;
        self.in_a_row = self.in_a_row.saturating_add(1);
        if let Some(more) = self.in_a_row.checked_sub(TOLERATED) {
            let wait = WAIT.0.saturating_mul(1 << more.min(10)).min(WAIT.1);
            self.not_before = Some(Instant::now() + wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_program_that_keeps_ending_waits_longer_each_time() {
        let mut crashes = Crashes::default();
        crashes.note(Some("ended".to_owned()));
        crashes.note(Some("ended".to_owned()));
        assert!(crashes.check().is_ok());
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            crashes.note(Some("ended".to_owned()));
            assert!(crashes.check().is_err());
            tokio::time::advance(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
            assert!(crashes.check().is_err());
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(crashes.check().is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_has_served_may_start_again_at_once() {
        let mut crashes = Crashes::default();
        for _ in 0..3 {
            crashes.note(Some("ended".to_owned()));
        }
        assert!(crashes.check().is_err());
        crashes.note(None);
        assert!(crashes.check().is_ok());
    }
}
