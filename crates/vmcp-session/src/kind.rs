//! Finds out whether a backend offers this kind of client something of its own: the first session of a
//! kind reads its lists once on its own backend session.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;
use vmcp_backend::{Backend, Error, Session as BackendSession};
use vmcp_core::BackendSessions as _;
use vmcp_model::Era;

use crate::session::Session;

/// How long the first call of a kind of client waits for lists to be read. What takes longer is taken
/// for what it is for others.
const READING: Duration = Duration::from_secs(5);

impl Session {
    /// Takes in what a backend lists on a session that has just been opened, where that is not known
    /// of this kind of client, or is old. Nobody has called anything on that session yet: what a
    /// call unlocks is that session's own.
    pub(crate) async fn read_for_kind(&self, backend: &Arc<Backend>, open: &BackendSession) {
        let max_age = self.shared.config.offer_max_age;
        let wanted = self.view.wants_reading(backend.id(), max_age)
            // Nobody else may have started it since.
            || (backend.is_program() && self.view.is_old(backend.id(), max_age));
        if !wanted || !self.view.claim_reading(backend.id()) {
            return;
        }
        let reading = async {
            let _place = self.shared.own_offers.place(backend).await;
            backend.offer(open).await
        };
        let read = tokio::time::timeout(READING, reading).await;
        let read = read.unwrap_or(Err(Error::Timeout(READING)));
        if let Err(error) = &read {
            tracing::debug!(backend = %backend.id(), %error, "what is offered to a kind of client could not be read");
        }
        self.view.enter_read(backend.id(), read.ok());
    }

    /// Whether some backend is to be asked before it is known what clients of this kind are offered.
    /// Programs and servers of HTTP+SSE are not: each would be started, or connected to, for that.
    pub(crate) fn is_of_new_kind(&self) -> bool {
        !self.unread().is_empty()
    }

    fn unread(&self) -> Vec<Arc<Backend>> {
        let catalog = self.catalog.load();
        let backends = catalog.backends().iter();
        let backends = backends.filter_map(|id| self.shared.vmcp.backend(id.as_str()));
        let unread = backends.filter(|backend| {
            backend.identity().is_some()
                && !backend.is_out()
                && backend.era_for(Era::Legacy) == Some(Era::Legacy)
                && self.view.wants_reading(backend.id(), self.shared.config.offer_max_age)
        });
        unread.collect()
    }

    /// Opens the session's own sessions on those backends, and waits until their lists have been read,
    /// but no longer than `wait`. What comes later is told by list_changed.
    pub(crate) async fn introduce_kind(self: &Arc<Self>, wait: Duration) {
        let mut opening = JoinSet::new();
        for backend in self.unread() {
            let session = Arc::clone(self);
            let open = async move {
                // A failure has been logged, and is tried again on first use.
                if session.obtain(&backend).await.is_ok() {
                    session.view.until_read(backend.id()).await;
                }
            };
            opening.spawn_on(open, self.shared.background.runtime());
        }
        let all = async { while opening.join_next().await.is_some() {} };
        if tokio::time::timeout(wait, all).await.is_err() {
            opening.detach_all();
        }
        self.view.merge_now();
        self.shared.update(self).await;
    }
}
