//! Watches the modern side of a backend that has both.
//!
//! A backend with one side is watched for the legacy base alone, which the modern one is derived from.

use tokio::time::sleep;
use vmcp_model::Era;

use super::Watch;

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
            changed.await;
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
