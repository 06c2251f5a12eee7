//! Kept sessions: the backend sessions on which the requests of clients of the modern era run, who
//! have none of their own.
//!
//! A client that says the same of itself as before, and that proves to be the same caller, finds on a
//! legacy backend what its earlier calls have left there. Its calls run side by side on one session,
//! under ids of vmcp's own. What is kept is bounded, and ends when nobody has used it for a while.

mod keeping;
mod lists;
mod pool;
mod reading;
mod session;
mod using;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::{sync::watch, time::Instant};
use vmcp_backend::{Backend, ClientView, Error, Lineage};
use vmcp_catalog::Catalog;
use vmcp_model::{
    BackendId, Digest, LogLevel, Principal,
    raw::{self, Members},
};
use vmcp_wire::{Id, IdKey};

use crate::{background::Background, own_bounds::OwnBounds, view::View, views::Views};
use lists::Lists;
pub use lists::Unread;
use pool::Pool;
pub(crate) use using::Using;

/// How the requests of clients without sessions use backend sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bridge {
    pub reuse: Reuse,
    /// Calls at once on one kept session of a principal, if that has a bound of its own.
    pub concurrency: Option<usize>,
    /// How long a session is kept that nobody uses.
    pub idle: Duration,
    /// How long a call waits for a place.
    pub wait: Duration,
    /// How many sessions of one backend are kept.
    pub sessions: usize,
}

/// Whose calls use one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Those of one principal by one client.
    Principal,
    /// Those of all clients that a backend cannot tell apart, one at a time. One that does not come to
    /// a good end takes the session with it.
    All,
    /// Each has a session for itself.
    Never,
}

/// Who asks, as far as it decides whose session is used.
#[derive(Debug, Clone)]
pub struct Borrower {
    /// `None` if nobody can say that the next call comes from the same caller.
    pub principal: Option<Principal>,
    /// The client's `Implementation` object (JSON text); empty if it says nothing.
    pub client_info: Bytes,
}

/// What a request is called on a session where its own id would not do: a name that is never used
/// again, its id and its progress token.
#[derive(Debug, Clone)]
pub struct Alias {
    /// As JSON.
    pub(crate) name: Bytes,
    pub(crate) id: IdKey,
}

impl Alias {
    /// A name that no other request on the session has.
    pub fn new(name: &str) -> Self {
        let name = raw::string(name);
        let id = Id::parse(&name).expect("a string is an id").key();
        Self { name: name.into(), id }
    }

    pub fn id(&self) -> &IdKey {
        &self.id
    }
}

/// All kept sessions, by backend.
#[derive(Debug)]
pub(crate) struct Kept {
    shared: Arc<Shared>,
    pools: ArcSwap<HashMap<Lineage, Arc<Pool>>>,
    /// Held while other pools take the place of those there are.
    changing: Mutex<()>,
    numbers: AtomicU64,
}

/// What every kept session needs.
#[derive(Debug)]
struct Shared {
    bridge: Bridge,
    background: Background,
    /// Told when a backend says that its lists have changed.
    views: Arc<Views>,
    /// What backends list to single callers.
    lists: Lists,
}

/// What a client of the modern era is shown.
#[derive(Debug)]
pub struct Shown {
    pub catalog: Arc<Catalog>,
    /// Whether some of it is shown to nobody else.
    pub is_own: bool,
}

impl Kept {
    pub(crate) fn new(bridge: Bridge, background: Background, views: Arc<Views>) -> Self {
        let lists = Lists::new(Arc::default());
        let shared = Arc::new(Shared { bridge, background, views, lists });
        let (pools, changing) = (ArcSwap::default(), Mutex::default());
        Self { shared, pools, changing, numbers: AtomicU64::new(1) }
    }

    pub(crate) fn background(&self) -> &Background {
        &self.shared.background
    }

    /// Lets the lists of a backend be read again.
    pub(crate) fn refresh(&self, backend: &Backend, client: &ClientView) {
        self.shared.views.refresh(backend.id(), client.subject());
    }

    /// The room that own offers may take.
    pub(crate) fn own_bounds(&self) -> &Arc<OwnBounds> {
        &self.shared.lists.bounds
    }

    /// Ticks when what some caller is shown of its own has changed.
    pub(crate) fn own_changes(&self) -> watch::Receiver<u64> {
        self.shared.lists.changes()
    }

    /// Whether some caller may have something of its own.
    pub(crate) fn lists_anything(&self) -> bool {
        self.shared.lists.are_any()
    }

