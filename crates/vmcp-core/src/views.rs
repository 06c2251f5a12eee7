//! All views, and those who keep them true.
//!
//! Where a backend is shown something of its callers' own, what it lists to a caller is that caller's: read for
//! a base of its own, which is derived from that of everybody for all other backends.
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

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use vmcp_backend::{Backend, ClientView, Lineage, Subject};
use vmcp_catalog::Rules;
use vmcp_model::{BackendId, Digest, Era};
use vmcp_wire::Fault;

use crate::{
    background::Background,
    known::KnownKinds,
    places::Places,
    view::{
        View, is_own,
        shared::Copies,
        watching::{Wanted, Watch},
    },
    vmcp::{Config, Replaced},
};

mod modern;

use modern::ModernViews;

/// Late offers that come within this time are announced together.
const COALESCE: Duration = Duration::from_millis(50);

/// How long an attempt to get an offer may hold its place: a slow backend must not keep others from
/// being asked.
const ATTEMPT: Duration = Duration::from_secs(1);

/// Callers for whom the lists of one backend are read at once.
const FOR_CALLERS: usize = 16;

/// The same for a program that starts: several at once on a busy machine make each other slow.
const START: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Views {
    config: Config,
    background: Background,
    all: Mutex<All>,
    modern: ModernViews,
    changes: watch::Sender<u64>,
    /// What views of single callers have in common.
    copies: Arc<Copies>,
    /// Bounds the attempts to get an offer that are made at once.
    places: Places,
    /// The same for programs that are started.
    starts: Places,
}

