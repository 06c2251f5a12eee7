//! Says what strangers make happen, but not each time.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How often something may be said.
const EVERY: Duration = Duration::from_secs(10);

/// Something that is said at most once in ten seconds.
#[derive(Debug, Default)]
pub(crate) struct Quiet(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    untold: u64,
}

impl Quiet {
    /// Whether it may be said now; if so, how often it was not said since the last time.
    pub(crate) fn may_say(&self) -> Option<u64> {
        let now = Instant::now();
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.last.is_some_and(|last| now < last + EVERY) {
            said.untold += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.untold))
    }
}

#[cfg(test)]
mod tests;
