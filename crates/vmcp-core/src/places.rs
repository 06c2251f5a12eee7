//! Bounds how much of what is slow to begin is begun at once.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::timeout};

/// So many places, each held for a while at most. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Places {
    free: Arc<Semaphore>,
    hold: Duration,
}

impl Places {
    pub(crate) fn new(count: usize, hold: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), hold }
    }

    /// Waits for a place and does the work. Work that takes longer than a place may be held goes on
    /// without it: what is slow must not keep others from beginning.
    pub async fn within<W: Future>(&self, work: W) -> W::Output {
        let place = self.free.acquire().await;
        tokio::pin!(work);
        if let Ok(done) = timeout(self.hold, &mut work).await {
            return done;
        }
        drop(place);
        work.await
    }
}
