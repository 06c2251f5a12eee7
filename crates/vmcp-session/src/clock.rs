//! The time that records are stamped with.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use vmcp_store::Timestamp;

/// The system's time when the process began, plus what has passed since: it never runs backwards.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    began: u64,
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Self { began, origin: Instant::now() }
    }

    pub(crate) fn now(self) -> Timestamp {
        Timestamp(self.began).after(self.origin.elapsed())
    }
}
