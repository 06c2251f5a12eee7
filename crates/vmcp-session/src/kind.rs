//! Finds out whether a backend offers this kind of client something of its own: the lists are read once
//! on a session that the backend is given for such a client, and on which nothing is called.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::timeout};
use vmcp_backend::{Advertised, Backend, Error, Session as BackendSession};
use vmcp_model::{BackendId, Era};

use crate::{replicas::close, session::Session, sessions::Sessions};

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
        let read = self.read_in_time(backend, backend.offer(open)).await;
        self.view.enter_read(backend.id(), read);
    }

    /// Whether some backend is to be asked before it is known what clients of this kind are offered.
    pub(crate) fn is_of_new_kind(&self) -> bool {
        !self.unread().is_empty()
    }

    fn unread(&self) -> Vec<Arc<Backend>> {
        let catalog = self.catalog.load();
        let backends = catalog.backends().iter();
        let backends = backends.filter_map(|id| self.shared.vmcp.backend(id.as_str()));
        backends.filter(|backend| self.is_unread(backend)).collect()
    }

    fn is_unread(&self, backend: &Backend) -> bool {
        // A program is not started only because time has passed.
        let max_age = match backend.is_program() {
            true => Duration::MAX,
            false => self.shared.config.offer_max_age,
        };
        may_be_read(backend)
            && self.view.has_answered(backend.id())
            && match backend.era_for(Era::Legacy) {
                // Whether it has this side is found out for the first client that needs to know.
                None => backend.era_for(Era::Modern) == Some(Era::Modern),
                Some(Era::Legacy) => self.view.wants_reading(backend.id(), max_age),
                Some(Era::Modern) => false,
            }
    }

    /// Whether some of these backends is still to be asked what it offers this kind of client, as on a
    /// replica that has just taken its first session of this kind over.
    pub(crate) fn is_to_be_compared(&self, backends: &[BackendId]) -> bool {
        let not_compared = self.view.not_compared(backends);
        let mut found = not_compared.iter().filter_map(|id| self.shared.vmcp.backend(id.as_str()));
        found.any(|backend| {
            may_be_read(&backend) && backend.era_for(Era::Legacy) != Some(Era::Modern)
        })
    }

    /// Has those backends read for clients of this kind, so many at once as may, and waits for it, but
    /// no longer than `wait`. What comes later is told by list_changed.
    pub(crate) async fn introduce_kind(self: &Arc<Self>, wait: Duration) {
        let at_once = self.shared.config.max_backend_init_concurrency.max(1);
        let places = Arc::new(Semaphore::new(at_once));
        let mut readings = Vec::new();
        for backend in self.unread() {
            let (session, places) = (Arc::clone(self), Arc::clone(&places));
            // Gone through with whoever waits for it: what is opened is to be ended.
            readings.push(self.shared.background.spawn(async move {
                let reading = session.read_aside(&backend, wait);
                if backend.is_program() {
                    let starts = session.shared.vmcp.starts();
                    return starts.within(reading, backend.until_quiet()).await;
                }
                let _place = places.acquire().await;
                reading.await;
            }));
        }
        let all = async {
            for reading in readings {
                let _done = reading.await;
            }
        };
        let _late = timeout(wait, all).await;
        self.view.merge_now();
        self.shared.update(self).await;
    }

    /// Reads what a backend lists to clients of this kind, on a session that ends with that. If
    /// somebody reads it already, that is waited for.
    async fn read_aside(&self, backend: &Arc<Backend>, wait: Duration) {
        if !self.view.claim_reading(backend.id()) {
            self.view.until_read(backend.id(), wait).await;
            return;
        }
        // Somebody may have read it since it was found to be unread.
        if !self.is_unread(backend) {
            self.view.release_reading(backend.id());
            return;
        }
        let opened = backend.open_to_read(self.client_view(), &self.client.info).await;
        let read = match &opened {
            Ok(open) => self.read_in_time(backend, backend.offer(open)).await,
            Err(error) => {
                tracing::debug!(backend = %backend.id(), %error, "what is offered to a kind of client could not be asked");
                None
            }
        };
        self.view.enter_read(backend.id(), read);
        if let Ok(open) = opened {
            close(backend, &open).await;
        }
    }

    async fn read_in_time(
        &self,
        backend: &Arc<Backend>,
        reading: impl Future<Output = Result<Advertised, Error>>,
    ) -> Option<Advertised> {
        let placed = async {
            let _place = self.shared.own_offers.place(backend).await;
            reading.await
        };
        let read = timeout(READING, placed).await.unwrap_or(Err(Error::Timeout(READING)));
        read.inspect_err(|error| {
            tracing::debug!(backend = %backend.id(), %error, "what is offered to a kind of client could not be read");
        })
        .ok()
    }
}

/// Whether a kind of client is offered what is read for it: everybody has the same of a shared one, and
/// what does not answer others is not waited for.
fn may_be_read(backend: &Backend) -> bool {
    !backend.is_out() && !backend.is_shared()
}

impl Sessions {
    /// Has read again what kinds of clients are offered of their own, where what others are offered has
    /// changed: one session of each kind sees to it.
    pub(crate) fn read_kinds_again(&self) {
        let mut seen = HashSet::new();
        for session in self.all() {
            if seen.insert(Arc::as_ptr(&session.view)) && session.is_of_new_kind() {
                let wait = self.shared.config.initialize_wait;
                self.shared.background.spawn_until_stop(async move {
                    session.introduce_kind(wait).await;
                });
            }
        }
    }
}
