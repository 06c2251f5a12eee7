//! All views, and those who keep them true.
//!
//! Two of them are *bases*, one for each era, of clients that can do nothing: each backend is watched for
//! these alone, on the side that it has for the era. A backend with one side is watched once, for the
//! legacy base, which the modern one is derived from. All other views are derived from the base of
//! their era.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, atomic::Ordering},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use vmcp_backend::{Backend, ClientView, Lineage};
use vmcp_catalog::Rules;
use vmcp_model::{BackendId, Era};
use vmcp_wire::Fault;

use crate::{
    background::Background,
    known::KnownKinds,
    places::Places,
    view::{
        View,
        watching::{Wanted, Watch},
    },
    vmcp::{Config, Replaced},
};

/// Late offers that come within this time are announced together.
const COALESCE: Duration = Duration::from_millis(50);

/// How long an attempt to get an offer may hold its place: a slow backend must not keep others from
/// being asked.
const ATTEMPT: Duration = Duration::from_secs(1);

/// The same for a program that starts: several at once on a busy machine make each other slow.
const START: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Views {
    config: Config,
    background: Background,
    all: Mutex<All>,
    /// The views of modern clients by what these declare, for whoever has no time to wait.
    modern: ArcSwap<HashMap<Bytes, Weak<View>>>,
    changes: watch::Sender<u64>,
    /// Bounds the attempts to get an offer that are made at once.
    places: Places,
    /// The same for programs that are started.
    starts: Places,
}

#[derive(Debug)]
struct All {
    kept: HashMap<ClientView, Kept>,
    /// What each view is made of. Exchanged with the views that there are, under one lock.
    backends: Vec<Arc<Backend>>,
    rules: Arc<Rules>,
    /// What was found of kinds of clients that are not here any more, or not yet.
    remembered: KnownKinds,
}

#[derive(Debug)]
struct Kept {
    view: Arc<View>,
    /// Those who keep it true; of a view that is no base, nobody.
    watched: HashMap<BackendId, Watched>,
}

/// The watching of one backend for one view.
#[derive(Debug)]
struct Watched {
    /// Asks for the offer again.
    wanted: Arc<Wanted>,
    stop: CancellationToken,
}

impl Views {
    pub(crate) fn new(backends: Vec<Arc<Backend>>, config: Config, background: Background) -> Self {
        let rules = Arc::new(config.rules.clone());
        let (changes, _) = watch::channel(0);
        let places = Places::new(config.max_backend_init_concurrency.max(1), ATTEMPT);
        // Each keeps a core busy while it starts.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let starts = Places::new(2 * cores, START);
        let remembered = config.known.kinds.clone();
        let all = Mutex::new(All { kept: HashMap::new(), backends, rules, remembered });
        let modern = ArcSwap::default();
        Self { config, background, all, modern, changes, places, starts }
    }

    /// The view of modern clients that declare these capabilities, if there is one.
    pub(crate) fn find_modern(&self, capabilities: &[u8]) -> Option<Arc<View>> {
        let view = self.peek_modern(capabilities)?;
        view.touch();
        Some(view)
    }

    /// The same for whoever is no client.
    pub(crate) fn peek_modern(&self, capabilities: &[u8]) -> Option<Arc<View>> {
        self.modern.load().get(capabilities)?.upgrade()
    }

    /// Whether the backend of this name is one on which sessions of this lineage are good.
    pub(crate) fn has_lineage(&self, id: &BackendId, lineage: Lineage) -> bool {
        let all = self.all();
        all.backends.iter().any(|backend| backend.id() == id && backend.lineage() == lineage)
    }

    /// Says anew which views there are of modern clients.
    fn publish(&self, kept: &HashMap<ClientView, Kept>) {
        let modern = kept.iter().filter(|(client, _)| client.version().era() == Era::Modern);
        let modern = modern.map(|(client, kept)| {
            (client.capabilities_for(Era::Modern).clone(), Arc::downgrade(&kept.view))
        });
        self.modern.store(Arc::new(modern.collect()));
    }

    pub(crate) fn obtain(&self, client: &ClientView) -> Result<Arc<View>, Fault> {
        let mut all = self.all();
        let known = all.kept.get(client).map(|kept| Arc::clone(&kept.view));
        let view = match known {
            Some(known) => known,
            None => {
                // The bases are beside the bound.
                if all.kept.len() >= self.config.views + 2 {
                    make_room(&mut all)?;
                }
                let view = self.make(client, &mut all);
                self.publish(&all.kept);
                view
            }
        };
        view.touch();
        view.note_shown();
        for watched in all.kept.values().flat_map(|kept| kept.watched.values()) {
            watched.wanted.used.notify_waiters();
        }
        Ok(view)
    }

    /// Gives every view other backends and rules.
    pub(crate) fn replace(&self, backends: Vec<Arc<Backend>>, rules: Rules, replaced: &Replaced) {
        let mut all = self.all();
        let All { kept, backends: before, rules: rules_before, remembered } = &mut *all;
        *before = backends;
        *rules_before = Arc::new(rules);
        let new = |id: &BackendId| replaced.added.contains(id) || replaced.changed.contains(id);
        remembered.forget(&new);
        // Those first that others are derived from.
        let mut ordered: Vec<_> = kept.values_mut().collect();
        ordered.sort_by_key(|kept| kept.view.depth());
        for Kept { view, watched } in ordered {
            for retired in &replaced.retired {
                if let Some(ended) = watched.remove(retired.id()) {
                    ended.stop.cancel();
                }
            }
            view.replace(Arc::clone(rules_before), before, &new);
            view.follow();
            if !view.is_base() {
                continue;
            }
            for backend in before.iter().filter(|backend| new(backend.id())) {
                watched.insert(backend.id().clone(), self.watch(backend, view));
            }
        }
    }

