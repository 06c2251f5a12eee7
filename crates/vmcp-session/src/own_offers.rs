//! What a session's own backend sessions list to it and to nobody else.
//!
//! Such an offer takes the place of its backend's offer to the view for this session. The record
//! names it, so that any replica shows the same; the offer itself is in the store under its digest,
//! as catalogs are.

use std::sync::{Arc, Weak};

use vmcp_backend::{Backend, Lineage};
use vmcp_core::{Charge, OWN_BACKENDS, OwnOffer, OwnOffers};
use vmcp_model::{BackendId, Digest, Offer};
use vmcp_store::{Change, News, Place, Record};

use crate::{own_lists::Reading, session::Session, sessions::Shared, upkeep::complain};

/// What is said of an own offer that has too many bytes.
const TOO_LARGE: &str = "lists more bytes to a session than an own offer may have; the session is shown what its view is";

/// The part of a session that is there only while it has offers of its own, or reads lists.
#[derive(Debug, Default)]
pub(crate) struct Own {
    held: Vec<Held>,
    pub(crate) readings: Vec<Reading>,
    /// The room of the catalog that is made of them.
    pub(crate) catalog: Option<Arc<Charge>>,
}

/// One own offer.
#[derive(Debug)]
struct Held {
    backend: BackendId,
    /// It is good on backends of this lineage only, as backend sessions are.
    lineage: Lineage,
    offer: Arc<OwnOffer>,
    /// The view's offer from which it differs, as far as is known.
    differs_from: Weak<Offer>,
    _charge: Arc<Charge>,
}

/// What has become of own offers without their sessions' doing.
#[derive(Debug, Default)]
struct Outdated {
    /// Those that are of no use any more, and how the record calls them.
    dropped: Vec<(BackendId, Digest)>,
    /// Backends whose offer to the view has changed: what they list to the session may have, too.
    doubtful: Vec<Arc<Backend>>,
}

impl Own {
    pub(crate) fn is_over(&self) -> bool {
        self.held.is_empty() && self.readings.is_empty()
    }

    fn find(&self, backend: &BackendId) -> Option<&Held> {
        self.held.iter().find(|held| held.backend == *backend)
    }

    fn remove(&mut self, backend: &BackendId) {
        self.held.retain(|held| held.backend != *backend);
        if self.held.is_empty() {
            self.catalog = None;
        }
    }

    fn set(&mut self, held: Held) {
        self.remove(&held.backend);
        self.held.reserve_exact(1);
        self.held.push(held);
    }

    pub(crate) fn offers(&self) -> OwnOffers {
        self.held.iter().map(|held| (held.backend.clone(), Arc::clone(&held.offer))).collect()
    }
}

impl Session {
    /// The offers that are the session's own, if there are any.
    pub(crate) fn own_offers(&self) -> Option<OwnOffers> {
        self.with_any_own(|own| (!own.held.is_empty()).then(|| own.offers())).flatten()
    }

    /// Whether the session has an offer of its own of this very backend.
    pub(crate) fn has_own_offer(&self, backend: &Backend) -> bool {
        self.own_offer(backend).is_some()
    }

    /// What the session has of its own of this very backend.
    pub(crate) fn own_offer(&self, backend: &Backend) -> Option<Arc<OwnOffer>> {
        let find = |own: &mut Own| {
            let held = own.find(backend.id())?;
            (held.lineage == backend.lineage()).then(|| Arc::clone(&held.offer))
        };
        self.with_any_own(find).flatten()
    }

    fn own_digest(&self, backend: &BackendId) -> Option<Digest> {
        self.with_any_own(|own| own.find(backend).map(|held| held.offer.digest())).flatten()
    }

    /// Whether the session has the own offers that a record names, and no others.
    pub(crate) fn has_own_of(&self, record: &Record) -> bool {
        let has =
            |(backend, digest): &(BackendId, Digest)| self.own_digest(backend) == Some(*digest);
        record.own_offers.iter().all(has) && self.not_named(record).is_empty()
    }

    /// Backends of which the session has own offers that a record does not name.
    fn not_named(&self, record: &Record) -> Vec<BackendId> {
        let names = |held: &&Held| record.own_offers.iter().any(|(id, _)| *id == held.backend);
        let not_named = self.with_any_own(|own| {
            let others = own.held.iter().filter(|held| !names(held));
            others.map(|held| held.backend.clone()).collect()
        });
        not_named.unwrap_or_default()
    }

