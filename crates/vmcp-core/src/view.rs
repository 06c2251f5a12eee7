//! What one kind of client sees of every backend.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use vmcp_backend::{Advertised, Backend, ClientView, Freshness};
use vmcp_catalog::{Catalog, Dropped, Rules, merge};
use vmcp_model::{BackendId, Era, Kind, Offer};

mod explained;
pub(crate) mod fresh;
mod kinds;
mod own;
pub(crate) mod shared;
mod state;
pub(crate) mod telling;
pub(crate) mod watching;

use crate::caller::ClientCapabilities;
use fresh::{Fresh, Terms};
use kinds::{Kinds, Reading};
use own::OwnMerges;
use shared::Copies;
use state::begun;
pub(crate) use state::is_own;
pub use state::{BackendState, OfferStatus};
use telling::tell;

/// How long new backends are waited for when others take the place of those there were, before
/// their clients are told.
const GATHER: Duration = Duration::from_millis(500);

/// The offers of all backends to clients that they cannot tell apart, merged into one catalog.
#[derive(Debug)]
pub struct View {
    client: ClientView,
    catalog: ArcSwap<Catalog>,
    offers: Mutex<Offers>,
    own_merges: Mutex<OwnMerges>,
    /// Counts the merges.
    merges: AtomicU64,
    pub(crate) fresh: Arc<Fresh>,
    /// Wakes whoever waits for the offers to settle.
    settled: Notify,
    /// Wakes whoever merges late offers.
    pub(crate) dirty: Arc<Notify>,
    /// Ticks when the catalog has changed.
    changes: watch::Sender<u64>,
    /// Whether every backend has had its time.
    is_settled: AtomicBool,
    capabilities: ClientCapabilities,
    copies: Arc<Copies>,
    /// Ends the watching.
    pub(crate) stop: CancellationToken,
    /// Seconds on the clock of `origin` when the view was last asked for.
    last_used: AtomicU64,
    origin: Instant,
    /// What is not known to differ is as this one sees it.
    base: Option<Arc<Self>>,
    /// Those whose base this one is.
    derived: Mutex<Vec<Weak<Self>>>,
}

#[derive(Debug)]
struct Offers {
    rules: Arc<Rules>,
    backends: BTreeMap<BackendId, BackendState>,
    /// What is not as the base sees it, or was found to be.
    kinds: BTreeMap<BackendId, Kinds>,
    /// What sessions of this kind are offered is being read.
    reading: BTreeMap<BackendId, Reading>,
    /// Some offer, or a rule, is not in the catalog yet.
    dirty: bool,
    /// Counts the changes of offers and rules.
    generation: u64,
    /// Until then the offers of new backends are waited for, so that they are announced together.
    gather_until: Option<Instant>,
    dropped: Vec<Dropped>,
}

/// A catalog, and who has not contributed to it.
#[derive(Debug, Clone)]
pub struct Settled {
    pub catalog: Arc<Catalog>,
    /// Backends of which no offer is known.
    pub missing: Vec<BackendId>,
}

impl View {
    pub(crate) fn new(
        client: ClientView,
        base: Option<Arc<Self>>,
        rules: Arc<Rules>,
        backends: Vec<(Arc<Backend>, Option<Arc<Offer>>)>,
        changes: watch::Sender<u64>,
        stop: CancellationToken,
        copies: Arc<Copies>,
    ) -> Self {
        let since = Instant::now();
        let own = backends.iter().filter(|(backend, _)| is_own(backend, &client));
        let own = own.map(|(backend, _)| (backend.id().clone(), Kinds::Watched));
        let kinds = own.collect();
        let backends = backends.into_iter().map(|(backend, known)| {
            let begun = begun(&backend, &client, since);
            (backend.id().clone(), BackendState { offer: known, ..begun })
        });
        let backends: BTreeMap<_, _> = backends.collect();
        let dirty = backends.values().any(|state| state.offer.is_some());
        let (empty, _nothing_dropped) = merge(&BTreeMap::new(), &rules, client.version().era());
        let capabilities = match client.version().era() {
            Era::Legacy => ClientCapabilities::parse(client.capabilities_for(Era::Legacy)),
            Era::Modern => ClientCapabilities::parse_modern(client.capabilities_for(Era::Modern)),
        };
        Self {
            client,
            copies,
            is_settled: AtomicBool::new(false),
            capabilities,
            catalog: ArcSwap::from_pointee(empty),
            offers: Mutex::new(Offers {
                rules,
                backends,
                kinds,
                reading: BTreeMap::new(),
                dirty,
                generation: 0,
                gather_until: None,
                dropped: Vec::new(),
            }),
            own_merges: Mutex::default(),
            merges: AtomicU64::new(0),
            fresh: Arc::new(Fresh::new()),
            settled: Notify::new(),
            dirty: Arc::default(),
            changes,
            stop,
            last_used: AtomicU64::new(0),
            origin: since,
            base,
            derived: Mutex::default(),
        }
    }

    /// The era of its clients.
    fn era(&self) -> Era {
        self.client.version().era()
    }

