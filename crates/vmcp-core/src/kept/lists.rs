//! What kept sessions list to their callers and to nobody else.
//!
//! Such an own offer takes the place of its backend's offer to the view for all requests of the caller,
//! for as long as the backend session lives on which it was read.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use vmcp_backend::Lineage;
use vmcp_catalog::Catalog;
use vmcp_model::{BackendId, Digest, Offer};

use super::session::{KeptSession, Open};
use crate::{
    own_bounds::{Charge, OWN_BACKENDS, OwnBounds},
    own_offers::{OwnOffer, OwnOffers},
    view::View,
    views::Views,
};

/// How long a request waits for lists that have changed.
const HOLD: Duration = Duration::from_secs(1);

/// What is said of an own offer that has too many bytes.
const TOO_LARGE: &str = "lists more bytes to a kept session than an own offer may have; its caller is shown what its view is";

type Callers = HashMap<Digest, Arc<OfCaller>>;

/// All own offers of callers without sessions, by the key of their kept sessions.
#[derive(Debug)]
pub(super) struct Lists {
    pub(super) bounds: Arc<OwnBounds>,
    /// Exchanged as a whole: a request finds its caller without a lock.
    callers: ArcSwap<Callers>,
    /// Whether there are any callers here, for all those who have nothing to look for.
    are_any: AtomicBool,
    /// Held while others take the place of those there are.
    changing: Mutex<()>,
    /// Ticks when some caller's own offers have changed.
    changes: watch::Sender<u64>,
}

/// What one caller has of its own, and what is being read. Never changed, only exchanged.
#[derive(Debug, Clone, Default)]
struct OfCaller {
    held: Vec<Held>,
    readings: Vec<Reading>,
    /// What the caller is shown, once it has been merged.
    shown: Arc<ArcSwapOption<Merged>>,
}

/// One own offer.
#[derive(Debug, Clone)]
struct Held {
    backend: BackendId,
    lineage: Lineage,
    /// The backend session of the kept session on which it was read.
    generation: u64,
    kept: Weak<KeptSession>,
    offer: Arc<OwnOffer>,
    /// The view's offer from which it differs, as far as is known.
    differs_from: Weak<Offer>,
    _charge: Arc<Charge>,
}

/// The reading of one session's lists.
#[derive(Debug, Clone)]
struct Reading {
    backend: BackendId,
    lineage: Lineage,
    generation: u64,
    /// How many changes have been told.
    told: Arc<AtomicU64>,
    /// How many of them have been read; closed when it ends.
    read: watch::Receiver<u64>,
}

/// A merged catalog, and of what it was merged.
#[derive(Debug)]
struct Merged {
    view: Weak<View>,
    merges: u64,
    catalog: Arc<Catalog>,
    _charge: Arc<Charge>,
}

/// What whoever reads lists needs for that.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) told: Arc<AtomicU64>,
    pub(super) read: watch::Sender<u64>,
}

/// Lists that have changed and are not read yet.
#[derive(Debug)]
pub struct Unread(Vec<(watch::Receiver<u64>, u64)>);

impl Unread {
    /// Waits until they have been read, but no longer than a request may.
    pub async fn read(self) {
        let reading = async {
            for (mut read, told) in self.0 {
                // An error says that nobody reads them any more.
                let _ended = read.wait_for(|read| *read >= told).await;
            }
        };
        // Whoever waits goes on; those who listen are told when they have been read.
        let _late = tokio::time::timeout(HOLD, reading).await;
    }
}

impl OfCaller {
    fn is_over(&self) -> bool {
        self.held.is_empty() && self.readings.is_empty()
    }

    /// Takes another offer in the place of one that is of no use, or none. `true` if that is a change.
    fn exchange(&mut self, is_useless: impl Fn(&Held) -> bool, with: Option<Held>) -> bool {
        let name = |held: &Held| (held.backend.clone(), held.offer.digest());
        let before: Vec<_> = self.held.iter().map(name).collect();
        self.held.retain(|held| !is_useless(held));
        self.held.extend(with);
        let changed = !self.held.iter().map(name).eq(before);
        if changed {
            self.shown = Arc::default();
        }
        changed
    }
}

impl Held {
    fn is_of(&self, open: &Open) -> bool {
        self.backend == *open.backend.id() && self.lineage == open.backend.lineage()
    }
}

