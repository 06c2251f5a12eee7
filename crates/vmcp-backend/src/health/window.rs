//! How many exchanges failed in the last seconds.

use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds that are looked back.
pub(super) const SECONDS: u64 = 10;

/// Where the parts of a slot begin, counted in bits: the second, all exchanges, the failed ones.
const SECOND: u32 = 40;
const ALL: u32 = 20;

/// A slot for each second: second (24 bits), all (20 bits), failed (20 bits).
#[derive(Debug, Default)]
pub(super) struct Window([AtomicU64; SECONDS as usize]);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) all: u32,
    pub(super) failed: u32,
}

impl Window {
    /// Counts an exchange.
    pub(super) fn add(&self, second: u64, failed: bool) {
        self.count(second, (1 << ALL) | u64::from(failed));
    }

    /// Counts as failed what has been counted as well done.
    pub(super) fn spoil(&self, second: u64) {
        self.count(second, 1);
    }

    /// What there was in the last seconds.
    pub(super) fn counts(&self, second: u64) -> Counts {
        let mut counts = Counts::default();
        for slot in &self.0 {
            let slot = slot.load(Ordering::Relaxed);
            // 0 was never used: the seconds of slots count from 1.
            let age = (tag(second)).wrapping_sub(slot >> SECOND) & mask(24);
            if slot != 0 && age < SECONDS {
                counts.all += u32::try_from(slot >> ALL & mask(20)).unwrap_or(u32::MAX);
                counts.failed += u32::try_from(slot & mask(20)).unwrap_or(u32::MAX);
            }
        }
        counts
    }

    pub(super) fn clear(&self) {
        self.0.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
    }

    fn count(&self, second: u64, more: u64) {
        let slot = &self.0[usize::try_from(second % SECONDS).unwrap_or(0)];
        let present = slot.load(Ordering::Relaxed);
        if present >> SECOND == tag(second) {
            slot.fetch_add(more, Ordering::Relaxed);
        } else {
            // Whoever comes second in a new second finds it begun.
            let begun = tag(second) << SECOND | more;
            let raced = slot.compare_exchange(present, begun, Ordering::Relaxed, Ordering::Relaxed);
            if raced.is_err() {
                slot.fetch_add(more, Ordering::Relaxed);
            }
        }
    }
}

fn tag(second: u64) -> u64 {
    (second + 1) & mask(24)
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}
