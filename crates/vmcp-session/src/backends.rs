//! The backend sessions of one session: opened on first use, opened again when lost. Modern backends
//! need none.

use std::{
    collections::VecDeque,
    sync::{Arc, MutexGuard, PoisonError},
};

use tokio::{sync::watch, time::Instant};
use vmcp_backend::{Backend, ClientView, Error, Lineage, Session as BackendSession};
use vmcp_catalog::Route;
use vmcp_core::{Alias, BackendSessions, Pending, level_params};
use vmcp_model::{BackendId, Method, raw};
use vmcp_store::{BackendRecord, News, Swap};

use crate::{activity::Doubled, kept::record_of, replicas::close, session::Session};

/// Backend sessions, in the order in which they were begun: there are few.
#[derive(Debug, Default)]
pub(crate) struct Slots(Vec<Entry>);

/// What there is of one backend. One that has been exchanged for another of the same name keeps its
/// own entry until its calls have ended.
#[derive(Debug)]
struct Entry {
    id: BackendId,
    lineage: Lineage,
    slot: Slot,
}

#[derive(Debug, Clone)]
enum Slot {
    Open(BackendSession),
    /// Somebody is opening it; the receiver gets what came of it.
    Opening(watch::Receiver<Option<Opened>>),
    /// The same, and the record may hold it already.
    Entering(watch::Receiver<Option<Opened>>),
    /// The backend has lost the one that the record still holds, and no new one could be opened.
    Lost(BackendRecord),
}

pub(crate) type Opened = Result<BackendSession, Error>;

/// What a session had on a backend that is not in use any more.
pub(crate) enum Retired {
    Nothing,
    Open(BackendSession),
    /// Somebody is opening it still.
    Opening(watch::Receiver<Option<Opened>>),
}

impl Slots {
    /// Takes up sessions that are open already.
    pub(crate) fn resumed<'a>(
        open: impl IntoIterator<Item = (&'a Backend, BackendSession)>,
    ) -> Self {
        let mut slots = Self::default();
        open.into_iter().for_each(|(backend, session)| slots.set(backend, Slot::Open(session)));
        slots
    }

    /// The sessions that are open.
    pub(crate) fn open(&self) -> Vec<(BackendId, Lineage, BackendSession)> {
        let open = self.0.iter().filter_map(|Entry { id, lineage, slot }| match slot {
            Slot::Open(session) => Some((id.clone(), *lineage, session.clone())),
            Slot::Opening(_) | Slot::Entering(_) | Slot::Lost(_) => None,
        });
        open.collect()
    }

    /// Whether the session on this very backend is open.
    pub(crate) fn is_open(&self, backend: &Backend) -> bool {
        matches!(self.find(backend), Some(Slot::Open(_)))
    }

    /// Whether there is anything of this very backend.
    pub(crate) fn has(&self, backend: &Backend) -> bool {
        self.find(backend).is_some()
    }

    /// Takes out the session on a backend that is not in use any more. If the record still holds
    /// it, that is remembered.
    pub(crate) fn retire(&mut self, backend: &Backend, replica: &str) -> Retired {
        let superseded = self.others(backend).any(|slot| matches!(slot, Slot::Open(_)));
        match self.find(backend).cloned() {
            None | Some(Slot::Lost(_)) => Retired::Nothing,
            Some(Slot::Opening(outcome) | Slot::Entering(outcome)) => Retired::Opening(outcome),
            Some(Slot::Open(session)) => {
                if superseded {
                    self.remove(backend);
                } else {
                    self.set(backend, Slot::Lost(record_of(backend, &session, replica)));
                }
                Retired::Open(session)
            }
        }
    }

    /// Whether there is anything of a backend of this name.
    fn of_name(&self, id: &BackendId) -> bool {
        self.0.iter().any(|entry| entry.id == *id)
    }

    fn find(&self, backend: &Backend) -> Option<&Slot> {
        let found = self.0.iter().find(|entry| entry.is_of(backend));
        found.map(|entry| &entry.slot)
    }

