//! What sessions are shown: the catalogs of their views, or of their views and their own offers. The
//! store keeps what they are made of for as long as they live.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use vmcp_catalog::Catalog;
use vmcp_core::{OwnOffer, OwnOffers, View};
use vmcp_model::Digest;
use vmcp_store::{Change, Error, News, Record, Timestamp};
use vmcp_wire::Fault;

use crate::{
    session::Session,
    sessions::{Shared, unavailable},
    upkeep::complain,
};

/// Work on what sessions are shown is done in so many rows.
const ROWS: usize = 64;

/// What the store keeps under its digest, as far as it was put there from here.
#[derive(Debug, Default)]
pub(crate) struct KeptContents(Mutex<HashMap<Digest, Kept>>);

/// Until when the store keeps something, and what was known of the store then.
#[derive(Debug)]
struct Kept {
    until: Timestamp,
    mark: u64,
}

/// Lets one work at a time on what a session is shown.
#[derive(Debug)]
pub(crate) struct Turns(Box<[tokio::sync::Mutex<()>]>);

/// What a session would be shown here, and is not, as another replica showed it something else after that. Replicas
/// take up a change one after the other: whoever has not yet must not take it back.
#[derive(Debug, Default)]
pub(crate) struct Superseded {
    /// The beginning of the digest of its catalog; 0 for none.
    catalog: AtomicU64,
    /// When it was, by the clock of the store.
    since: AtomicU64,
}

/// How long behind that it is looked.
const AFTER: Duration = Duration::from_secs(1);

/// How long it may take until every replica has taken up a change of its file: a kubelet looks once a minute. What
/// still differs then is shown as it is here.
const DIFFERENT: Duration = Duration::from_secs(90);

impl Superseded {
    fn note(&self, catalog: Digest, now: Timestamp) {
        self.since.store(now.0, Ordering::Relaxed);
        self.catalog.store(beginning(catalog), Ordering::Relaxed);
    }

    /// It has been caught up with: whatever is due from now on is news.
    fn clear(&self) {
        self.catalog.store(0, Ordering::Relaxed);
    }

    fn is(&self, catalog: Digest, now: Timestamp) -> bool {
        let since = Timestamp(self.since.load(Ordering::Relaxed));
        self.catalog.load(Ordering::Relaxed) == beginning(catalog) && now < since.after(DIFFERENT)
    }
}

fn beginning(digest: Digest) -> u64 {
    let bytes = digest.as_bytes().iter().take(8);
    bytes.fold(0, |sum, byte| sum << 8 | u64::from(*byte)).max(1)
}

impl Session {
    /// Whether other replicas show the session something else than this. From now on this one shows it, too.
    pub(crate) async fn is_shown_others_than(&self, shown: Digest) -> bool {
        let Some(me) = self.me.upgrade().filter(|_| self.shared.store.outlives_process()) else {
            return false;
        };
        let loaded = self.shared.store.load(self.key, self.shared.clock.now()).await;
        let Ok(Some(record)) = &loaded else { return false };
        self.shared.take_up_shown(&me, record).await && self.catalog.load().digest() != shown
    }
}

impl Shared {
    /// Takes up what another replica lets the session see. A record that was read before the turn came
    /// may be older than what has been taken up meanwhile: what differs is read again. `false` if it
    /// could not be.
    pub(crate) async fn take_up_shown(&self, session: &Arc<Session>, record: &Record) -> bool {
        let _turn = self.turns.of(session).await;
        if record.catalog == session.catalog.load().digest() && session.has_own_of(record) {
            return true;
        }
        // If there is none, the session has ended or the store is out of reach.
        let loaded = self.store.load(session.key, self.clock.now()).await;
        let Ok(Some(record)) = &loaded else { return false };
        let changed = self.adopt_own(session, record).await;
        let own = session.own_offers();
        if record.catalog != session.catalog.load().digest()
            && let Ok(catalog) = self.catalog_of(record, &session.view, own.as_ref()).await
        {
            let changes = catalog.changed(&session.catalog.swap(Arc::clone(&catalog)));
            session.announce_changes(changes);
            self.set_aside(session, catalog.digest()).await;
        }
        if changed {
            // The record may not name the catalog yet that is made of them.
            self.show(session).await;
        }
        true
    }

    /// Notes that a session is shown this, and not what it would be shown here. After some time it is.
    async fn set_aside(&self, session: &Arc<Session>, shown: Digest) {
        let due = self.due(session).await.digest();
        if due == shown {
            return;
        }
        session.superseded.note(due, self.clock.now());
        let session = Arc::downgrade(session);
        self.background.spawn_until_stop(async move {
            tokio::time::sleep(DIFFERENT + AFTER).await;
            if let Some(session) = session.upgrade() {
                session.shared.update(&session).await;
            }
        });
    }

