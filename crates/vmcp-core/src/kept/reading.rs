//! Reads what a kept session lists, when its backend says that it has changed: it may be true there
//! only.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;
use vmcp_backend::{Error, ListsChanged};
use vmcp_model::Digest;

use super::{
    Reuse, Shared,
    lists::Begun,
    session::{KeptSession, Open},
};
use crate::own_offers::OwnOffer;

/// Changes that come within this time are one change.
const COALESCE: Duration = Duration::from_millis(50);

/// The least time between two readings of one session's lists.
const PAUSE: Duration = Duration::from_millis(500);

/// How often a reading that fails is tried, each time after a longer pause.
const ATTEMPTS: u32 = 4;

/// The reading of one kept session's lists.
struct Reading {
    kept: Weak<KeptSession>,
    shared: Arc<Shared>,
    key: Digest,
    open: Open,
    begun: Begun,
}

impl KeptSession {
    /// Takes in that a backend has said on its session that its lists have changed.
    pub(super) fn note_lists_changed(self: &Arc<Self>, open: &Open) {
        self.shared.views.refresh(open.backend.id(), self.client.subject());
        self.read_lists_soon(open);
    }

    /// Hears of changes of the lists that come on the link of a session, before the answer does that
    /// comes after them.
    pub(super) fn attend(self: &Arc<Self>, open: &Open) {
        let (me, generation) = (Arc::downgrade(self), open.generation);
        let told = ListsChanged::new(move || {
            if let Some(kept) = me.upgrade()
                && let Some(open) = kept.open_of(generation)
            {
                kept.note_lists_changed(&open);
            }
        });
        open.backend.tell_of_lists(&open.session, told);
    }

    /// Has the session's lists read, once for all changes that come before long. Where a session is not
    /// one caller's, what it lists is nobody's own.
    pub(super) fn read_lists_soon(self: &Arc<Self>, open: &Open) {
        match self.shared.bridge.reuse {
            Reuse::Principal => {}
            Reuse::All | Reuse::Never => return,
        }
        let Some(key) = self.key() else { return };
        let Some(begun) = self.shared.lists.tell(key, open) else { return };
        let (kept, shared) = (Arc::downgrade(self), Arc::clone(&self.shared));
        let reading = Reading { kept, shared, key, open: open.clone(), begun };
        self.shared.background.spawn_until_stop(reading.run());
    }
}

impl Reading {
    /// Reads the lists until there is nothing new, or the session has ended.
    async fn run(self) {
        let mut failures = 0;
        loop {
            tokio::time::sleep(COALESCE).await;
            let began = Instant::now();
            let kept = self.kept.upgrade().filter(|kept| kept.is_on(self.open.generation));
            let Some(kept) = kept else {
                self.shared.lists.end(self.key, &self.begun, true);
                return;
            };
            let told = self.begun.told.load(Ordering::Relaxed);
            let id = self.open.backend.id();
            match self.read(&kept).await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    tracing::debug!(backend = %id, %error, "what a kept session lists could not be read");
                    if matches!(error, Error::SessionLost) || failures >= ATTEMPTS {
                        tracing::warn!(backend = %id, %error, "what a backend lists to a kept session is not known; its caller is shown what it was");
                        failures = 0;
                    }
                }
            }
            drop(kept);
            if failures == 0 {
                self.begun.read.send_replace(told);
            }
            // A backend that always has something new is not asked all the time.
            tokio::time::sleep_until(began + PAUSE * 4_u32.pow(failures)).await;
            self.merge();
            if self.shared.lists.end(self.key, &self.begun, false) {
                return;
            }
        }
    }

    /// Reads the lists, and keeps what could be read.
    ///
    /// # Errors
    /// If one could not be.
    async fn read(&self, kept: &Arc<KeptSession>) -> Result<(), Error> {
        let Open { backend, session, .. } = &self.open;
        let read = self.shared.lists.bounds.read(backend, session).await?;
        let view = kept.view(&self.shared.views);
        let of_view = view.as_ref().and_then(|view| view.offer(backend.id()));
        let own = self.shared.lists.own(&self.key, &self.open);
        let (offer, problem) = OwnOffer::read(read, own.as_deref(), of_view.as_deref());
        if view.as_ref().is_some_and(|view| !view.shows(backend.id(), &offer)) {
            self.shared.views.note_own_lists(backend.id());
        }
        self.shared.lists.keep(self.key, kept, &self.open, view.as_deref(), offer);
        self.merge();
        problem.map_or(Ok(()), |why| Err(Error::Protocol(why)))
    }

    /// Merges what the caller is shown before it asks, and drops what the view shows by now.
    fn merge(&self) {
        let Some(kept) = self.kept.upgrade() else { return };
        if let Some(view) = kept.view(&self.shared.views) {
            self.shared.lists.catalog(&self.key, &view, &self.shared.views);
        }
    }
}
