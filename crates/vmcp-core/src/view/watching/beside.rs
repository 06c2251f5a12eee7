//! Watches the modern side of a backend that has both.
//!
//! A backend with one side is watched for the legacy base alone, which the modern one is derived from.

use std::time::Duration;

use tokio::time::sleep;
use vmcp_model::Era;

use super::Watch;

/// How often a backend is asked again for a modern side that has not answered for it.
const AGAIN: Duration = Duration::from_secs(300);

impl Watch {
    /// Watches until the view ends, whenever there is something to watch.
    pub(crate) async fn run_beside(self) {
        let stop = self.stop.clone();
        stop.run_until_cancelled(self.watch_beside()).await;
    }

    async fn watch_beside(&self) {
        let mut failures = 0;
        loop {
            let changed = self.backend.sides_changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.backend.has_both_sides() {
                self.watch_while_both().await;
                continue;
            }
            let Some(client) = self.view.upgrade().map(|view| view.client().clone()) else {
                return;
            };
            if self.backend.era_for(Era::Modern).is_none() {
                match self.backend.detect(&client).await {
                    Ok(_) => failures = 0,
                    Err(_moment) => {
                        failures += 1;
                        tokio::select! {
                            () = sleep(self.backoff(failures)) => {}
                            () = changed => {}
                        }
                    }
                }
                continue;
            }
            tokio::select! {
                () = changed => {}
                // It may have been a bad moment in which it did not say that it has this side.
                () = sleep(AGAIN), if self.backend.is_legacy_by_silence() => {
                    self.backend.ask_again(&client).await;
                }
            }
        }
    }

    /// Watches the modern side until there is only one.
    async fn watch_while_both(&self) {
        let over = async {
            loop {
                let changed = self.backend.sides_changed();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if !self.backend.has_both_sides() {
                    return;
                }
                changed.await;
            }
        };
        // The modern side has no sessions, so there is none to end.
        let mut current = None;
        tokio::select! {
            () = self.watch(&mut current) => {}
            () = over => {}
        }
        if let Some(view) = self.view.upgrade() {
            view.unwatch(self.id());
        }
    }
}
