//! What one kind of client sees of every backend.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use vmcp_backend::ClientView;
use vmcp_catalog::{Catalog, Dropped, Rules, merge};
use vmcp_model::{BackendId, Offer};

pub(crate) mod watching;

/// The offers of all backends to clients that they cannot tell apart, merged into one catalog.
#[derive(Debug)]
pub struct View {
    client: ClientView,
    rules: Arc<Rules>,
    catalog: ArcSwap<Catalog>,
    offers: Mutex<Offers>,
    /// Wakes whoever waits for the offers to settle.
    settled: Notify,
    /// Wakes whoever merges late offers.
    pub(crate) dirty: Arc<Notify>,
    /// Ticks when the catalog has changed.
    changes: watch::Sender<u64>,
    /// Ends the watching.
    pub(crate) stop: CancellationToken,
    /// Seconds on the clock of `origin` when the view was last asked for.
    last_used: AtomicU64,
    origin: Instant,
}

#[derive(Debug, Default)]
struct Offers {
    backends: BTreeMap<BackendId, BackendState>,
    /// Some offer is not in the catalog yet.
    dirty: bool,
    dropped: Vec<Dropped>,
}

/// What is known of one backend.
#[derive(Debug, Clone)]
pub struct BackendState {
    /// The last good offer, which is used whatever happened since.
    pub offer: Option<Arc<Offer>>,
    pub status: OfferStatus,
    pub since: Instant,
}

/// How the last attempt to get an offer went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferStatus {
    /// It is under way for the first time.
    Unknown,
    Good,
    /// It failed; it is tried again in the background.
    Failed(String),
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
        rules: Arc<Rules>,
        backends: impl Iterator<Item = BackendId>,
        changes: watch::Sender<u64>,
        stop: CancellationToken,
    ) -> Self {
        let since = Instant::now();
        let unknown = BackendState { offer: None, status: OfferStatus::Unknown, since };
        let backends = backends.map(|id| (id, unknown.clone())).collect();
        let (empty, _nothing_dropped) = merge(&BTreeMap::new(), &rules);
        Self {
            client,
            rules,
            catalog: ArcSwap::from_pointee(empty),
            offers: Mutex::new(Offers { backends, ..Offers::default() }),
            settled: Notify::new(),
            dirty: Arc::default(),
            changes,
            stop,
            last_used: AtomicU64::new(0),
            origin: since,
        }
    }

    /// What the backends are told about the clients of this view.
    pub fn client(&self) -> &ClientView {
        &self.client
    }

    /// The catalog as it is now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.load_full()
    }

    /// What is known of each backend.
    pub fn backends(&self) -> BTreeMap<BackendId, BackendState> {
        self.offers().backends.clone()
    }

    /// What the last merge left out, and why.
    pub fn dropped(&self) -> Vec<Dropped> {
        self.offers().dropped.clone()
    }

    /// Waits until every backend has made an offer or failed to, but no longer than `wait`.
    pub async fn settle(&self, wait: Duration) -> Settled {
        let all = async {
            loop {
                let changed = self.settled.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if !self.offers().backends.values().any(|s| s.status == OfferStatus::Unknown) {
                    return;
                }
                changed.await;
            }
        };
        let _complete = tokio::time::timeout(wait, all).await;
        self.merge_if_dirty();
        let offers = self.offers();
        let missing = offers.backends.iter().filter(|(_, state)| state.offer.is_none());
        let missing = missing.map(|(id, _)| id.clone()).collect();
        drop(offers);
        Settled { catalog: self.catalog(), missing }
    }

    /// Merges what has come in since the last merge.
    pub(crate) fn merge_if_dirty(&self) {
        let mut offers = self.offers();
        if !std::mem::take(&mut offers.dirty) {
            return;
        }
        let known = offers.backends.iter().filter_map(|(id, state)| {
            state.offer.as_ref().map(|offer| (id.clone(), Arc::clone(offer)))
        });
        let (catalog, dropped) = merge(&known.collect(), &self.rules);
        if offers.dropped != dropped {
            for item in &dropped {
                tracing::warn!("{item}");
            }
            offers.dropped = dropped;
        }
        if self.catalog.load().digest() != catalog.digest() {
            self.catalog.store(Arc::new(catalog));
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Enters how an attempt to get an offer went. A failure leaves the last good offer in use.
    pub(crate) fn enter(&self, backend: &BackendId, attempt: Result<Offer, String>) {
        let mut offers = self.offers();
        let Some(state) = offers.backends.get_mut(backend) else { return };
        let mut dirty = false;
        let status = match attempt {
            Ok(offer) => {
                if state.offer.as_deref() != Some(&offer) {
                    state.offer = Some(Arc::new(offer));
                    dirty = true;
                }
                OfferStatus::Good
            }
            Err(why) => OfferStatus::Failed(why),
        };
        if state.status != status {
            state.since = Instant::now();
            state.status = status;
        }
        offers.dirty |= dirty;
        drop(offers);
        self.settled.notify_waiters();
        if dirty {
            self.dirty.notify_one();
        }
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
