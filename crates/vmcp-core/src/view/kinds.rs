//! What one kind of client is offered that another is not.
//!
//! Backends seldom tell kinds of clients apart. So a view sees what its *base* sees, at once, until
//! something is known to differ: a watch of the view's own says so, or a session of this kind, whose
//! own session on the backend was read.

use std::{
    sync::{Arc, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::Instant;
use vmcp_backend::Advertised;
use vmcp_model::{BackendId, Era, Offer};

use super::{Offers, View};
use crate::known::{Found, KnownKind};

/// How long after it has failed a reading is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// Somebody reads what clients of a kind are offered.
#[derive(Debug)]
pub(super) struct Reading {
    /// What the base was offered when it began.
    of_base: Option<Arc<Offer>>,
    since: Instant,
}

/// What is known of one backend beside what the base knows.
#[derive(Debug)]
pub(super) enum Kinds {
    /// A watch of the view's own keeps it true.
    Watched,
    /// A session of this kind was read.
    Read {
        /// What it was offered, where that differs.
        own: Option<Arc<Offer>>,
        /// What the base was offered then.
        compared: Option<Arc<Offer>>,
        read: Instant,
        /// It could not be read, and is taken for what it was.
        failed: bool,
    },
}

impl View {
    /// How many views it is derived through.
    pub(crate) fn depth(&self) -> usize {
        self.base.as_ref().map_or(0, |base| 1 + base.depth())
    }

    /// Has the view see what its base sees.
    pub(crate) fn derive(self: &Arc<Self>) {
        let Some(base) = &self.base else { return };
        base.derived().push(Arc::downgrade(self));
        self.follow();
        self.merge_if_dirty();
    }

    /// Forgets those that are gone, which take room until then: where callers come and go, and no backend
    /// has anything for everybody, nothing is ever told.
    pub(crate) fn forget_derived(&self) {
        let mut derived = self.derived();
        derived.retain(|view| view.strong_count() > 0);
        if derived.len() * 4 < derived.capacity() {
            derived.shrink_to_fit();
        }
    }

    fn derived(&self) -> MutexGuard<'_, Vec<Weak<Self>>> {
        self.derived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has those that see what this one sees take in what has changed.
    pub(super) fn tell_derived(&self) {
        let derived: Vec<_> = self.derived().iter().filter_map(Weak::upgrade).collect();
        for view in derived {
            view.follow();
        }
    }

    /// Takes over what the base knows, except what is the view's own.
    pub(crate) fn follow(&self) {
        let Some(base) = &self.base else { return };
        // In this order, so that what was taken in last is newest.
        let mut offers = self.offers();
        let of_base = base.backends();
        let Offers { backends, kinds, .. } = &mut *offers;
        let mut dirty = false;
        backends.retain(|id, state| {
            let stays = of_base.contains_key(id);
            dirty |= !stays && state.offer.is_some();
            stays
        });
        kinds.retain(|id, _| of_base.contains_key(id));
        for (id, mut state) in of_base {
            match kinds.get(&id) {
                Some(Kinds::Watched) if backends.contains_key(&id) => continue,
                Some(Kinds::Read { own: Some(own), .. }) => state.offer = Some(Arc::clone(own)),
                Some(Kinds::Read { own: None, .. } | Kinds::Watched) | None => {}
            }
            let before = backends.get(&id).and_then(|before| before.offer.as_deref());
            dirty |= before != state.offer.as_deref();
            backends.insert(id, state);
        }
        self.take_in(offers, dirty);
        self.tell_derived();
    }

    /// Notes that a watch of the view's own keeps true what a backend offers.
    pub(super) fn note_watched(&self, offers: &mut Offers, backend: &BackendId) {
        if self.base.is_some() {
            offers.kinds.insert(backend.clone(), Kinds::Watched);
        }
    }

    /// Has the view see what its base sees of a backend again.
    pub(crate) fn unwatch(&self, backend: &BackendId) {
        let watched = self.offers().kinds.remove(backend);
        if watched.is_some() {
            self.follow();
        }
    }

    /// Forgets what was the view's own of backends that are others now.
    pub(super) fn forget_kinds(offers: &mut Offers, new: &dyn Fn(&BackendId) -> bool) {
        offers.kinds.retain(|id, _| !new(id));
    }

    /// Whether a session of this kind is to be read to find out if a backend offers it what it offers
    /// everybody: none was yet, or something has changed since. What clients are told to be able to do
    /// is all that servers are known to look at.
    pub fn wants_reading(&self, backend: &BackendId, max_age: Duration) -> bool {
        let Some(base) = self.base.as_ref().filter(|_| self.is_a_kind()) else { return false };
        let of_base = base.offer(backend);
        match self.offers().kinds.get(backend) {
            None => true,
            Some(Kinds::Watched) => false,
            Some(Kinds::Read { own, compared, read, failed }) => {
                let age = read.elapsed();
                let is_old = own.is_some() && age >= max_age;
                let is_due = *failed && age >= AGAIN;
                let is_other = !*failed && !is_same(compared.as_ref(), of_base.as_ref());
                is_old || is_due || is_other
            }
        }
    }

    /// Those of these backends of which the catalog does not say yet what they offer clients of this kind
    /// of their own.
    pub fn not_compared<'a>(&self, backends: &'a [BackendId]) -> Vec<&'a BackendId> {
        if self.base.is_none() || !self.is_a_kind() {
            return Vec::new();
        }
        let offers = self.offers();
        let is_told = |id: &&BackendId| !offers.dirty && offers.kinds.contains_key(*id);
        backends.iter().filter(|id| !is_told(id)).collect()
    }

    /// What was found by reading for clients of this kind.
    pub(crate) fn found(&self) -> KnownKind {
        let offers = self.offers();
        let found = offers.kinds.iter().filter_map(|(id, kind)| match kind {
            Kinds::Read { own, compared: Some(compared), failed: false, .. } => {
                let (own, compared) = (own.clone(), Arc::clone(compared));
                Some((id.clone(), Found { own, compared }))
            }
            Kinds::Read { .. } | Kinds::Watched => None,
        });
        found.collect()
    }

    /// Takes in what was found for clients of this kind before there was this view.
    pub(crate) fn recall(&self, known: &KnownKind) {
        let read = Instant::now();
        let known = known.iter().map(|(id, Found { own, compared })| {
            let (own, compared) = (own.clone(), Some(Arc::clone(compared)));
            (id.clone(), Kinds::Read { own, compared, read, failed: false })
        });
        self.offers().kinds.extend(known);
    }

    /// Whether the clients of this view can do what those of the base cannot, so that they may be offered
    /// something else.
    pub fn is_a_kind(&self) -> bool {
        let told = self.client.capabilities_for(Era::Legacy);
        self.client.version().era() == Era::Legacy
            && vmcp_model::raw::Members::parse(told)
                .is_some_and(|members| members.iter().next().is_some())
    }

    /// Whether what a backend offers was read so long ago.
    pub fn is_old(&self, backend: &BackendId, max_age: Duration) -> bool {
        let offers = self.offers();
        let read = offers.backends.get(backend).and_then(|state| state.read);
        read.is_none_or(|read| read.elapsed() >= max_age)
    }

    /// Notes that somebody reads what clients of this kind are offered. `false` if somebody does already.
    pub fn claim_reading(&self, backend: &BackendId) -> bool {
        let of_base = self.base.as_ref().and_then(|base| base.offer(backend));
        let mut offers = self.offers();
        if offers.reading.contains_key(backend) {
            return false;
        }
        offers.reading.insert(backend.clone(), Reading { of_base, since: Instant::now() });
        true
    }

    /// Waits until nobody reads what a backend offers clients of this kind, but no longer than so long
    /// since that has begun.
    pub async fn until_read(&self, backend: &BackendId, wait: Duration) {
        loop {
            let changed = self.settled.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let since = self.offers().reading.get(backend).map(|reading| reading.since);
            let Some(since) = since else { return };
            if tokio::time::timeout_at(since + wait, changed).await.is_err() {
                return;
            }
        }
    }

    /// Takes in what a session of this kind is offered, if that could be read, from whoever has claimed
    /// to read it. If these clients can do what the base's can, the base is offered that, too.
    pub fn enter_read(&self, backend: &BackendId, read: Option<Advertised>) {
        let claimed = self.offers().reading.get(backend).map(|reading| reading.of_base.clone());
        let compared = claimed.flatten();
        match (&self.base, read) {
            (Some(_), read) if self.is_a_kind() => self.compare(backend, compared, read),
            (Some(base), Some(read)) => base.root().enter(backend, Ok(read)),
            (None, Some(read)) => self.enter(backend, Ok(read)),
            (_, None) => {}
        }
        // Whoever claims it next finds what was read.
        self.release_reading(backend);
    }

    /// Takes back that somebody reads it.
    pub fn release_reading(&self, backend: &BackendId) {
        self.offers().reading.remove(backend);
        self.settled.notify_waiters();
    }

    /// The base of all.
    fn root(&self) -> &Self {
        self.base.as_ref().map_or(self, |base| base.root())
    }

    /// Takes in what was read of a kind of clients; `compared` is what the base was offered when that began.
    fn compare(&self, backend: &BackendId, compared: Option<Arc<Offer>>, read: Option<Advertised>) {
        let is_news = {
            let mut offers = self.offers();
            let Some(state) = offers.backends.get(backend) else { return };
            let before = state.offer.clone();
            let failed = read.is_none();
            // What could not be read is taken for what it was.
            let offer = read.map(|read| Arc::new(read.completed(before.as_deref())));
            let own = offer.or(before).filter(|offer| compared.as_ref() != Some(offer));
            if own.is_some() {
                tracing::debug!(%backend, "the backend offers this kind of client something of its own");
            }
            let is_known = matches!(
                offers.kinds.get(backend),
                Some(Kinds::Read { own: known, compared: beside, failed: had_failed, .. })
                    if *known == own && *beside == compared && *had_failed == failed
            );
            let read = Kinds::Read { own, compared, read: Instant::now(), failed };
            offers.kinds.insert(backend.clone(), read);
            !is_known
        };
        self.follow();
        // Also if the catalog is as it was: that it is, is worth keeping. What was known is not: whoever
        // is told may read kinds again.
        if is_news {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// Merges what has come in since the last merge, for whoever is about to be shown it, unless more
    /// is about to come: what comes together is announced together.
    pub fn merge_now(&self) {
        if !self.is_gathering() {
            self.merge_if_dirty();
        }
    }
}

/// Whether two offers are the very same.
fn is_same(one: Option<&Arc<Offer>>, other: Option<&Arc<Offer>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;
    use vmcp_backend::ClientView;
    use vmcp_model::ProtocolVersion;

    use super::*;

    fn view(capabilities: &'static str, base: Option<&Arc<View>>) -> Arc<View> {
        let client = ClientView::new(ProtocolVersion::LATEST_LEGACY, Bytes::from(capabilities));
        let (changes, _) = watch::channel(0);
        let stop = CancellationToken::new();
        let (rules, copies) = Default::default();
        Arc::new(View::new(client, base.cloned(), rules, Vec::new(), changes, stop, copies))
    }

    #[tokio::test]
    async fn a_base_forgets_the_views_that_are_gone() {
        let base = view("{}", None);
        let stays = view(r#"{"roots":{}}"#, Some(&base));
        stays.derive();
        for _caller in 0..100 {
            view(r#"{"sampling":{}}"#, Some(&base)).derive();
        }
        base.forget_derived();
        assert_eq!(base.derived().len(), 1);
        assert!(base.derived().capacity() < 10);
    }
}