    /// What the backends are told about the clients of this view.
    pub fn client(&self) -> &ClientView {
        &self.client
    }

    /// The catalog as it is now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// For how long a list of the catalog may be taken for true, and by whom: no longer than any
    /// backend says, and by all only if all say so. To be asked whenever a list is shown, which lets
    /// lists that are over be read again.
    pub fn freshness(&self, kind: Kind) -> Freshness {
        self.note_shown();
        let terms = self.fresh.of(kind);
        // What is listed to a caller of its own is for nobody else, whatever a backend says.
        Freshness { is_public: terms.is_public && self.client.subject().is_none(), ..terms }
    }

    /// Notes that somebody is shown a list: those that are over are read again, while the last good
    /// ones do.
    pub fn note_shown(&self) {
        self.fresh.ask();
        // Those who watch may do it for the view that this one is derived from, or for its base.
        if let Some(base) = &self.base {
            base.note_shown();
        }
    }

    /// What is known of each backend.
    pub fn backends(&self) -> BTreeMap<BackendId, BackendState> {
        self.offers().backends.clone()
    }

    /// What the last merge left out, and why.
    pub fn dropped(&self) -> Vec<Dropped> {
        self.offers().dropped.clone()
    }

    /// Whether a catalog of this view leaves out what one of these backends offers because it is not
    /// known yet, and not because the backend is out of use.
    pub fn lacks_any(&self, catalog: &Catalog, backends: &[BackendId]) -> bool {
        let offers = self.offers();
        let mut out = backends.iter().filter(|id| catalog.backends().binary_search(id).is_err());
        out.any(|id| offers.backends.contains_key(id))
    }

    /// Waits until every backend has made an offer or failed to, or has had `wait` for it since it is
    /// asked.
    pub async fn settle(&self, wait: Duration) -> Settled {
        loop {
            let changed = self.settled.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            // What a changed backend offered before it was changed is good enough to begin with.
            let waited_for = {
                let offers = self.offers();
                let unknown = offers.backends.values().filter(|state| state.is_unknown());
                unknown.map(|state| state.since + wait).max()
            };
            let Some(until) = waited_for else { break };
            if tokio::time::timeout_at(until, changed).await.is_err() {
                break;
            }
        }
        self.merge_if_dirty();
        let offers = self.offers();
        let missing = offers.backends.iter().filter(|(_, state)| state.lacks_offer());
        let missing = missing.map(|(id, _)| id.clone()).collect();
        drop(offers);
        Settled { catalog: self.catalog(), missing }
    }

    /// Waits until every backend has made an offer or failed to, or `enough` says that the catalog
    /// will do as it is, but no longer than until the view is `wait` old.
    pub(crate) async fn settle_once(&self, wait: Duration, enough: impl Fn(&Arc<Catalog>) -> bool) {
        let settling = async {
            loop {
                let changed = self.settled.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                self.merge_if_dirty();
                let waits = self.offers().backends.values().any(BackendState::is_unknown);
                if !waits || enough(&self.catalog()) {
                    return !waits;
                }
                changed.await;
            }
        };
        if let Ok(false) = tokio::time::timeout_at(self.origin + wait, settling).await {
            return;
        }
        self.merge_if_dirty();
        self.is_settled.store(true, Ordering::Relaxed);
    }