impl Lists {
    pub(super) fn new(bounds: Arc<OwnBounds>) -> Self {
        Self {
            bounds,
            callers: ArcSwap::default(),
            are_any: AtomicBool::new(false),
            changing: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    /// Whether some caller may have something of its own.
    pub(super) fn are_any(&self) -> bool {
        self.are_any.load(Ordering::Acquire)
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Notes that the lists of a backend session have changed. `None` if somebody reads them already.
    pub(super) fn tell(&self, key: Digest, open: &Open) -> Option<Begun> {
        let changing = self.changing();
        let is_it = |reading: &&Reading| {
            reading.generation == open.generation
                && reading.lineage == open.backend.lineage()
                && reading.backend == *open.backend.id()
        };
        if let Some(caller) = self.callers.load().get(&key)
            && let Some(reading) = caller.readings.iter().find(is_it)
        {
            reading.told.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let (told, (read, of_it)) = (Arc::new(AtomicU64::new(1)), watch::channel(0));
        let reading = Reading {
            backend: open.backend.id().clone(),
            lineage: open.backend.lineage(),
            generation: open.generation,
            told: Arc::clone(&told),
            read: of_it,
        };
        self.change_while(&changing, key, |caller| caller.readings.push(reading));
        Some(Begun { told, read })
    }

    /// Ends a reading. `false` if more has changed meanwhile, unless it ends `anyway`.
    pub(super) fn end(&self, key: Digest, begun: &Begun, anyway: bool) -> bool {
        self.change(key, |caller| {
            let over = anyway || *begun.read.borrow() >= begun.told.load(Ordering::Relaxed);
            if over {
                caller.readings.retain(|reading| !Arc::ptr_eq(&reading.told, &begun.told));
            }
            over
        })
    }

    /// Lists of a caller that are not read yet: those of one backend, or all.
    pub(super) fn unread(&self, key: &Digest, backend: Option<&BackendId>) -> Option<Unread> {
        let caller = self.callers.load().get(key).cloned()?;
        let asked = |reading: &&Reading| backend.is_none_or(|id| reading.backend == *id);
        let unread = caller.readings.iter().filter(asked).filter_map(|reading| {
            let told = reading.told.load(Ordering::Relaxed);
            (*reading.read.borrow() < told).then(|| (reading.read.clone(), told))
        });
        let unread: Vec<_> = unread.collect();
        (!unread.is_empty()).then_some(Unread(unread))
    }

    /// Makes what was read on a kept session its caller's own, unless the view shows the same, or the
    /// session has ended meanwhile.
    pub(super) fn keep(
        &self,
        key: Digest,
        kept: &Arc<KeptSession>,
        open: &Open,
        view: Option<&View>,
        read: OwnOffer,
    ) {
        let is_shown = view.is_some_and(|view| view.shows(open.backend.id(), &read));
        let held = if is_shown { None } else { self.held(kept, open, view, read) };
        let changed = self.change(key, |caller| {
            // Whatever ends a session is noted there first, and forgets this after that.
            if !kept.is_on(open.generation) {
                return false;
            }
            let others = caller.held.iter().filter(|held| !held.is_of(open)).count();
            let held = held.filter(|_| {
                if others >= OWN_BACKENDS {
                    tracing::warn!(backend = %open.backend.id(), limit = OWN_BACKENDS, "lists something of its own to a caller that has as many own offers as it may; the caller is shown what its view is");
                }
                others < OWN_BACKENDS
            });
            caller.exchange(|held| held.is_of(open), held)
        });
        self.tick_if(changed);
    }

    /// What a caller has of its own of the backend of a session.
    pub(super) fn own(&self, key: &Digest, open: &Open) -> Option<Arc<OwnOffer>> {
        let caller = self.callers.load().get(key).cloned()?;
        let held = caller.held.iter().find(|held| held.is_of(open))?;
        (held.generation == open.generation).then(|| Arc::clone(&held.offer))
    }

    /// An own offer as a caller holds it. `None`, and a warning, if it is over a bound.
    fn held(
        &self,
        kept: &Arc<KeptSession>,
        open: &Open,
        view: Option<&View>,
        read: OwnOffer,
    ) -> Option<Held> {
        let backend = open.backend.id();
        let (offer, _charge) = self.bounds.take_in(backend, read, TOO_LARGE)?;
        let of_view = view.and_then(|view| view.offer(backend));
        Some(Held {
            backend: backend.clone(),
            lineage: open.backend.lineage(),
            generation: open.generation,
            kept: Arc::downgrade(kept),
            offer,
            differs_from: of_view.map_or_else(Weak::new, |offer| Arc::downgrade(&offer)),
            _charge,
        })
    }

    /// Forgets what was read on a backend session, which has ended.
    pub(super) fn forget(&self, key: Digest, open: &Open) {
        let of_it = |held: &Held| held.is_of(open) && held.generation == open.generation;
        let changed = self.change(key, |caller| caller.exchange(of_it, None));
        self.tick_if(changed);
    }

    /// The catalog of a caller that has offers of its own. `None` if it has none.
    pub(super) fn catalog(
        &self,
        key: &Digest,
        view: &Arc<View>,
        views: &Views,
    ) -> Option<Arc<Catalog>> {
        let caller = self.callers.load().get(key).cloned()?;
        if caller.held.is_empty() {
            return None;
        }
        // Before anything is merged: what changes meanwhile is merged the next time.
        let merges = view.merges();
        match caller.shown.load().as_deref() {
            Some(Merged { view: of, merges: at, catalog, .. })
                if *at == merges && std::ptr::eq(of.as_ptr(), Arc::as_ptr(view)) =>
            {
                Some(Arc::clone(catalog))
            }
            Some(_) | None => self.merged(key, &caller, (view, merges), views),
        }
    }

    fn merged(
        &self,
        key: &Digest,
        caller: &OfCaller,
        (view, merges): (&Arc<View>, u64),
        views: &Views,
    ) -> Option<Arc<Catalog>> {
        let is_useful = |held: &&Held| {
            views.has_lineage(&held.backend, held.lineage)
                && !view.shows(&held.backend, &held.offer)
        };
        let (useful, useless): (Vec<_>, Vec<_>) = caller.held.iter().partition(is_useful);
        if !useless.is_empty() {
            self.drop_offers(*key, &useless);
        }
        useful.iter().for_each(|held| held.read_again_if_doubtful(view));
        if useful.is_empty() {
            return None;
        }
        let own = useful.iter().map(|held| (held.backend.clone(), Arc::clone(&held.offer)));
        let catalog = view.catalog_with(&own.collect::<OwnOffers>());
        let size = || catalog.to_bytes().len();
        let Some(_charge) = self.bounds.charge(catalog.digest(), size) else {
            // There is no room for it.
            self.drop_offers(*key, &useful);
            return None;
        };
        let (of, catalog_shown) = (Arc::downgrade(view), Arc::clone(&catalog));
        let merged = Merged { view: of, merges, catalog: catalog_shown, _charge };
        caller.shown.store(Some(Arc::new(merged)));
        Some(catalog)
    }

    fn drop_offers(&self, key: Digest, useless: &[&Held]) {
        // Backends that list the same share it.
        let is_useless = |held: &Held| {
            let is_it = |useless: &&Held| {
                useless.backend == held.backend && Arc::ptr_eq(&useless.offer, &held.offer)
            };
            useless.iter().any(is_it)
        };
        let changed = self.change(key, |caller| caller.exchange(is_useless, None));
        self.tick_if(changed);
    }

    fn tick_if(&self, changed: bool) {
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Changes what there is of one caller.
    fn change<T>(&self, key: Digest, how: impl FnOnce(&mut OfCaller) -> T) -> T {
        self.change_while(&self.changing(), key, how)
    }

    fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same for whoever lets nobody else change anything.
    fn change_while<T>(
        &self,
        _changing: &MutexGuard<'_, ()>,
        key: Digest,
        how: impl FnOnce(&mut OfCaller) -> T,
    ) -> T {
        let before = self.callers.load();
        let present = before.get(&key);
        let mut caller = present.map_or_else(OfCaller::default, |caller| OfCaller::clone(caller));
        let changed = how(&mut caller);
        if present.is_none() && caller.is_over() {
            return changed;
        }
        let mut callers = Callers::clone(&before);
        if caller.is_over() {
            callers.remove(&key);
        } else {
            callers.insert(key, Arc::new(caller));
        }
        let are_any = !callers.is_empty();
        self.callers.store(Arc::new(callers));
        self.are_any.store(are_any, Ordering::Release);
        changed
    }
}

impl Held {
    /// Has the lists read again if the backend has changed what it offers everybody since: what it lists
    /// to this caller may have changed, too.
    fn read_again_if_doubtful(&self, view: &View) {
        let now = view.offer(&self.backend).map_or_else(Weak::new, |offer| Arc::downgrade(&offer));
        let none = Weak::new();
        if Weak::ptr_eq(&self.differs_from, &none) || Weak::ptr_eq(&self.differs_from, &now) {
            return;
        }
        if let Some(kept) = self.kept.upgrade()
            && let Some(open) = kept.open_of(self.generation)
        {
            kept.read_lists_soon(&open);
        }
    }
}
