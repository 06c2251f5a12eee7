//! Bounds how much of what is slow to begin is begun at once.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::sleep};

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
    /// without it: what is slow must not keep others from beginning. So does work once it is `quiet`, which
    /// slows nobody down.
    pub async fn within<W: Future>(&self, work: W, quiet: impl Future<Output = ()>) -> W::Output {
        let place = self.free.acquire().await;
        tokio::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = quiet => {}
            () = sleep(self.hold) => {}
        }
        drop(place);
        work.await
    }
}
