//! One kept session: who uses it, and the backend session that it has now.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use vmcp_backend::{Backend, ClientView, Error, Session, Subject};
use vmcp_model::{Digest, Era, LogLevel, Method};

use super::{
    Shared,
    pool::Pool,
    using::{Member, Using},
};
use crate::{lent::level_params, view::View, views::Views};

/// A session that lasts longer than the calls on it. The backend may lose the one that it has; then
/// it gets another.
#[derive(Debug)]
pub(crate) struct KeptSession {
    /// Who finds it again; nobody if it is for one call.
    key: Option<Digest>,
    pool: Weak<Pool>,
    pub(super) shared: Arc<Shared>,
    /// What the backend is told about the client.
    pub(super) client: ClientView,
    /// Places for calls, if they are counted.
    places: Option<Arc<Semaphore>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    slot: Slot,
    /// Counts the backend sessions that it has had.
    generation: u64,
    /// Ends the keeping of the present backend session.
    over: CancellationToken,
    /// Calls that are under way, or wait for their turn.
    uses: usize,
    last_used: Instant,
    /// The least severe log message that anybody has wanted. The backend has been told, or will be.
    level: Option<LogLevel>,
    /// Nobody else is to use it: it ends with the last call on it.
    leaving: bool,
}

#[derive(Debug)]
enum Slot {
    /// There has been none yet, or the backend has lost it.
    Empty,
    /// Somebody is opening one; the receiver gets what came of it.
    Opening(watch::Receiver<Option<Opened>>),
    Open(Open),
}

pub(super) type Opened = Result<Open, Error>;

/// A backend session that a kept session has, or has had.
#[derive(Debug, Clone)]
pub(super) struct Open {
    /// The one that it was opened on.
    pub(super) backend: Arc<Backend>,
    pub(super) session: Session,
    pub(super) generation: u64,
}

impl KeptSession {
    pub(super) fn new(
        key: Digest,
        client: &ClientView,
        shared: &Arc<Shared>,
        pool: Weak<Pool>,
    ) -> Arc<Self> {
        Arc::new(Self::of(Some(key), client, shared, pool, shared.bridge.places()))
    }

    /// One that is there for one call, and for nobody else.
    pub(super) fn for_one_call(
        client: &ClientView,
        shared: &Arc<Shared>,
        pool: Weak<Pool>,
    ) -> Member {
        let kept = Self::of(None, client, shared, pool, None);
        kept.state().uses = 1;
        Member(Arc::new(kept))
    }

    fn of(
        key: Option<Digest>,
        client: &ClientView,
        shared: &Arc<Shared>,
        pool: Weak<Pool>,
        places: Option<usize>,
    ) -> Self {
        let state = State {
            slot: Slot::Empty,
            generation: 0,
            over: CancellationToken::new(),
            uses: 0,
            last_used: Instant::now(),
            level: None,
            leaving: false,
        };
        Self {
            key,
            pool,
            shared: Arc::clone(shared),
            client: client.clone(),
            places: places.map(|places| Arc::new(Semaphore::new(places))),
            state: Mutex::new(state),
        }
    }

    /// Uses it if that needs no waiting, for nothing and for nobody.
    pub(super) fn at_hand(self: &Arc<Self>, level: Option<LogLevel>) -> Option<Using> {
        let place = match &self.places {
            Some(places) => Some(Arc::clone(places).try_acquire_owned().ok()?),
            None => None,
        };
        let mut state = self.state();
        let Slot::Open(open) = &state.slot else { return None };
        if state.leaving || state.is_too_quiet(&open.session, level) {
            return None;
        }
        let open = open.clone();
        state.uses += 1;
        drop(state);
        Some(Using::new(place, Member(Arc::clone(self)), open))
    }

    /// Counts somebody who uses it, or waits to. `None` if nobody is to use it any more.
    pub(super) fn join(self: &Arc<Self>) -> Option<Member> {
        let mut state = self.state();
        if state.leaving {
            return None;
        }
        state.uses += 1;
        drop(state);
        Some(Member(Arc::clone(self)))
    }

    /// Counts one user less. What nobody can use again ends with the last one.
    pub(super) fn release(&self) {
        let mut state = self.state();
        state.uses -= 1;
        state.last_used = Instant::now();
        if state.uses > 0 {
            return;
        }
        let ended = state.leaving;
        let ends = self.key.is_none() || matches!(state.slot, Slot::Empty);
        if ends || ended {
            state.leave();
        }
        drop(state);
        if ends && !ended {
            self.forget();
        } else if !ended && let Some(pool) = self.pool.upgrade() {
            pool.note_unused();
        }
    }

    /// How many use it, or wait to.
    pub(super) fn uses(&self) -> usize {
        self.state().uses
    }

    /// A place for a call, when there is one.
    pub(super) async fn place(
        &self,
        until: Instant,
    ) -> Result<Option<OwnedSemaphorePermit>, Error> {
        let Some(places) = &self.places else { return Ok(None) };
        match tokio::time::timeout_at(until, Arc::clone(places).acquire_owned()).await {
            Ok(place) => Ok(place.ok()),
            Err(_elapsed) => {
                let limit = self.shared.bridge.places().unwrap_or(1);
                Err(Error::Busy {
                    what: "calls under way on the kept session",
                    key: "bridge.concurrency",
                    limit,
                })
            }
        }
    }

    /// How long nobody has used it. `None` while somebody does.
    pub(super) fn unused(&self) -> Option<Duration> {
        let state = self.state();
        (state.uses == 0).then(|| state.last_used.elapsed())
    }