    /// The backend of an own offer that another replica has dropped, if it is to be asked again. There
    /// the view may have the same by now, and here not yet: nothing is taken from the client that
    /// comes back in a moment.
    fn doubted(&self, backend: &BackendId) -> Option<Arc<Backend>> {
        let backend = self.shared.vmcp.backend(backend.as_str())?;
        let differs = |own: &mut Own| {
            own.find(backend.id()).is_some_and(|held| {
                held.lineage == backend.lineage() && !self.view.shows(&held.backend, &held.offer)
            })
        };
        let differs = self.with_any_own(differs).unwrap_or(false);
        (differs && self.slots().is_open(&backend)).then_some(backend)
    }

    /// Finds what is of no use any more, and what may not be true any more.
    fn outdated(&self) -> Outdated {
        let mut outdated = Outdated::default();
        self.with_any_own(|own| {
            for held in &mut own.held {
                let backend = self.shared.vmcp.backend(held.backend.as_str());
                let backend = backend.filter(|backend| backend.lineage() == held.lineage);
                let of_view = self.view.offer(&held.backend);
                let is_shown = self.view.shows(&held.backend, &held.offer);
                let Some(backend) = backend.filter(|_| !is_shown) else {
                    outdated.dropped.push((held.backend.clone(), held.offer.digest()));
                    continue;
                };
                let now = of_view.as_ref().map_or_else(Weak::new, Arc::downgrade);
                let before = std::mem::replace(&mut held.differs_from, now);
                // Where the view had none, it is not the backend that has changed: a replica that has
                // just started asks nobody about the sessions that it takes up.
                if !Weak::ptr_eq(&before, &held.differs_from)
                    && !Weak::ptr_eq(&before, &Weak::new())
                {
                    outdated.doubtful.push(backend);
                }
            }
            outdated.dropped.iter().for_each(|(backend, _)| own.remove(backend));
        });
        outdated
    }
}

impl Shared {
    /// Makes what a backend lists to a session its own offer, unless its view has the same; then it
    /// has none. The client is told what has changed.
    pub(crate) async fn keep_own(&self, session: &Arc<Session>, backend: &Backend, read: OwnOffer) {
        let _turn = self.turns.of(session).await;
        if session.is_ended() || !self.vmcp.is_in_use(backend) {
            return;
        }
        let before = session.own_digest(backend.id());
        let is_shown = session.view.shows(backend.id(), &read);
        let held = if is_shown { None } else { self.held(session, backend, read) };
        if let Some(held) = &held
            && let Err(error) = self.put_own(&held.offer).await
        {
            complain(&error, "what a backend lists to one session could not be kept in the store");
        }
        let after = held.as_ref().map(|held| held.offer.digest());
        if !self.change_own(session, backend.id(), before, after).await {
            // Another replica has read it at the same time: who is right is seen by reading again.
            if self.adopt_record(session).await
                && let Some(backend) = self.vmcp.backend(backend.id().as_str())
            {
                session.read_lists_soon(&backend);
            }
            return;
        }
        if let Some(held) = held {
            session.with_own(|own| own.set(held));
        } else if before.is_some() {
            session.with_any_own(|own| own.remove(backend.id()));
        }
        self.show(session).await;
    }

    /// Drops a session's own offers that are of no use any more, and has those read again that may
    /// have changed.
    pub(crate) async fn tidy_own(&self, session: &Arc<Session>) {
        let Outdated { dropped, doubtful } = session.outdated();
        for (backend, digest) in dropped {
            self.change_own(session, &backend, Some(digest), None).await;
        }
        doubtful.iter().for_each(|backend| session.read_lists_soon(backend));
    }

    /// Gives up a session's own offers, for which there is no room.
    pub(crate) async fn drop_own(&self, session: &Arc<Session>, own: &OwnOffers) {
        for (backend, offer) in own.iter() {
            session.with_any_own(|own| own.remove(backend));
            self.change_own(session, backend, Some(offer.digest()), None).await;
        }
    }

    /// The own offers that a record names, as far as they can be had.
    pub(crate) async fn own_of(&self, record: &Record) -> Option<Box<Own>> {
        let mut own = Own::default();
        for (backend, digest) in &record.own_offers {
            if let Some(held) = self.named(record, backend, *digest).await {
                own.set(held);
            }
        }
        (!own.is_over()).then(|| Box::new(own))
    }

