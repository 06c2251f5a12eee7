//! What sessions are shown: the catalogs of their views, or of their views and their own offers. The
//! store keeps what they are made of for as long as they live.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use vmcp_catalog::Catalog;
use vmcp_core::OwnOffer;
use vmcp_model::Digest;
use vmcp_store::{Change, Error, News, Timestamp};

use crate::{session::Session, sessions::Shared, upkeep::complain};

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

impl Shared {
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
        if old.digest() == self.due(session).await.digest()
            || session.is_to_be_compared(old.backends())
        {
            return;
        }
        // Looked up again: what was missing may have come in meanwhile.
        let new = self.due(session).await;
        if old.digest() == new.digest() || session.view.lacks_any(&new, old.backends()) {
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
        for (_, offer) in session.own_offers().iter().flat_map(vmcp_core::OwnOffers::iter) {
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