    /// Ends it if nobody has used it for so long. It is the caller's to forget it then.
    pub(super) fn leave_if_unused(&self, limit: Duration) -> bool {
        let mut state = self.state();
        let leaves = !state.leaving && state.uses == 0 && state.last_used.elapsed() >= limit;
        if leaves {
            state.leave();
        }
        leaves
    }

    /// Lets nobody else use it: it ends with the last call on it.
    pub(super) fn leave(&self) {
        self.state().leave();
        self.forget();
    }

    /// Ends it, whoever uses it.
    pub(super) fn cut_off(&self) {
        self.state().over.cancel();
    }

    /// Makes it be found by nobody.
    pub(super) fn forget(&self) {
        let Some(pool) = self.pool.upgrade() else { return };
        match &self.key {
            Some(key) => pool.forget(self, key),
            None => pool.note_single_ended(),
        }
    }

    /// When it is to end unless somebody uses it.
    pub(super) fn ends_at(&self) -> Instant {
        let state = self.state();
        let since = if state.uses == 0 { state.last_used } else { Instant::now() };
        since + self.shared.bridge.idle
    }

    /// The backend session that there is, or a new one; opened once however many ask. `lost` is the
    /// generation of one that the backend does not know any more.
    pub(super) async fn session(
        self: &Arc<Self>,
        backend: &Arc<Backend>,
        lost: Option<u64>,
    ) -> Opened {
        let outcome = {
            let mut state = self.state();
            match &state.slot {
                Slot::Open(open) if lost != Some(open.generation) => return Ok(open.clone()),
                Slot::Opening(outcome) => outcome.clone(),
                Slot::Open(_) | Slot::Empty => {
                    state.over.cancel();
                    state.over = CancellationToken::new();
                    state.generation += 1;
                    let (generation, over) = (state.generation, state.over.clone());
                    let outcome = self.begin_keeping(backend, generation, over);
                    state.slot = Slot::Opening(outcome.clone());
                    outcome
                }
            }
        };
        backend.until_opened(outcome).await
    }

    /// Notes what came of the opening of a backend session.
    pub(super) fn note_opened(&self, opened: &Opened) {
        self.state().slot = match opened {
            Ok(open) if !open.session.is_stateless() => Slot::Open(open.clone()),
            Ok(_) | Err(_) => Slot::Empty,
        };
    }

    /// Who finds it again; nobody if it is for one call.
    pub(super) fn key(&self) -> Option<Digest> {
        self.key
    }

    /// What its clients see of every backend, if that is known.
    pub(super) fn view(&self, views: &Views) -> Option<Arc<View>> {
        let subject = self.client.subject().map(Subject::key);
        views.peek_modern(self.client.capabilities_for(Era::Modern), subject)
    }

    /// The backend session of this generation, while it is the one to use.
    pub(super) fn open_of(&self, generation: u64) -> Option<Open> {
        let state = self.state();
        let Slot::Open(open) = &state.slot else { return None };
        let is_it = open.generation == generation && !state.over.is_cancelled();
        is_it.then(|| open.clone())
    }

    /// Whether the backend session of this generation is the one to use.
    pub(super) fn is_on(&self, generation: u64) -> bool {
        self.open_of(generation).is_some()
    }

    /// Whether this is the backend session that it has, or had last.
    pub(super) fn has(&self, generation: u64) -> bool {
        self.state().generation == generation
    }

    /// Notes that the backend has lost the session. It is opened anew for the next call.
    pub(super) fn note_lost(&self, generation: u64) {
        let mut state = self.state();
        if state.generation != generation {
            return;
        }
        state.slot = Slot::Empty;
        let leaves = !state.leaving && state.uses == 0;
        if leaves {
            state.leave();
        }
        drop(state);
        if leaves {
            self.forget();
        }
    }

    /// The least severe log message that anybody has wanted.
    pub(super) fn level(&self) -> Option<LogLevel> {
        self.state().level
    }

    /// Tells the backend from where on log messages are wanted, if it has not been told so much.
    pub(super) async fn raise(&self, open: &Open, level: Option<LogLevel>) {
        let wanted = {
            let mut state = self.state();
            let wanted = level.filter(|_| state.is_too_quiet(&open.session, level));
            if wanted.is_some() {
                state.level = wanted;
            }
            wanted
        };
        if let Some(wanted) = wanted {
            tell_level(&open.backend, &open.session, wanted).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    pub(super) fn new(backend: &Arc<Backend>, session: Session, generation: u64) -> Self {
        Self { backend: Arc::clone(backend), session, generation }
    }
}

impl State {
    /// Whether the backend has been told to leave out messages that are wanted now.
    fn is_too_quiet(&self, session: &Session, level: Option<LogLevel>) -> bool {
        let Some(wanted) = level else { return false };
        session.facts().has.logging && self.level.is_none_or(|told| wanted < told)
    }

    fn leave(&mut self) {
        self.leaving = true;
        if self.uses == 0 {
            self.over.cancel();
        }
    }
}

/// Tells a backend from where on log messages are wanted.
pub(super) async fn tell_level(backend: &Arc<Backend>, session: &Session, level: LogLevel) {
    let params = level_params(level);
    if let Err(error) = backend.ask(session, Method::LoggingSetLevel, Some(&params)).await {
        tracing::debug!(backend = %backend.id(), %error, "could not pass the log level on");
    }
}