    /// What there is of backends whose place this one has taken.
    fn others(&self, backend: &Backend) -> impl Iterator<Item = &Slot> {
        let of_name = self.0.iter().filter(|entry| entry.id == *backend.id());
        of_name.filter(|entry| entry.lineage != backend.lineage()).map(|entry| &entry.slot)
    }

    /// What of an older backend of the same name the record holds, or may be about to hold. One
    /// that is opened for a last call never comes into the record: nobody is to wait for it.
    fn former(&self, backend: &Backend) -> Option<&Slot> {
        let older = self
            .0
            .iter()
            .filter(|entry| entry.id == *backend.id() && entry.lineage < backend.lineage());
        older.map(|entry| &entry.slot).filter(|slot| !matches!(slot, Slot::Opening(_))).last()
    }

    /// Notes that what is opened is about to be entered in the record.
    fn set_entering(&mut self, backend: &Backend) {
        if let Some(Slot::Opening(outcome)) = self.find(backend).cloned() {
            self.set(backend, Slot::Entering(outcome));
        }
    }

    fn set(&mut self, backend: &Backend, slot: Slot) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.is_of(backend)) {
            entry.slot = slot;
        } else {
            self.0.reserve_exact(1);
            self.0.push(Entry { id: backend.id().clone(), lineage: backend.lineage(), slot });
        }
    }

    /// Enters a session that the record holds now: what it held before is of no use any more.
    fn set_open(&mut self, backend: &Backend, session: BackendSession) {
        self.0.retain(|entry| entry.id != *backend.id() || !matches!(entry.slot, Slot::Lost(_)));
        self.set(backend, Slot::Open(session));
    }

    /// Takes up a session that another replica has opened, unless something is known of the backend
    /// here. A link that others have replaced is: it was taken for lost. Gives the session that is of no use any more.
    pub(crate) fn adopt(
        &mut self,
        backend: &Backend,
        session: BackendSession,
    ) -> Option<BackendSession> {
        if !self.of_name(backend.id()) {
            self.set(backend, Slot::Open(session));
            return None;
        }
        match self.find(backend) {
            Some(Slot::Open(open)) if backend.identity().is_none() && open.id() != session.id() => {
                let replaced = open.clone();
                self.set(backend, Slot::Open(session));
                Some(replaced)
            }
            _ => None,
        }
    }

    fn remove(&mut self, backend: &Backend) {
        self.0.retain(|entry| !entry.is_of(backend));
    }
}

impl Entry {
    fn is_of(&self, backend: &Backend) -> bool {
        self.lineage == backend.lineage() && self.id == *backend.id()
    }
}

impl BackendSessions for Session {
    fn open(&self, backend: &Backend) -> Option<BackendSession> {
        if let Some(session) = backend.stateless(self.client_view()) {
            return Some(session);
        }
        match self.slots().find(backend) {
            Some(Slot::Open(session)) => Some(session.clone().informed(backend)),
            Some(Slot::Opening(_) | Slot::Entering(_) | Slot::Lost(_)) | None => None,
        }
    }

    fn obtain<'a>(&'a self, backend: &'a Arc<Backend>) -> Pending<'a, Opened> {
        Box::pin(self.opened(backend, None))
    }

    fn renew<'a>(
        &'a self,
        backend: &'a Arc<Backend>,
        lost: &'a BackendSession,
    ) -> Pending<'a, Opened> {
        Box::pin(self.opened(backend, Some(lost)))
    }

    fn owner_of(&self, uri: &str) -> Option<BackendId> {
        self.handed_by(uri)
    }
}

/// The session's backend sessions for a request with a name of its own there.
pub(crate) struct Renaming<'a> {
    session: &'a Session,
    alias: &'a Alias,
}

impl<'a> Renaming<'a> {
    pub(crate) fn new(session: &'a Session, doubled: &'a Doubled) -> Self {
        Self { session, alias: &doubled.alias }
    }
}