    /// Bounds the programs that are started at once for what nobody has called for.
    pub(crate) fn starts(&self) -> &Places {
        &self.starts
    }

    pub(crate) fn has(&self, client: &ClientView) -> bool {
        self.all().kept.contains_key(client)
    }

    pub(crate) fn list(&self) -> Vec<Arc<View>> {
        self.all().kept.values().map(|kept| Arc::clone(&kept.view)).collect()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn refresh(&self, backend: &BackendId) {
        for kept in self.all().kept.values() {
            if let Some(watched) = kept.watched.get(backend) {
                watched.wanted.fresh.notify_one();
            }
        }
    }

    /// Notes that a backend lists to a session what it does not list to others.
    pub(crate) fn note_own_lists(&self, backend: &BackendId) {
        for kept in self.all().kept.values() {
            if let Some(watched) = kept.watched.get(backend) {
                watched.wanted.per_session.store(true, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn prune(&self) {
        let mut all = self.all();
        let All { kept, remembered, .. } = &mut *all;
        kept.retain(|_, kept| {
            let keep = !unused(&kept.view) || kept.view.idle() < self.config.view_idle;
            if !keep {
                end(&kept.view, remembered);
            }
            keep
        });
        self.publish(&all.kept);
    }

    /// What kinds of clients were found to be offered, those last that were here last.
    pub(crate) fn known_kinds(&self) -> KnownKinds {
        let all = self.all();
        let mut known = all.remembered.clone();
        let mut here: Vec<_> = all.kept.values().map(|kept| &kept.view).collect();
        here.sort_by_key(|view| std::cmp::Reverse(view.idle()));
        for view in here {
            known.remember(view.client(), view.found());
        }
        known
    }

    /// Makes a view, with the base that it is derived from.
    fn make(&self, client: &ClientView, all: &mut All) -> Arc<View> {
        let base = client.base().map(|base| match all.kept.get(&base) {
            Some(kept) => Arc::clone(&kept.view),
            None => self.make(&base, all),
        });
        let known = |backend: &Arc<Backend>| {
            let remembered = self.config.known.offers.get(backend.id()).cloned();
            (backend.id().clone(), remembered.filter(|_| base.is_none()))
        };
        let offers: Vec<_> = all.backends.iter().map(known).collect();
        let stop = self.background.stop().child_token();
        let (rules, changes) = (Arc::clone(&all.rules), self.changes.clone());
        let view =
            View::new(client.clone(), base, rules, offers.into_iter(), changes, stop.clone());
        let view = Arc::new(view);
        view.touch();
        if let Some(kind) = all.remembered.get(client) {
            view.recall(kind);
        }
        view.derive();
        // Only a weak reference waits: a view that no session uses must be seen to be unused.
        let (weak, dirty) = (Arc::downgrade(&view), Arc::clone(&view.dirty));
        self.background.spawn(async move {
            stop.run_until_cancelled(merge_late(weak, dirty)).await;
        });
        let watched = match view.is_base() {
            true => {
                let watch =
                    |backend: &Arc<Backend>| (backend.id().clone(), self.watch(backend, &view));
                all.backends.iter().map(watch).collect()
            }
            false => HashMap::new(),
        };
        all.kept.insert(client.clone(), Kept { view: Arc::clone(&view), watched });
        view
    }

    /// Starts to watch a backend for a base.
    fn watch(&self, backend: &Arc<Backend>, view: &Arc<View>) -> Watched {
        let (wanted, stop) = (Arc::<Wanted>::default(), view.stop.child_token());
        let watch = Watch {
            backend: Arc::clone(backend),
            view: Arc::downgrade(view),
            stop: stop.clone(),
            background: self.background.clone(),
            places: match backend.is_program() {
                true => self.starts.clone(),
                false => self.places.clone(),
            },
            wanted: Arc::clone(&wanted),
            fresh: Arc::clone(&view.fresh),
            max_age: self.config.offer_max_age,
        };
        match view.client().version().era() {
            Era::Legacy => self.background.spawn(watch.run()),
            Era::Modern => self.background.spawn(watch.run_beside()),
        };
        Watched { wanted, stop }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Merges offers that come in after somebody was shown the catalog.
async fn merge_late(view: Weak<View>, dirty: Arc<Notify>) {
    loop {
        dirty.notified().await;
        tokio::time::sleep(COALESCE).await;
        let Some(view) = view.upgrade() else { return };
        view.gather().await;
        view.merge_if_dirty();
    }
}

/// Ends the view that has been idle longest.
fn make_room(all: &mut All) -> Result<(), Fault> {
    let All { kept, remembered, .. } = all;
    let longest = kept.iter().filter(|(_, kept)| unused(&kept.view));
    let longest = longest.max_by_key(|(_, kept)| kept.view.idle());
    let Some(client) = longest.map(|(client, _)| client.clone()) else {
        return Err(Fault::Unavailable(
            "too many clients with different capabilities; try again later".into(),
        ));
    };
    if let Some(ended) = kept.remove(&client) {
        end(&ended.view, remembered);
    }
    Ok(())
}

/// Ends a view. What was found of its clients is remembered for those who come later.
fn end(view: &View, remembered: &mut KnownKinds) {
    view.stop.cancel();
    remembered.remember(view.client(), view.found());
}

/// Whether no session uses the view.
fn unused(view: &Arc<View>) -> bool {
    Arc::strong_count(view) == 1
}
