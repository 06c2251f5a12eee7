//! The time that records are stamped with.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;

use crate::record::Timestamp;

/// A clock that runs as fast as this process's own, whatever becomes of the system's time. Clones are the
/// same clock.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    origin: Instant,
    /// What it showed at the origin, in milliseconds since the epoch.
    began: AtomicU64,
}

impl Clock {
    /// One that shows the system's time as it is now, plus what passes from now on.
    pub fn of_system() -> Self {
        let began = AtomicU64::new(system().0);
        Self(Arc::new(Inner { origin: Instant::now(), began }))
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.0.began.load(Ordering::Relaxed)).after(self.0.origin.elapsed())
    }

    /// Lets it show another time.
    pub(crate) fn set(&self, now: Timestamp) {
        self.0.began.store(now.before(self.0.origin.elapsed()).0, Ordering::Relaxed);
    }
}

/// What the system takes for the time.
pub(crate) fn system() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
