//! How long calls took: counts in buckets whose width grows with the value.
//!
//! Recording costs a few instructions and never allocates, so that it does not show in what is
//! measured. A quantile is right to 0.4 %, however large it is: far below what differs between two
//! rounds.

use std::time::Duration;

/// Buckets for each doubling of the value.
const STEPS: usize = 128;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Doublings that are told apart; the last one ends beyond an hour, in nanoseconds.
const DOUBLINGS: usize = 42 - STEP_BITS as usize + 1;

/// A distribution of durations.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; DOUBLINGS * STEPS], total: 0 }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = bucket(nanoseconds).min(self.counts.len() - 1);
        self.counts[bucket] += 1;
        self.total += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    pub(crate) fn count(&self) -> u64 {
        self.total
    }

    /// The duration that `share` (0 to 1) of the calls did not exceed, in microseconds; 0 if there
    /// were no calls.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank among some millions of calls fits both types"
        )]
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(bucket) / 1000.0;
            }
        }
        0.0
    }
}

/// Values below [`STEPS`] have a bucket each; above, the highest bits choose it.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    let within = usize::try_from(value >> shift).expect("less than twice STEPS remain");
    shift as usize * STEPS + within
}

/// The value in the middle of a bucket.
fn middle(bucket: usize) -> f64 {
    let shift = (bucket / STEPS).saturating_sub(1);
    let within = bucket - shift * STEPS;
    #[expect(clippy::cast_precision_loss, reason = "a bucket's number is small")]
    let (within, width) = (within as f64, (1_u64 << shift) as f64);
    (within + 0.5) * width
}

#[cfg(test)]
mod tests;
