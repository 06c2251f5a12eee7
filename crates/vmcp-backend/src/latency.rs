//! How long calls take. Written without a lock, by every call.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// Two periods of this length are kept: the present one and the one before.
const PERIOD: u64 = 60;

/// Parts of each power of two: a figure is right to about a fifth.
const PARTS: usize = 4;

/// Microseconds up to 2^32, which is more than an hour.
const SLOTS: usize = 32 * PARTS;

/// What the calls of the last minute or two took.
#[derive(Debug)]
pub(crate) struct Latency {
    origin: Instant,
    /// The present period, counted from the origin.
    period: AtomicU64,
    counts: [[AtomicU32; SLOTS]; 2],
}

/// What calls took lately: so much at most, for half of them and for 99 of 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencySnapshot {
    pub calls: u64,
    pub p50: Duration,
    pub p99: Duration,
}

impl Latency {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            period: AtomicU64::new(0),
            counts: std::array::from_fn(|_half| std::array::from_fn(|_slot| AtomicU32::new(0))),
        }
    }

    /// Notes how long a call took that began then.
    pub(crate) fn note(&self, began: Instant, took: Duration) {
        let period = self.advance(began + took);
        self.counts[half(period)][slot(took)].fetch_add(1, Ordering::Relaxed);
    }

    /// `None` if there were no calls.
    pub(crate) fn snapshot(&self) -> Option<LatencySnapshot> {
        Self::snapshot_of(std::iter::once(self))
    }

    /// The same of several together.
    pub(crate) fn snapshot_of<'a>(all: impl Iterator<Item = &'a Self>) -> Option<LatencySnapshot> {
        let mut counts = [0_u64; SLOTS];
        for one in all {
            one.advance(Instant::now());
            for half in &one.counts {
                for (sum, count) in counts.iter_mut().zip(half) {
                    *sum += u64::from(count.load(Ordering::Relaxed));
                }
            }
        }
        let calls: u64 = counts.iter().sum();
        let at = |share: u64| {
            let rank = (calls * share).div_ceil(100);
            let mut passed = 0;
            let found = counts.iter().position(|count| {
                passed += count;
                passed >= rank
            });
            upper(found.unwrap_or(SLOTS - 1))
        };
        (calls > 0).then(|| LatencySnapshot { calls, p50: at(50), p99: at(99) })
    }

    /// The present period. Whoever finds it begun forgets what was before the last.
    fn advance(&self, now: Instant) -> u64 {
        let now = now.saturating_duration_since(self.origin).as_secs() / PERIOD;
        let before = self.period.load(Ordering::Relaxed);
        if now > before
            && self
                .period
                .compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            let forget = |half: &[AtomicU32; SLOTS]| {
                half.iter().for_each(|count| count.store(0, Ordering::Relaxed));
            };
            forget(&self.counts[half(now)]);
            if now > before + 1 {
                forget(&self.counts[half(now + 1)]);
            }
        }
        now.max(before)
    }
}

fn half(period: u64) -> usize {
    usize::from(period % 2 == 1)
}

fn slot(took: Duration) -> usize {
    let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX).max(1);
    let power = micros.ilog2();
    // The two bits behind the first.
    let part = if power >= 2 { micros >> (power - 2) & 3 } else { micros << (2 - power) & 3 };
    power as usize * PARTS + part as usize
}

/// The longest that falls into a slot.
fn upper(slot: usize) -> Duration {
    let power = u32::try_from(slot / PARTS).unwrap_or(31);
    let part = u64::try_from(slot % PARTS).unwrap_or(0);
    Duration::from_micros(((5 + part) << power) / 4)
}

#[cfg(test)]
mod tests;