#[derive(Debug)]
struct All {
    kept: HashMap<ClientView, Kept>,
    /// How many of them are of single callers.
    of_callers: usize,
    /// Bounds what is read for single callers of a backend at once. One that is slow keeps no other's back.
    for_callers: HashMap<BackendId, Places>,
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
        let (kept, of_callers, for_callers) = Default::default();
        let all = All { kept, of_callers, for_callers, backends, rules, remembered };
        let (all, modern) = (Mutex::new(all), ModernViews::new());
        let copies = Arc::default();
        Self { config, background, all, modern, changes, copies, places, starts }
    }

    /// The view of modern clients that declare these capabilities, and that backends are shown with the
    /// credentials of these callers, if of any.
    pub(crate) fn find_modern(
        &self,
        capabilities: &[u8],
        subject: Option<&Digest>,
    ) -> Option<Arc<View>> {
        let view = self.peek_modern(capabilities, subject)?;
        view.touch();
        Some(view)
    }

    /// The same for whoever is no client.
    pub(crate) fn peek_modern(
        &self,
        capabilities: &[u8],
        subject: Option<&Digest>,
    ) -> Option<Arc<View>> {
        self.modern.find(capabilities, subject)
    }

    /// Whether the backend of this name is one on which sessions of this lineage are good.
    pub(crate) fn has_lineage(&self, id: &BackendId, lineage: Lineage) -> bool {
        let all = self.all();
        all.backends.iter().any(|backend| backend.id() == id && backend.lineage() == lineage)
    }

    pub(crate) fn obtain(&self, client: &ClientView) -> Result<Arc<View>, Fault> {
        let mut all = self.all();
        let known = all.kept.get(client).map(|kept| Arc::clone(&kept.view));
        let view = match known {
            Some(known) => known,
            None => {
                self.make_room(client, &mut all)?;
                self.make(client, &mut all)
            }
        };
        view.touch();
        view.note_shown();
        for client in std::iter::successors(Some(client.clone()), ClientView::base) {
            let watched = all.kept.get(&client).into_iter().flat_map(|kept| kept.watched.values());
            watched.for_each(|watched| watched.wanted.used.notify_waiters());
        }
        Ok(view)
    }

    /// Gives every view other backends and rules.
    pub(crate) fn replace(&self, backends: Vec<Arc<Backend>>, rules: Rules, replaced: &Replaced) {
        let mut all = self.all();
        let All { kept, for_callers, backends: before, rules: rules_before, remembered, .. } =
            &mut *all;
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
            let new = before.iter().filter(|backend| new(backend.id()));
            for backend in new.filter(|backend| is_watched(backend, view.client())) {
                watched.insert(backend.id().clone(), self.watch(backend, view, for_callers));
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

    /// Asks a backend for its offers again: for everybody, and for these callers if it is shown something of
    /// their own.
    pub(crate) fn refresh(&self, backend: &BackendId, subject: Option<&Subject>) {
        let all = self.all();
        let bases = || [ClientView::nobody(), ClientView::modern_nobody()].into_iter();
        let of_callers = subject.into_iter();
        let of_callers =
            of_callers.flat_map(|subject| bases().map(|base| base.shown(Some(subject.clone()))));
        for base in bases().chain(of_callers) {
            let kept = all.kept.get(&base);
            if let Some(watched) = kept.and_then(|kept| kept.watched.get(backend)) {
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
        all.kept.values().for_each(|kept| kept.view.forget_derived());
        let is_over = |_: &ClientView, kept: &mut Kept| {
            is_unused(&kept.view) && kept.view.idle() >= self.config.view_idle
        };
        let over: Vec<_> = all.kept.extract_if(is_over).map(|(_, kept)| kept).collect();
        over.iter().for_each(|over| self.end(over, &mut all));
        drop(all);
        self.copies.prune();
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

    /// Makes room for one more view of these clients. Those of everybody and those of single callers have
    /// each a bound of their own, and the bases of everybody are beside it.
    fn make_room(&self, client: &ClientView, all: &mut All) -> Result<(), Fault> {
        let is_own = client.subject().is_some();
        let (limit, key) = match is_own {
            false => (self.config.views + 2, "limits.views"),
            true => (self.config.caller_views, "limits.callerViews"),
        };
        let count = if is_own { all.of_callers } else { all.kept.len() - all.of_callers };
        if count < limit {
            return Ok(());
        }
        let of_kind = |kept: &&Kept| kept.view.client().subject().is_some() == is_own;
        let unused = all.kept.values().filter(of_kind).filter(|kept| is_unused(&kept.view));
        let longest = unused.max_by_key(|kept| kept.view.idle());
        let Some(client) = longest.map(|kept| kept.view.client().clone()) else {
            let what = if is_own { "callers" } else { "clients with different capabilities" };
            let why = format!("too many {what} at once ({key}); try again later");
            return Err(Fault::Unavailable(why.into()));
        };
        if let Some(ended) = all.kept.remove(&client) {
            self.end(&ended, all);
        }
        Ok(())
    }

    /// Ends a view that is not kept any more. What was found of its clients is remembered for those who come
    /// later.
    fn end(&self, Kept { view, .. }: &Kept, all: &mut All) {
        view.stop.cancel();
        all.remembered.remember(view.client(), view.found());
        all.of_callers -= usize::from(view.client().subject().is_some());
        self.modern.leave(view.client());
    }

    /// Makes a view, with the base that it is derived from.
    fn make(&self, client: &ClientView, all: &mut All) -> Arc<View> {
        let base = client.base().map(|base| match all.kept.get(&base) {
            Some(kept) => Arc::clone(&kept.view),
            None => self.make(&base, all),
        });
        let known = |backend: &Arc<Backend>| {
            let remembered = self.config.known.offers.get(backend.id()).cloned();
            (Arc::clone(backend), remembered.filter(|_| base.is_none()))
        };
        let offers: Vec<_> = all.backends.iter().map(known).collect();
        let stop = self.background.stop().child_token();
        let (rules, changes) = (Arc::clone(&all.rules), self.changes.clone());
        let copies = Arc::clone(&self.copies);
        let view = View::new(client.clone(), base, rules, offers, changes, stop.clone(), copies);
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
        let All { backends, for_callers, .. } = all;
        let watched = backends.iter().filter(|backend| is_watched(backend, client));
        let watched =
            watched.map(|backend| (backend.id().clone(), self.watch(backend, &view, for_callers)));
        let watched = watched.collect();
        all.of_callers += usize::from(client.subject().is_some());
        all.kept.insert(client.clone(), Kept { view: Arc::clone(&view), watched });
        self.modern.enter(&view);
        view
    }

    /// Starts to watch a backend for a base.
    fn watch(
        &self,
        backend: &Arc<Backend>,
        view: &Arc<View>,
        for_callers: &mut HashMap<BackendId, Places>,
    ) -> Watched {
        let places = match (view.client().subject(), backend.is_program()) {
            (None, true) => self.starts.clone(),
            (None, false) => self.places.clone(),
            (Some(_), _) => {
                let new = || Places::new(FOR_CALLERS, ATTEMPT);
                for_callers.entry(backend.id().clone()).or_insert_with(new).clone()
            }
        };
        let (wanted, stop) = (Arc::<Wanted>::default(), view.stop.child_token());
        let watch = Watch {
            backend: Arc::clone(backend),
            view: Arc::downgrade(view),
            stop: stop.clone(),
            background: self.background.clone(),
            places,
            wanted: Arc::clone(&wanted),
            fresh: Arc::clone(&view.fresh),
            max_age: self.config.offer_max_age,
        };
        match (view.client().subject(), view.client().version().era()) {
            (Some(_), _) => self.background.spawn(watch.run_for_caller()),
            (None, Era::Legacy) => self.background.spawn(watch.run()),
            (None, Era::Modern) => self.background.spawn(watch.run_beside()),
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

/// Whether a backend's lists are read for clients of this view, and not for one that it is derived from. Where
/// there is no caller, there is nothing to ask a backend that is shown callers' own credentials.
fn is_watched(backend: &Backend, client: &ClientView) -> bool {
    match client.subject() {
        None => client.is_base() && !backend.needs_caller(),
        Some(_) => is_own(backend, client),
    }
}

/// Whether no session uses the view.
fn is_unused(view: &Arc<View>) -> bool {
    Arc::strong_count(view) == 1
}
