//! How much own offers may take, and how many sessions ask one backend for theirs at once: those of
//! legacy clients and kept ones together.
//!
//! Own offers, and the catalogs that are made of them, are shared by whoever has the same. Each counts
//! once, for as long as somebody uses it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vmcp_backend::{Advertised, Backend, Error, Lineage, Session};
use vmcp_model::{BackendId, Digest};

use crate::own_offers::OwnOffer;

/// Backends of which one session, or one caller without sessions, may have offers of its own.
pub const OWN_BACKENDS: usize = 16;

/// Bytes of one own offer.
const OWN_OFFER_BYTES: usize = 1 << 20;

/// Bytes of all own offers of this process, and of the catalogs that are made of them.
const BYTES: usize = 128 << 20;

/// Sessions that read the lists of one backend at once.
const READINGS: usize = 4;

/// How long a reading may hold its place: a session on which the backend is slow must not keep
/// others from being asked.
const PLACE: Duration = Duration::from_secs(5);

/// How many shared things are known before those are forgotten that nobody uses.
const REMEMBERED: usize = 64;

/// The room that own offers may take in this process.
#[derive(Debug)]
pub struct OwnBounds {
    taken: Arc<AtomicUsize>,
    limit: usize,
    /// Whether it has been said that there is no room.
    told: AtomicBool,
    charges: Mutex<Known<Charge>>,
    offers: Mutex<Known<OwnOffer>>,
    places: Mutex<HashMap<(BackendId, Lineage), Arc<Semaphore>>>,
}

/// Room that something takes for as long as it is used.
#[derive(Debug)]
pub struct Charge {
    bytes: usize,
    taken: Arc<AtomicUsize>,
}

/// What is shared, by its digest.
#[derive(Debug)]
struct Known<T>(HashMap<Digest, Weak<T>>);

impl Default for OwnBounds {
    fn default() -> Self {
        Self {
            taken: Arc::default(),
            limit: BYTES,
            told: AtomicBool::new(false),
            charges: Mutex::default(),
            offers: Mutex::default(),
            places: Mutex::default(),
        }
    }
}

impl OwnBounds {
    /// Takes room for what has this digest, unless it has some already. `None` if there is no more.
    pub fn charge(&self, digest: Digest, bytes: impl FnOnce() -> usize) -> Option<Arc<Charge>> {
        let mut charges = lock(&self.charges);
        if let Some(known) = charges.find(digest) {
            return Some(known);
        }
        let bytes = bytes();
        // Nobody else adds to it: the lock is held.
        if self.taken.load(Ordering::Relaxed).saturating_add(bytes) > self.limit {
            drop(charges);
            if !self.told.swap(true, Ordering::Relaxed) {
                let limit = self.limit;
                tracing::warn!(
                    limit,
                    "what backends list to single sessions takes more bytes than it may; more sessions are shown what their view is"
                );
            }
            return None;
        }
        self.told.store(false, Ordering::Relaxed);
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        let charge = Arc::new(Charge { bytes, taken: Arc::clone(&self.taken) });
        charges.enter(digest, &charge);
        Some(charge)
    }

    /// One copy of an own offer for all sessions that have it.
    pub fn share(&self, offer: OwnOffer) -> Arc<OwnOffer> {
        let mut offers = lock(&self.offers);
        if let Some(known) = offers.find(offer.digest()) {
            return known;
        }
        let offer = Arc::new(offer);
        offers.enter(offer.digest(), &offer);
        offer
    }

    /// Takes an own offer in that a backend's lists were read to be, with the room for it. `None`, and a
    /// warning, if it is over a bound; one that is too large by itself is reported as `too_large`.
    pub fn take_in(
        &self,
        backend: &BackendId,
        read: OwnOffer,
        too_large: &str,
    ) -> Option<(Arc<OwnOffer>, Arc<Charge>)> {
        let size = read.size();
        if size > OWN_OFFER_BYTES {
            tracing::warn!(%backend, size, limit = OWN_OFFER_BYTES, "{too_large}");
            return None;
        }
        let charge = self.charge(read.digest(), || size)?;
        Some((self.share(read), charge))
    }

    /// An own offer that some session here has.
    pub fn known(&self, digest: Digest) -> Option<Arc<OwnOffer>> {
        lock(&self.offers).find(digest)
    }

    /// A place among those who read the lists of a backend.
    pub async fn place(&self, backend: &Backend) -> Option<OwnedSemaphorePermit> {
        let places = {
            let mut all = lock(&self.places);
            all.retain(|_, places| Arc::strong_count(places) > 1);
            let key = (backend.id().clone(), backend.lineage());
            Arc::clone(all.entry(key).or_insert_with(|| Arc::new(Semaphore::new(READINGS))))
        };
        // Never closed.
        places.acquire_owned().await.ok()
    }

    /// Reads what a session is offered. So many sessions ask a backend at once as may, unless it is
    /// slow.
    ///
    /// # Errors
    /// If nothing can be read.
    pub async fn read(
        &self,
        backend: &Arc<Backend>,
        session: &Session,
    ) -> Result<Advertised, Error> {
        let place = self.place(backend).await;
        let reading = backend.offer(session);
        tokio::pin!(reading);
        match tokio::time::timeout(PLACE, &mut reading).await {
            Ok(read) => read,
            Err(_elapsed) => {
                drop(place);
                reading.await
            }
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Known<T> {
    fn find(&self, digest: Digest) -> Option<Arc<T>> {
        self.0.get(&digest).and_then(Weak::upgrade)
    }

    fn enter(&mut self, digest: Digest, shared: &Arc<T>) {
        if self.0.len() >= REMEMBERED && self.0.len() == self.0.capacity() {
            self.0.retain(|_, shared| shared.strong_count() > 0);
        }
        self.0.insert(digest, Arc::downgrade(shared));
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