impl BackendSessions for Renaming<'_> {
    fn open(&self, backend: &Backend) -> Option<BackendSession> {
        self.session.open(backend)
    }

    fn obtain<'a>(&'a self, backend: &'a Arc<Backend>) -> Pending<'a, Opened> {
        self.session.obtain(backend)
    }

    fn renew<'a>(
        &'a self,
        backend: &'a Arc<Backend>,
        lost: &'a BackendSession,
    ) -> Pending<'a, Opened> {
        self.session.renew(backend, lost)
    }

    fn owner_of(&self, uri: &str) -> Option<BackendId> {
        self.session.owner_of(uri)
    }

    fn alias(&self) -> Option<&Alias> {
        Some(self.alias)
    }
}

impl Session {
    pub(crate) fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the backends are told about the client.
    pub(crate) fn client_view(&self) -> &ClientView {
        self.view.client()
    }

    async fn opened(&self, backend: &Arc<Backend>, lost: Option<&BackendSession>) -> Opened {
        // What takes the place of a session on a modern backend is of no slot and no record.
        if let Some(session) = backend.stateless(self.client_view()) {
            return Ok(session);
        }
        let lost = lost.filter(|lost| !lost.is_stateless());
        let is_heard = lost.is_some() && (self.listens_to(backend) || self.streams_elsewhere());
        let outcome = {
            let mut slots = self.slots();
            match slots.find(backend) {
                Some(Slot::Open(session)) if lost.is_none_or(|lost| lost.id() != session.id()) => {
                    return Ok(session.clone());
                }
                Some(Slot::Opening(outcome) | Slot::Entering(outcome)) => outcome.clone(),
                Some(Slot::Lost(record)) => {
                    let record = record.clone();
                    self.begin_opening(&mut slots, backend, Some(record))
                }
                Some(Slot::Open(_)) | None => {
                    let lost = lost.map(|lost| {
                        backend.note_session_lost(lost, is_heard);
                        self.record_of(backend, lost)
                    });
                    self.begin_opening(&mut slots, backend, lost)
                }
            }
        };
        backend.until_opened(outcome).await
    }

    /// Starts to open a session. It goes on even if whoever asked for it goes away, so that no
    /// backend session is left that nobody knows.
    fn begin_opening(
        &self,
        slots: &mut Slots,
        backend: &Arc<Backend>,
        lost: Option<BackendRecord>,
    ) -> watch::Receiver<Option<Opened>> {
        let (sender, outcome) = watch::channel(None);
        slots.set(backend, Slot::Opening(outcome.clone()));
        let (me, backend) = (self.me.clone(), Arc::clone(backend));
        self.shared.background.spawn(async move {
            let Some(session) = me.upgrade() else { return };
            let lost = match lost {
                Some(record) => Some(record),
                None => session.former(&backend).await,
            };
            let (opened, is_new) = match session.adopt_or_open(&backend, lost.clone()).await {
                Ok((open, is_new)) => (Ok(open), is_new),
                Err(error) => (Err(error), false),
            };
            if let Err(error) = &opened {
                tracing::warn!(backend = %backend.id(), %error, "could not open a backend session");
            }
            let open = opened.as_ref().ok().filter(|open| !open.is_stateless());
            match (open, lost) {
                (Some(open), _) => {
                    session.attend(&backend, open);
                    session.hear_first(&backend, open).await;
                    if is_new {
                        session.read_for_kind(&backend, open).await;
                    }
                    // Not before: a call of the client must not overtake that.
                    session.slots().set_open(&backend, open.clone());
                    if session.has_own_offer(&backend) {
                        // It was that of a session that is lost.
                        session.read_lists_soon(&backend);
                    }
                }
                (None, Some(record)) => session.slots().set(&backend, Slot::Lost(record)),
                (None, None) => session.slots().remove(&backend),
            }
            let is_open = open.is_some();
            // Nobody may be left to hear of it.
            sender.send_replace(Some(opened));
            // Whoever has taken the backend out may have looked before this was begun, or after the
            // session has ended.
            if is_open && !session.shared.vmcp.is_in_use(&backend) {
                let deadline = Instant::now() + session.shared.config.drain;
                session.leave(&backend, deadline).await;
            }
        });
        outcome
    }

