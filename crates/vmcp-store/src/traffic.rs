//! What has gone to a store, and what replicas have told each other, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// What has gone to a store that is asked over the network, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Commands about records and whatever else is kept.
    pub commands: u64,
    /// Those of them that got no answer or were refused, and those that were not sent because the store
    /// was known to be away.
    pub failures: u64,
    pub bus: BusTraffic,
}

/// What replicas have told each other, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BusTraffic {
    /// Messages that this replica has sent, heartbeats among them.
    pub sent: u64,
    /// Messages of other replicas that it has heard, heartbeats among them.
    pub received: u64,
    /// Those before which at least one is missing.
    pub gaps: u64,
    /// How often something may have been missed, from the bus as a whole or because of a gap.
    pub generations: u64,
}

/// A number that only goes up. Many threads may count at once.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
