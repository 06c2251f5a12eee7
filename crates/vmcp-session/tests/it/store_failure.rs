//! What a store does that cannot be reached: an outage is not a loss.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use vmcp_model::{BackendId, Digest, Identity, Principal};
use vmcp_store::{
    Announced, Answer, BackendRecord, Change, Confidence, Error, KeyRing, Memory, News, Reach,
    Record, SessionKey, Store, Subscription, Swap, Timestamp, Tombstone,
};
use vmcp_testkit::{peers, raw::Form};
use vmcp_wire::Fault;

use crate::support::{call, client, initialize, replica};

/// The network to a store: it can be cut.
struct Line {
    store: Memory,
    cut: AtomicBool,
}

impl Line {
    fn over<'a, T: Send + 'a>(
        &'a self,
        ask: impl FnOnce(&'a Memory) -> Answer<'a, T>,
    ) -> Answer<'a, T> {
        if self.cut.load(Ordering::SeqCst) {
            return Box::pin(std::future::ready(Err(Error::Unavailable("cut".to_owned()))));
        }
        ask(&self.store)
    }
}

impl Store for Line {
    fn outlives_process(&self) -> bool {
        true
    }
    fn create(&self, key: SessionKey, deadline: Timestamp) -> Answer<'_, bool> {
        self.over(|store| store.create(key, deadline))
    }
    fn fill(&self, key: SessionKey, record: Record) -> Answer<'_, bool> {
        self.over(|store| store.fill(key, record))
    }
    fn load(&self, key: SessionKey, now: Timestamp) -> Answer<'_, Option<Record>> {
        self.over(|store| store.load(key, now))
    }
    fn change(&self, key: SessionKey, change: Change) -> Answer<'_, bool> {
        self.over(|store| store.change(key, change))
    }
    fn swap_backend(
        &self,
        key: SessionKey,
        backend: BackendId,
        expected: Option<BackendRecord>,
        new: BackendRecord,
    ) -> Answer<'_, Swap> {
        self.over(|store| store.swap_backend(key, backend, expected, new))
    }
    fn refresh(&self, keys: Vec<SessionKey>, deadline: Timestamp) -> Answer<'_, Vec<bool>> {
        self.over(|store| store.refresh(keys, deadline))
    }
    fn end(&self, key: SessionKey, now: Timestamp) -> Answer<'_, bool> {
        self.over(|store| store.end(key, now))
    }
    fn due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<SessionKey>> {
        self.over(|store| store.due(now, limit))
    }
    fn claim(
        &self,
        key: SessionKey,
        now: Timestamp,
        until: Timestamp,
    ) -> Answer<'_, Option<Tombstone>> {
        self.over(|store| store.claim(key, now, until))
    }
    fn remove(&self, key: SessionKey) -> Answer<'_, ()> {
        self.over(|store| store.remove(key))
    }
    fn put_catalog(&self, digest: Digest, catalog: Bytes, until: Timestamp) -> Answer<'_, ()> {
        self.over(|store| store.put_catalog(digest, catalog, until))
    }
    fn catalog(&self, digest: Digest, now: Timestamp) -> Answer<'_, Option<Bytes>> {
        self.over(|store| store.catalog(digest, now))
    }
    fn backend(
        &self,
        key: SessionKey,
        backend: BackendId,
    ) -> Answer<'_, Option<Option<BackendRecord>>> {
        self.over(|store| store.backend(key, backend))
    }
    fn ask(&self, key: SessionKey, question: Digest) -> Answer<'_, bool> {
        self.over(|store| store.ask(key, question))
    }
    fn answer(&self, key: SessionKey, question: Digest) -> Answer<'_, bool> {
        self.over(|store| store.answer(key, question))
    }
    fn keys(&self) -> Result<Arc<KeyRing>, Error> {
        self.store.keys()
    }
    fn announce_replica(
        &self,
        replica: String,
        address: Option<Box<str>>,
        until: Timestamp,
    ) -> Answer<'_, ()> {
        self.over(|store| store.announce_replica(replica, address, until))
    }
    fn replica(&self, replica: String, now: Timestamp) -> Answer<'_, Option<Announced>> {
        self.over(|store| store.replica(replica, now))
    }
    fn records(&self) -> Answer<'_, usize> {
        self.over(Store::records)
    }
    fn publish(&self, news: News) -> Answer<'_, ()> {
        self.over(|store| store.publish(news))
    }
    fn subscribe(&self) -> Subscription {
        self.store.subscribe()
    }
    fn confidence(&self) -> Arc<Confidence> {
        self.store.confidence()
    }
    fn reach(&self) -> Reach {
        self.store.reach()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_store_is_said_and_survived() {
    let backend = peers::stateful().form(Form::Json).start().await.unwrap();
    let line = Arc::new(Line { store: Memory::new(), cut: AtomicBool::new(false) });
    let store: Arc<dyn Store> = Arc::clone(&line) as Arc<dyn Store>;
    let here = replica(&store, &backend.url()).await;
    let elsewhere = replica(&store, &backend.url()).await;
    let nobody = Identity::unproved(Principal::Anonymous);
    let id = initialize(&here, &nobody).await.unwrap();
    let session = here.find(&id, &nobody, client()).await.unwrap();
    assert!(call(&session, 1, "backend_count").await.contains("\"1\""));

    line.cut.store(true, Ordering::SeqCst);
    // Clients are not told why.
    let unavailable = |fault: Option<Fault>| matches!(fault, Some(Fault::Unavailable(why)) if why == "the session store cannot be reached");
    assert!(here.find(&id, &nobody, client()).await.is_ok(), "a live session is served");
    assert!(call(&session, 2, "backend_count").await.contains("\"2\""));
    assert!(unavailable(initialize(&here, &nobody).await.err()), "no new one is made");
    assert!(
        unavailable(elsewhere.find(&id, &nobody, client()).await.err()),
        "not a loss elsewhere"
    );
    assert!(unavailable(here.end(&id, &nobody).await.err()), "the outcome is unknown");

    line.cut.store(false, Ordering::SeqCst);
    let found = elsewhere.find(&id, &nobody, client()).await;
    assert!(found.is_ok(), "found again elsewhere: {:?}", found.err());
    assert!(here.end(&id, &nobody).await.is_ok(), "repeating is safe");
}