    /// What the record holds of a backend whose place this one has taken.
    async fn former(&self, backend: &Arc<Backend>) -> Option<BackendRecord> {
        let deadline = Instant::now() + backend.timeouts().initialize;
        while self.shared.vmcp.is_in_use(backend) {
            let former = self.slots().former(backend).cloned()?;
            match former {
                Slot::Open(session) => return Some(self.record_of(backend, &session)),
                Slot::Lost(record) => return Some(record),
                Slot::Opening(mut outcome) | Slot::Entering(mut outcome) => {
                    let ended = outcome.wait_for(Option::is_some);
                    tokio::time::timeout_at(deadline, ended).await.ok()?.ok()?;
                }
            }
        }
        None
    }

    /// Opens a session and enters it in the record, if that holds what is expected. `true` if it is a
    /// new one, and not that of another replica.
    pub(crate) async fn open_and_enter(
        &self,
        backend: &Arc<Backend>,
        lost: Option<BackendRecord>,
    ) -> Result<(BackendSession, bool), Error> {
        let opened = backend.open_for(self.client_view(), &self.client.info).await?;
        if opened.is_stateless() {
            return Ok((opened, true));
        }
        {
            let mut slots = self.slots();
            if !self.shared.vmcp.is_in_use(backend) {
                return Ok((opened, true));
            }
            slots.set_entering(backend);
        }
        // Before others can find it in the record: they would use it at once.
        self.replay(backend, &opened, lost.is_some()).await;
        if backend.identity().is_none() {
            self.shared.be_known().await;
        }
        let entered = self.shared.store.swap_backend(
            self.key,
            backend.id().clone(),
            lost,
            self.record_of(backend, &opened),
        );
        let kept = match entered.await {
            Ok(Swap::Done) if !self.is_ended() => {
                // Whoever has the client's stream listens to it.
                self.shared.tell(News::Changed(self.key)).await;
                return Ok((opened, true));
            }
            Ok(Swap::Lost(winner)) => match self.can_use(backend, &winner).await {
                Ok(true) => self.resumed(backend, &winner).ok_or(Error::SessionLost),
                Ok(false) => Err(Error::Unavailable("its session was replaced; try again".into())),
                Err(error) => Err(error),
            },
            Ok(Swap::Done | Swap::Gone) => Err(Error::Ended),
            Err(error) => {
                // The record may hold it, and others may use it by now.
                self.close_unless_kept(backend, opened);
                return Err(Error::Unavailable(error.to_string()));
            }
        };
        close(backend, &opened).await;
        kept.map(|kept| (kept, false))
    }

    /// Tells a new backend session what the client has said before it was opened.
    async fn replay(&self, backend: &Arc<Backend>, session: &BackendSession, healed: bool) {
        let mut requests = VecDeque::new();
        if let Some(level) = self.log_level()
            && session.facts().has.logging
        {
            requests.push_back((Method::LoggingSetLevel, level_params(level)));
        }
        if healed {
            let catalog = self.catalog.load_full();
            let uris = self.subscriptions().clone();
            let own = uris
                .iter()
                .filter(|uri| catalog.resource(uri).and_then(Route::backend) == Some(backend.id()));
            requests.extend(own.map(|uri| {
                (Method::ResourcesSubscribe, [br#"{"uri":"#, &raw::string(uri)[..], b"}"].concat())
            }));
        }
        for (method, params) in requests {
            if let Err(error) = backend.ask(session, method, Some(&params)).await {
                tracing::warn!(backend = %backend.id(), %error, method = method.name(), "could not repeat what the client had said");
            }
        }
    }
}
