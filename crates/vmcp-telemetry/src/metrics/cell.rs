//! The numbers of one series: as one thread counts them, and added up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::key::{Key, Sought};

/// The upper bounds of buckets, in seconds: those of the OpenTelemetry conventions for MCP.
pub(super) static BOUNDS: [f64; 14] =
    [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];

/// The same in microseconds.
const MICROSECONDS: [u64; 14] = [
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
];

/// One more for what is above all bounds.
const BUCKETS: usize = BOUNDS.len() + 1;

/// What is counted of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) took: Duration,
    /// If it was sent to one.
    pub(super) at_backend: Option<Duration>,
    /// When it ended, in nanoseconds.
    pub(super) when: u64,
}

/// What one thread has counted of a series. Only that thread writes it, others read.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) key: Arc<Key>,
    /// The key's facts in one word.
    pub(super) word: u64,
    pub(super) hash: u64,
    /// The thread that writes it.
    pub(super) thread: u64,
    /// Whether its series is folded, so that its thread must not use it again.
    retired: AtomicBool,
    /// When it was used last, in nanoseconds.
    used: AtomicU64,
    pub(super) took: Times,
    pub(super) at_backend: Times,
}

/// How often how long. Whoever reads it while its thread counts may find a part of that.
#[derive(Debug, Default)]
pub(super) struct Times {
    buckets: [AtomicU64; BUCKETS],
    microseconds: AtomicU64,
}

/// The numbers of a series, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) took: Durations,
    /// Of those that were sent to a backend.
    pub(super) at_backend: Durations,
    /// When it was used last, in nanoseconds.
    pub(super) used: u64,
}

/// How often how long, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Durations {
    /// Not cumulative.
    pub(super) buckets: [u64; BUCKETS],
    pub(super) microseconds: u64,
}

impl Cell {
    pub(super) fn new(key: Arc<Key>, word: u64, hash: u64, thread: u64, when: u64) -> Self {
        Self {
            key,
            word,
            hash,
            thread,
            retired: AtomicBool::new(false),
            // From the beginning, or it would be the one that was unused longest.
            used: AtomicU64::new(when),
            took: Times::default(),
            at_backend: Times::default(),
        }
    }

    pub(super) fn is(&self, sought: &Sought<'_>) -> bool {
        self.key.is(sought, self.word)
    }

    /// Only by the thread that it belongs to.
    pub(super) fn count(&self, seen: &Seen) {
        self.used.store(seen.when, Ordering::Relaxed);
        self.took.add(seen.took);
        if let Some(time) = seen.at_backend {
            self.at_backend.add(time);
        }
    }

    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Times {
    pub(super) fn add(&self, time: Duration) {
        let microseconds = in_microseconds(time);
        self.add_one(microseconds);
        self.add_microseconds(microseconds);
    }

    pub(super) fn add_one(&self, microseconds: u64) {
        add(&self.buckets[bucket(microseconds)], 1);
    }

    pub(super) fn add_microseconds(&self, microseconds: u64) {
        add(&self.microseconds, microseconds);
    }
}

/// Only one thread writes, so nothing can come between.
fn add(number: &AtomicU64, more: u64) {
    number.store(number.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

impl Totals {
    pub(super) fn count(&mut self, seen: &Seen) {
        self.used = self.used.max(seen.when);
        self.took.count(seen.took);
        if let Some(time) = seen.at_backend {
            self.at_backend.count(time);
        }
    }

    pub(super) fn of_cell(cell: &Cell) -> Self {
        let mut totals = Self::default();
        totals.add_cell(cell);
        totals
    }

    pub(super) fn add_cell(&mut self, cell: &Cell) {
        self.used = self.used.max(cell.used());
        self.took.add_times(&cell.took);
        self.at_backend.add_times(&cell.at_backend);
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.used = self.used.max(other.used);
        self.took.add(&other.took);
        self.at_backend.add(&other.at_backend);
    }

    /// Whether nothing was counted, and no part of it.
    pub(super) fn is_nothing(&self) -> bool {
        self.took.is_nothing() && self.at_backend.is_nothing()
    }

    /// What was counted since then.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            took: self.took.since(&earlier.took),
            at_backend: self.at_backend.since(&earlier.at_backend),
            used: self.used,
        }
    }
}

impl Durations {
    /// How many there are.
    pub(super) fn count_all(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Whether nothing was counted. What took some time is not nothing even if it is no request: that was seen
    /// before.
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *sum += more;
        }
        self.microseconds = self.microseconds.wrapping_add(other.microseconds);
    }

    /// What was counted since then.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let numbers = self.buckets.iter().zip(&earlier.buckets);
        let mut buckets = [0; BUCKETS];
        for (more, (now, then)) in buckets.iter_mut().zip(numbers) {
            *more = now.saturating_sub(*then);
        }
        Self { buckets, microseconds: self.microseconds.wrapping_sub(earlier.microseconds) }
    }

    fn count(&mut self, time: Duration) {
        let microseconds = in_microseconds(time);
        self.buckets[bucket(microseconds)] += 1;
        self.microseconds = self.microseconds.wrapping_add(microseconds);
    }

    fn add_times(&mut self, times: &Times) {
        for (sum, more) in self.buckets.iter_mut().zip(&times.buckets) {
            *sum += more.load(Ordering::Relaxed);
        }
        let more = times.microseconds.load(Ordering::Relaxed);
        self.microseconds = self.microseconds.wrapping_add(more);
    }
}

/// To the nearest: whoever adds up many gets what they took.
fn in_microseconds(time: Duration) -> u64 {
    time.as_secs()
        .saturating_mul(1_000_000)
        .saturating_add(u64::from(time.subsec_nanos().saturating_add(500) / 1_000))
}

fn bucket(microseconds: u64) -> usize {
    // Most are in the first.
    MICROSECONDS.iter().position(|bound| microseconds <= *bound).unwrap_or(MICROSECONDS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        for (place, (seconds, microseconds)) in BOUNDS.into_iter().zip(MICROSECONDS).enumerate() {
            assert_eq!(Duration::from_secs_f64(seconds), Duration::from_micros(microseconds));
            assert_eq!(bucket(microseconds), place);
            assert_eq!(bucket(microseconds + 1), place + 1);
        }
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(in_microseconds(Duration::MAX)), BOUNDS.len());
        assert_eq!(in_microseconds(Duration::from_nanos(1_499)), 1);
        assert_eq!(in_microseconds(Duration::from_nanos(1_500)), 2);
    }
}