    /// What a caller is shown: its view's catalog, unless its kept sessions list something of their
    /// own. `key` is asked for only where somebody's do.
    pub(crate) fn shown(&self, view: &Arc<View>, key: impl FnOnce() -> Option<Digest>) -> Shown {
        let Shared { lists, views, .. } = &*self.shared;
        let key = if lists.are_any() { key() } else { None };
        match key.and_then(|key| lists.catalog(&key, view, views)) {
            Some(catalog) => Shown { catalog, is_own: true },
            None => Shown { catalog: view.catalog(), is_own: false },
        }
    }

    /// Lists of a caller that have changed and are not read yet: those of one backend, or all.
    pub(crate) fn unread(
        &self,
        key: impl FnOnce() -> Option<Digest>,
        backend: Option<&BackendId>,
    ) -> Option<Unread> {
        let lists = &self.shared.lists;
        let key = if lists.are_any() { key() } else { None };
        lists.unread(&key?, backend)
    }

    /// A name for one request.
    pub(crate) fn alias(&self) -> Alias {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed).to_string();
        let id = Id::parse(number.as_bytes()).expect("a number is an id").key();
        Alias { name: number.into(), id }
    }

    /// Which session is used. `None`: a new one.
    pub(crate) fn key(&self, borrower: &Borrower, client: &ClientView) -> Option<Digest> {
        let view = client.parts();
        match self.shared.bridge.reuse {
            Reuse::Never => None,
            Reuse::All => Some(Digest::of_parts(view)),
            Reuse::Principal => {
                let (issuer, subject) = match borrower.principal.as_ref()? {
                    Principal::Anonymous => ("", ""),
                    Principal::Subject { issuer, subject } => (&**issuer, &**subject),
                };
                let info = Members::parse(&borrower.client_info);
                let said = |name| {
                    let value =
                        info.as_ref().and_then(|info| info.value(&borrower.client_info, name));
                    value.unwrap_or_default()
                };
                let who = [issuer.as_bytes(), subject.as_bytes(), said("name"), said("version")];
                Some(Digest::of_parts(who.into_iter().chain(view)))
            }
        }
    }

    /// The session of this key, if it can be used at once.
    pub(crate) fn at_hand(
        &self,
        key: &Digest,
        backend: &Backend,
        level: Option<LogLevel>,
    ) -> Option<Using> {
        self.pools.load().get(&backend.lineage())?.find(key)?.at_hand(level)
    }

    /// The session of this key, or a new one for one call only, when there is a place.
    pub(crate) async fn obtain(
        &self,
        key: Option<Digest>,
        backend: &Arc<Backend>,
        client: &ClientView,
        level: Option<LogLevel>,
    ) -> Result<Using, Error> {
        let until = Instant::now() + self.shared.bridge.wait;
        let pool = self.pool(backend);
        let member = match key {
            Some(key) => pool.member(key, client, until).await?,
            None => pool.single(client),
        };
        member.used(backend, level, until).await
    }

    /// How many sessions of a backend are kept.
    pub(crate) fn count(&self, backend: &Backend) -> usize {
        self.pools.load().get(&backend.lineage()).map_or(0, |pool| pool.count())
    }

    /// Ends the sessions on a backend that is not in use any more, when the calls on them have ended,
    /// or at `deadline`.
    pub(crate) async fn part_with(&self, backend: &Backend, deadline: Instant) {
        let Some(pool) = self.pools.load().get(&backend.lineage()).cloned() else { return };
        pool.part_with_all(deadline).await;
        self.change(|pools| _ = pools.remove(&backend.lineage()));
    }

    /// Forgets backends of which nothing is kept.
    pub(crate) fn prune(&self) {
        if self.pools.load().values().any(|pool| pool.is_unused()) {
            self.change(|pools| pools.retain(|_, pool| !pool.is_unused()));
        }
    }

    fn pool(&self, backend: &Backend) -> Arc<Pool> {
        let lineage = backend.lineage();
        if let Some(pool) = self.pools.load().get(&lineage) {
            return Arc::clone(pool);
        }
        self.change(|pools| {
            let made = || Pool::new(Arc::clone(&self.shared));
            Arc::clone(pools.entry(lineage).or_insert_with(made))
        })
    }

    fn change<T>(&self, how: impl FnOnce(&mut HashMap<Lineage, Arc<Pool>>) -> T) -> T {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pools = HashMap::clone(&self.pools.load());
        let changed = how(&mut pools);
        self.pools.store(Arc::new(pools));
        changed
    }
}

impl Bridge {
    /// Calls at once on one kept session, if that has a bound of its own.
    fn places(&self) -> Option<usize> {
        match self.reuse {
            Reuse::All => Some(1),
            Reuse::Principal | Reuse::Never => self.concurrency,
        }
    }
}

impl Default for Bridge {
    fn default() -> Self {
        Self {
            reuse: Reuse::Principal,
            concurrency: None,
            idle: Duration::from_secs(600),
            wait: Duration::from_secs(5),
            sessions: 256,
        }
    }
}