    /// Takes up what another replica has changed of a session's own offers. `true` if that is any.
    pub(crate) async fn adopt_own(&self, session: &Session, record: &Record) -> bool {
        let mut changed = false;
        for backend in session.not_named(record) {
            if let Some(backend) = session.doubted(&backend) {
                session.read_lists_soon(&backend);
            } else {
                session.with_any_own(|own| own.remove(&backend));
                changed = true;
            }
        }
        for (backend, digest) in &record.own_offers {
            if session.own_digest(backend) != Some(*digest)
                && let Some(held) = self.named(record, backend, *digest).await
            {
                session.with_own(|own| own.set(held));
                changed = true;
            }
        }
        changed
    }

    /// Takes up what the record says now of a session's own offers. `false` if there is none: the
    /// session has ended, which is seen on its next use.
    async fn adopt_record(&self, session: &Session) -> bool {
        match self.store.load(session.key, self.clock.now()).await {
            Ok(Some(record)) => {
                self.adopt_own(session, &record).await;
                true
            }
            Ok(None) => false,
            Err(error) => {
                complain(&error, "a session's own offers could not be looked up");
                true
            }
        }
    }

    /// An own offer that a record names, if its backend is the one that has made it.
    async fn named(&self, record: &Record, id: &BackendId, digest: Digest) -> Option<Held> {
        let backend = self.vmcp.backend(id.as_str())?;
        let is_its = match &record.backend(id)?.place {
            Place::Address(identity) => backend.identity() == Some(*identity),
            // It may be in another replica's hands, and is shown all the same.
            Place::Replica(_) => backend.identity().is_none(),
        };
        if !is_its {
            return None;
        }
        let offer = match self.own_offers.known(digest) {
            Some(known) => known,
            None => self.own_offers.share(self.stored(digest).await?),
        };
        let _charge = self.own_offers.charge(digest, || offer.size())?;
        let (backend, lineage) = (id.clone(), backend.lineage());
        Some(Held { backend, lineage, offer, differs_from: Weak::new(), _charge })
    }

    async fn stored(&self, digest: Digest) -> Option<OwnOffer> {
        match self.store.catalog(digest, self.clock.now()).await {
            Ok(Some(bytes)) => OwnOffer::from_bytes(&bytes)
                .inspect_err(|error| {
                    tracing::warn!(%error, "a session's own offer is not shown any more");
                })
                .ok(),
            Ok(None) => {
                tracing::warn!("a session's own offer is gone from the store");
                None
            }
            Err(error) => {
                complain(&error, "a session's own offer could not be had from the store");
                None
            }
        }
    }

    /// An own offer as a session holds it. `None`, and a warning, if it is over a bound.
    fn held(&self, session: &Session, backend: &Backend, read: OwnOffer) -> Option<Held> {
        let id = backend.id();
        let others =
            session.with_any_own(|own| own.held.iter().filter(|held| held.backend != *id).count());
        if others.unwrap_or(0) >= OWN_BACKENDS {
            tracing::warn!(backend = %id, limit = OWN_BACKENDS, "lists something of its own to a session that has as many own offers as it may; the session is shown what its view is");
            return None;
        }
        let (offer, _charge) = self.own_offers.take_in(id, read, TOO_LARGE)?;
        let differs_from = session.view.offer(id).map_or_else(Weak::new, |o| Arc::downgrade(&o));
        Some(Held { backend: id.clone(), lineage: backend.lineage(), offer, differs_from, _charge })
    }

    /// Writes into the record which own offer a session has. `false` if the record holds another
    /// than it did. What cannot be written counts here all the same: an outage is not a loss.
    async fn change_own(
        &self,
        session: &Session,
        backend: &BackendId,
        from: Option<Digest>,
        to: Option<Digest>,
    ) -> bool {
        if from == to {
            return true;
        }
        let change = Change::OwnOffer { backend: backend.clone(), from, to };
        match self.store.change(session.key, change).await {
            Ok(true) => {
                self.tell(News::Changed(session.key)).await;
                true
            }
            Ok(false) => false,
            Err(error) => {
                complain(&error, "a session's own offer could not be noted in its record");
                true
            }
        }
    }
}
