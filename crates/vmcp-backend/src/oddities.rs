//! What a backend does that no server should and that harms nobody: it is made the best of, and told
//! in the log once for each backend.

use std::sync::atomic::{AtomicU32, Ordering};

/// Something odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// A list whose cursors lead back to what was there before.
    Circle,
}

/// What has been told already.
#[derive(Debug, Default)]
pub(crate) struct Oddities(AtomicU32);

impl Oddities {
    /// Whether this is the first of its kind, so that it is to be told.
    pub(crate) fn is_news(&self, oddity: Oddity) -> bool {
        let bit = 1 << oddity as u32;
        self.0.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }
}