    /// The very catalog that the client was given.
    pub(crate) async fn catalog_of(
        &self,
        record: &Record,
        view: &View,
        own: Option<&OwnOffers>,
    ) -> Result<Arc<Catalog>, Fault> {
        let current = own.map_or_else(|| view.catalog(), |own| view.catalog_with(own));
        if current.digest() == record.catalog {
            return Ok(current);
        }
        let kept = self.store.catalog(record.catalog, self.clock.now()).await;
        let kept = kept.map_err(unavailable)?.ok_or(Fault::SessionUnknown)?;
        match Catalog::from_bytes(&kept) {
            Ok(catalog) => Ok(Arc::new(catalog)),
            Err(unreadable) => {
                // A replica of a newer version has written it. What is offered now is shown instead.
                tracing::debug!(%unreadable, "a session's catalog is merged anew");
                let settled = view.settle(self.config.initialize_wait).await;
                Ok(own.map_or(settled.catalog, |own| view.catalog_with(own)))
            }
        }
    }

    /// Gives a session the catalog that it is to have now, and tells the client.
    pub(crate) async fn update(&self, session: &Arc<Session>) {
        let _turn = self.turns.of(session).await;
        self.tidy_own(session).await;
        self.show(session).await;
    }

    /// The same, for whoever has the turn and knows that the session's own offers are good.
    pub(crate) async fn show(&self, session: &Arc<Session>) {
        let old = session.catalog.load_full();
        // A view that has just been brought up does not know yet what every backend offers, or offers
        // to its kind of client: what it lacks is not taken from a session that has it.
        if old.digest() == self.due(session).await.digest() {
            return session.superseded.clear();
        }
        if session.is_to_be_compared(old.backends()) {
            return;
        }
        // Looked up again: what was missing may have come in meanwhile.
        let new = self.due(session).await;
        if old.digest() == new.digest()
            || session.view.lacks_any(&new, old.backends())
            || session.superseded.is(new.digest(), self.clock.now())
        {
            return;
        }
        let change = Change::Catalog { from: old.digest(), to: new.digest() };
        let kept = async {
            self.put_catalog(&new).await?;
            self.store.change(session.key, change).await
        };
        let kept = kept.await;
        session.catalog.store(Arc::clone(&new));
        if session.last.load().is_some() {
            session.review_rights().await;
        } else {
            session.announce_changes(new.changed(&old));
        }
        match kept {
            // Others may have taken up what the record said before, and show that.
            Ok(true) => self.tell(News::Changed(session.key)).await,
            Ok(false) => {}
            Err(error) => complain(&error, "a changed catalog could not be kept in the store"),
        }
    }

    /// The catalog that a session is to have.
    async fn due(&self, session: &Arc<Session>) -> Arc<Catalog> {
        let Some(own) = session.own_offers() else { return session.view.catalog() };
        let merged = session.view.catalog_with(&own);
        let Some(charge) = self.own_offers.charge(merged.digest(), || merged.to_bytes().len())
        else {
            self.drop_own(session, &own).await;
            return session.view.catalog();
        };
        session.with_any_own(|own| own.catalog = Some(charge));
        merged
    }

    /// Keeps what a session is shown in the store for as long as it needs it.
    pub(crate) async fn put_shown(&self, session: &Session) -> Result<(), Error> {
        let catalog = session.catalog.load_full();
        self.put_catalog(&catalog).await?;
        for (_, offer) in session.own_offers().iter().flat_map(OwnOffers::iter) {
            self.put_own(offer).await?;
        }
        Ok(())
    }

    pub(crate) async fn put_catalog(&self, catalog: &Catalog) -> Result<(), Error> {
        self.put(catalog.digest(), || catalog.to_bytes()).await
    }

    pub(crate) async fn put_own(&self, offer: &OwnOffer) -> Result<(), Error> {
        self.put(offer.digest(), || offer.to_bytes()).await
    }

    /// Keeps something in the store for as long as sessions need it.
    async fn put(&self, digest: Digest, content: impl FnOnce() -> Bytes) -> Result<(), Error> {
        let (now, ttl) = (self.clock.now(), self.config.ttl);
        let (needed, mark) = (now.after(ttl), self.confidence.mark());
        // The store may have lost it when it was away.
        let stands = |kept: &Kept| kept.until >= needed && kept.mark == mark;
        let is_kept = self.kept.lock().get(&digest).is_some_and(stands);
        if is_kept && self.store.still_holds(digest) {
            return Ok(());
        }
        // Longer than one session needs, so that not every session writes it.
        let until = needed.after(ttl);
        self.store.put_catalog(digest, content(), until).await?;
        let mut kept = self.kept.lock();
        kept.retain(|_, kept| kept.until > now);
        kept.insert(digest, Kept { until, mark });
        Ok(())
    }
}

impl KeptContents {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Turns {
    fn default() -> Self {
        Self((0..ROWS).map(|_row| tokio::sync::Mutex::default()).collect())
    }
}

impl Turns {
    /// Waits until nobody else works on what this session is shown.
    pub(crate) async fn of(&self, session: &Session) -> tokio::sync::MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(session.key);
        let row = usize::try_from(hash % ROWS as u64).expect("there are few rows");
        self.0[row].lock().await
    }
}