    /// Whether nobody waits for this view any more.
    pub fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Relaxed)
    }

    /// What the clients of this view can do.
    pub fn capabilities(&self) -> ClientCapabilities {
        self.capabilities
    }

    /// Backends of which no offer is known.
    pub fn unknown(&self) -> Vec<BackendId> {
        let offers = self.offers();
        let unknown = offers.backends.iter().filter(|(_, state)| state.lacks_offer());
        unknown.map(|(id, _)| id.clone()).collect()
    }

    /// Backends that have made no offer, though they have had their time.
    pub(crate) fn missing(&self, time: Duration) -> Vec<BackendId> {
        let offers = self.offers();
        let missing = offers.backends.iter().filter(|(_, state)| {
            let late = state.status != OfferStatus::Unknown || state.since.elapsed() >= time;
            state.lacks_offer() && late
        });
        missing.map(|(id, _)| id.clone()).collect()
    }

    /// Whether a backend has said what it offers when it was asked last.
    pub fn has_answered(&self, backend: &BackendId) -> bool {
        self.offers().backends.get(backend).is_some_and(BackendState::has_answered)
    }

    async fn wait_while_any(&self, waits: impl Fn(&BackendState) -> bool) {
        loop {
            let changed = self.settled.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.offers().backends.values().any(&waits) {
                return;
            }
            changed.await;
        }
    }

    /// Takes other rules and backends. The offers of those that are `new` are to come.
    pub(crate) fn replace(
        &self,
        rules: Arc<Rules>,
        backends: &[Arc<Backend>],
        new: &dyn Fn(&BackendId) -> bool,
    ) {
        let mut offers = self.offers();
        offers.rules = rules;
        Self::forget_kinds(&mut offers, new);
        offers.backends.retain(|id, _| backends.iter().any(|backend| backend.id() == id));
        let since = Instant::now();
        for backend in backends.iter().filter(|backend| new(backend.id())) {
            let (id, unknown) = (backend.id(), begun(backend, &self.client, since));
            if is_own(backend, &self.client) {
                offers.kinds.insert(id.clone(), Kinds::Watched);
            }
            let state = match offers.backends.remove(id) {
                Some(BackendState { offer, .. }) => BackendState { offer, ..unknown },
                None => unknown,
            };
            offers.backends.insert(id.clone(), state);
        }
        offers.dirty = true;
        offers.generation += 1;
        offers.gather_until = Some(since + GATHER);
        drop(offers);
        self.settled.notify_waiters();
        self.dirty.notify_one();
    }

    /// Waits for the offers of new backends, after others have taken the place of those there were.
    pub(crate) async fn gather(&self) {
        let until = self.offers().gather_until;
        if let Some(until) = until {
            let all = self.wait_while_any(|state| state.status == OfferStatus::Unknown);
            let _complete = tokio::time::timeout_at(until, all).await;
        }
    }

    /// Whether somebody waits for the offers of new backends.
    fn is_gathering(&self) -> bool {
        let offers = self.offers();
        let mut states = offers.backends.values();
        offers.gather_until.is_some_and(|until| Instant::now() < until)
            && states.any(|state| state.status == OfferStatus::Unknown)
    }

    /// Merges what has come in since the last merge.
    pub(crate) fn merge_if_dirty(&self) {
        let mut offers = self.offers();
        if !std::mem::take(&mut offers.dirty) {
            return;
        }
        let known = offers
            .backends
            .iter()
            .filter_map(|(id, state)| Some((id.clone(), Arc::clone(state.offer.as_ref()?))));
        let (catalog, dropped) = merge(&known.collect(), &offers.rules, self.era());
        // What is left out for the base, too, is named there.
        let of_base = self.base.as_ref().map(|base| base.dropped()).unwrap_or_default();
        tell([&offers.dropped, &of_base], &dropped);
        offers.dropped = dropped;
        let changed = self.catalog.load().digest() != catalog.digest();
        if changed {
            self.catalog.store(self.copies.catalog(catalog));
        }
        self.merges.fetch_add(1, Ordering::Release);
        // What makes no difference to the view may make one beside a session's own offers, and to a
        // session that had to wait for a kind's.
        if changed || self.has_own_merges() || self.is_a_kind() {
            self.changes.send_modify(|count| *count += 1);
        }
        // Not before: what is shown until then has the terms that it had.
        self.fresh.set(offers.backends.values().map(|state| state.terms));
    }

    /// Enters how an attempt to get an offer went. A failure leaves the last good offer in use.
    pub(crate) fn enter(&self, backend: &BackendId, attempt: Result<Advertised, String>) {
        let mut offers = self.offers();
        let Some(state) = offers.backends.get_mut(backend) else { return };
        let mut dirty = false;
        let status = match attempt {
            Ok(advertised) => {
                state.terms = Terms::of(&advertised);
                state.read = Some(advertised.read);
                let problem = advertised.problem();
                let offer = advertised.completed(state.offer.as_deref());
                if state.offer.as_deref() != Some(&offer) {
                    state.offer = Some(self.copies.offer(offer));
                    dirty = true;
                }
                problem.map_or(OfferStatus::Good, OfferStatus::Partial)
            }
            Err(why) => OfferStatus::Failed(why),
        };
        let had_answered = state.has_answered();
        if state.status != status {
            state.since = Instant::now();
            state.status = status;
        }
        let has_begun_to_answer = !had_answered && state.has_answered();
        self.note_watched(&mut offers, backend);
        self.take_in(offers, dirty);
        self.tell_derived();
        if has_begun_to_answer {
            // What it offers may be what was known; what it offers to kinds of clients may not.
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Lets those know who wait for changes; `dirty` says that an offer is not in the catalog yet.
    fn take_in(&self, mut offers: MutexGuard<'_, Offers>, dirty: bool) {
        offers.dirty |= dirty;
        offers.generation += u64::from(dirty);
        if !offers.dirty {
            self.fresh.set(offers.backends.values().map(|state| state.terms));
        }
        drop(offers);
        self.settled.notify_waiters();
        if dirty {
            self.dirty.notify_one();
        }
    }

    /// Notes that what a backend has offered may be true no more: it has said that it has changed.
    pub(crate) fn note_changed(&self, backend: &BackendId) {
        let mut offers = self.offers();
        let Some(state) = offers.backends.get_mut(backend) else { return };
        state.terms = Terms::unknown();
        self.fresh.set(offers.backends.values().map(|state| state.terms));
        drop(offers);
        self.tell_derived();
    }

    pub(crate) fn touch(&self) {
        self.last_used.store(self.origin.elapsed().as_secs(), Ordering::Relaxed);
    }

    pub(crate) fn idle(&self) -> Duration {
        let last = Duration::from_secs(self.last_used.load(Ordering::Relaxed));
        self.origin.elapsed().saturating_sub(last)
    }

    fn offers(&self) -> MutexGuard<'_, Offers> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
