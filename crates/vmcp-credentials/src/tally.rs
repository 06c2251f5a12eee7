//! How often values were obtained for one backend, and how often they could not be.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What has come of all attempts since the start.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    obtained: AtomicU64,
    failures: AtomicU64,
}

/// The values that are obtained for one backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Those that are good now.
    pub at_hand: usize,
    /// Those that were obtained since the start.
    pub obtained: u64,
    /// Attempts since the start that came to nothing.
    pub failures: u64,
}

impl Tally {
    pub(crate) fn note_obtained(&self) {
        self.obtained.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_failure(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    /// The counts, with so many values at hand.
    pub(crate) fn with(&self, at_hand: usize) -> Counts {
        let (obtained, failures) = (self.obtained.load(Relaxed), self.failures.load(Relaxed));
        Counts { at_hand, obtained, failures }
    }
}
