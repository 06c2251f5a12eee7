//! What the record holds of backend sessions, and what of it can be used from here.

use std::{sync::Arc, time::Duration};

use vmcp_backend::{Backend, ClientView, Error, Session as BackendSession};
use vmcp_core::BackendSessions as _;
use vmcp_model::{BackendId, Era};
use vmcp_store::{BackendRecord, Error as Unread, Place};

use crate::{
    far::elsewhere,
    replicas::{close, close_unused},
    session::Session,
    sessions::Shared,
};

/// The pause before a store that did not answer is asked again what it holds.
const AGAIN: Duration = Duration::from_secs(1);

impl Session {
    pub(crate) fn record_of(&self, backend: &Backend, session: &BackendSession) -> BackendRecord {
        record_of(backend, session, &self.shared.replica)
    }

    /// The session that another replica has opened meanwhile, or a new one. `lost` is the one that is
    /// of no use any more. `true` if it is new.
    pub(crate) async fn adopt_or_open(
        &self,
        backend: &Arc<Backend>,
        lost: Option<BackendRecord>,
    ) -> Result<(BackendSession, bool), Error> {
        if !self.shared.vmcp.is_in_use(backend) {
            // A last call on a backend that has been taken out: the record is not about it any more.
            let opened = backend.open_for(self.client_view(), &self.client.info).await;
            return opened.map(|opened| (opened, true));
        }
        let kept = self.shared.store.backend(self.key, backend.id().clone()).await;
        let kept = kept.map_err(|error| Error::Unavailable(error.to_string()))?;
        match kept.ok_or(Error::Ended)? {
            Some(kept) if lost.as_ref() != Some(&kept) => {
                if self.can_use(backend, &kept).await?
                    && let Some(open) = self.resumed(backend, &kept)
                {
                    return Ok((open, false));
                }
                self.open_and_enter(backend, Some(kept)).await
            }
            kept => self.open_and_enter(backend, kept).await,
        }
    }

    /// Whether a session that the record holds can be used from here. Only one that nobody can use
    /// any more may be replaced.
    pub(crate) async fn can_use(
        &self,
        backend: &Backend,
        kept: &BackendRecord,
    ) -> Result<bool, Error> {
        match &kept.place {
            Place::Address(identity) => Ok(backend.identity() == Some(*identity)),
            Place::Replica(_) if self.shared.is_ready(backend, kept) => Ok(true),
            Place::Replica(replica) => {
                let lives = self.shared.store.replica(replica.to_string(), self.shared.clock.now());
                match lives.await.map_err(|error| Error::Unavailable(error.to_string()))? {
                    // An answer like any other: waiting does not help, and some clients take a status for
                    // the end of the session.
                    Some(_) => Err(elsewhere()),
                    None => Ok(false),
                }
            }
        }
    }

    /// The session on a backend that is open, here or by the record.
    pub(crate) async fn existing(
        &self,
        backend: &Arc<Backend>,
    ) -> Result<Option<BackendSession>, Error> {
        if let Some(open) = self.open(backend) {
            return Ok(Some(open));
        }
        let kept = self.shared.store.backend(self.key, backend.id().clone()).await;
        let kept = kept.map_err(|error| Error::Unavailable(error.to_string()))?;
        let Some(kept) = kept.flatten() else { return Ok(None) };
        if !self.can_use(backend, &kept).await? {
            return Ok(None);
        }
        let open = self.resumed(backend, &kept);
        if let Some(open) = &open {
            self.take(backend, open.clone());
        }
        Ok(open)
    }

    /// Closes a session of which it is not known whether the record holds it, unless it does. The
    /// store is asked until it answers. If the replica stops before, or the record cannot be read, the session is left:
    /// others may use it, and to a client a lost session is worse than one too many at a backend.
    pub(crate) fn close_unless_kept(&self, backend: &Arc<Backend>, open: BackendSession) {
        let (shared, key, backend) = (Arc::clone(&self.shared), self.key, Arc::clone(backend));
        self.shared.background.spawn(async move {
            loop {
                match shared.store.backend(key, backend.id().clone()).await {
                    Ok(Some(Some(kept))) if kept.session_id.as_deref() == open.id() => return,
                    Ok(_other) => break,
                    Err(Unread::Unavailable(_)) => {}
                    // Another version may read it.
                    Err(Unread::Corrupt(_)) => return left_open(&backend),
                }
                let stop = shared.background.stop();
                if stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
                    return left_open(&backend);
                }
            }
            close(&backend, &open).await;
        });
    }

    /// Takes up a session that another replica has opened, and ends the one whose place it has taken, if that is here.
    fn take(&self, backend: &Arc<Backend>, open: BackendSession) {
        let Some(replaced) = self.slots().adopt(backend, open) else { return };
        let (backend, drain) = (Arc::clone(backend), self.shared.config.drain);
        self.shared.background.spawn(async move { close_unused(&backend, &replaced, drain).await });
    }

    /// Takes up the sessions of a record that this replica does not know yet.
    pub(crate) fn adopt(&self, kept: &[(BackendId, BackendRecord)]) {
        for (id, kept) in kept {
            let Some(backend) = self.shared.vmcp.backend(id.as_str()) else { continue };
            if self.shared.is_ready(&backend, kept)
                && let Some(open) = self.resumed(&backend, kept)
            {
                self.take(&backend, open);
            }
        }
    }
}

fn left_open(backend: &Backend) {
    tracing::warn!(backend = %backend.id(), "a backend session is left open: the store does not say whether it is in use");
}

/// What the store keeps of a backend session.
pub(crate) fn record_of(
    backend: &Backend,
    session: &BackendSession,
    replica: &str,
) -> BackendRecord {
    BackendRecord {
        session_id: session.id().map(Into::into),
        version: session.version(),
        era: Era::Legacy,
        place: match backend.identity() {
            Some(identity) => Place::Address(identity),
            None => Place::Replica(session.holder().unwrap_or(replica).into()),
        },
    }
}

impl Shared {
    /// Whether a session that was kept is good on a backend, without asking anybody. Of one that another replica
    /// holds, that is only to be seen.
    pub(crate) fn is_ready(&self, backend: &Backend, kept: &BackendRecord) -> bool {
        match &kept.place {
            Place::Address(identity) => backend.identity() == Some(*identity),
            Place::Replica(holder) => {
                let has_way = *holder == self.replica || self.channel().is_some();
                backend.identity().is_none() && has_way
            }
        }
    }
}

/// A session of a client of this view from what was kept of it.
pub(crate) fn resumed(
    backend: &Backend,
    kept: &BackendRecord,
    view: &ClientView,
) -> Option<BackendSession> {
    let id = kept.session_id.as_deref();
    let resumed = BackendSession::resumed(id, kept.version, backend.facts())?;
    Some(resumed.of_view(view))
}
