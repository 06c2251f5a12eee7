//! Records in this process's memory: for one replica, lost with it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use vmcp_model::{BackendId, Digest};

use crate::{
    Answer, Error, KeyRing, Reach, Store, Swap,
    bus::{Confidence, Local, News, Subscription},
    record::{Announced, BackendRecord, Change, Record, SessionKey, Timestamp, Tombstone},
};

/// A store in memory.
#[derive(Debug)]
pub struct Memory {
    state: Mutex<State>,
    keys: Arc<KeyRing>,
    bus: Local,
}

#[derive(Debug, Default)]
struct State {
    records: HashMap<SessionKey, Entry>,
    /// Every record by the time at which it needs a look.
    deadlines: BTreeSet<(Timestamp, SessionKey)>,
    catalogs: HashMap<Digest, Catalog>,
    /// When it was last looked which catalogs records name.
    looked: Timestamp,
    replicas: HashMap<String, (Announced, Timestamp)>,
    questions: BTreeSet<(SessionKey, Digest)>,
}

#[derive(Debug)]
struct Catalog {
    bytes: Bytes,
    until: Timestamp,
    /// Since when no record is known to name it.
    unnamed: Option<Timestamp>,
}

/// How often it is looked which catalogs records name.
const LOOKS: Duration = Duration::from_secs(5);

/// How long one is kept that no record names: longer than a record takes to come after its catalog.
const UNNAMED: Duration = Duration::from_secs(15);

#[derive(Debug)]
enum Entry {
    Placeholder {
        deadline: Timestamp,
    },
    Live(Box<Record>),
    /// `due` is when it may be claimed.
    Ended {
        tombstone: Tombstone,
        due: Timestamp,
    },
}

impl Entry {
    /// When the entry needs a look.
    fn due(&self) -> Timestamp {
        match self {
            Self::Placeholder { deadline } => *deadline,
            Self::Live(record) => record.deadline,
            Self::Ended { due, .. } => *due,
        }
    }

    /// The catalogs and own offers that it names.
    fn names(&self) -> impl Iterator<Item = Digest> {
        let record = match self {
            Self::Live(record) => Some(record),
            Self::Placeholder { .. } | Self::Ended { .. } => None,
        };
        record.into_iter().flat_map(|record| {
            let own = record.own_offers.iter().map(|(_, digest)| *digest);
            own.chain([record.catalog])
        })
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            keys: Arc::new(KeyRing::generate()),
            bus: Local::new(Confidence::complete()),
        }
    }
}

impl Memory {
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Puts an entry in the place of whatever stands there.
    fn put(&mut self, key: SessionKey, entry: Entry) {
        let due = entry.due();
        if matches!(entry, Entry::Ended { .. }) {
            let all = (key, Digest::from_bytes([0; 32]))..=(key, Digest::from_bytes([0xff; 32]));
            let questions: Vec<_> = self.questions.range(all).copied().collect();
            for question in questions {
                self.questions.remove(&question);
            }
        }
        if let Some(old) = self.records.insert(key, entry) {
            self.deadlines.remove(&(old.due(), key));
        }
        self.deadlines.insert((due, key));
    }

    /// Lets go what nobody is to need any more: what is over, and what no record names. Where lists change often,
    /// nearly all are of the second kind.
    fn forget_catalogs(&mut self, now: Timestamp) {
        self.catalogs.retain(|_, catalog| catalog.until > now);
        if now >= self.looked.after(LOOKS) {
            self.looked = now;
            let named: HashSet<Digest> = self.records.values().flat_map(Entry::names).collect();
            self.catalogs.retain(|digest, catalog| {
                if named.contains(digest) {
                    catalog.unnamed = None;
                    return true;
                }
                now < catalog.unnamed.get_or_insert(now).after(UNNAMED)
            });
        }
        if self.catalogs.len() * 4 < self.catalogs.capacity() {
            self.catalogs.shrink_to_fit();
        }
    }

    fn live(&mut self, key: SessionKey) -> Option<&mut Record> {
        match self.records.get_mut(&key) {
            Some(Entry::Live(record)) => Some(record),
            Some(Entry::Placeholder { .. } | Entry::Ended { .. }) | None => None,
        }
    }
}

/// An answer that is there already.
fn ready<'a, T: Send + 'a>(value: T) -> Answer<'a, T> {
    Box::pin(std::future::ready(Ok::<T, Error>(value)))
}

impl Store for Memory {
    fn outlives_process(&self) -> bool {
        false
    }

    fn create(&self, key: SessionKey, deadline: Timestamp) -> Answer<'_, bool> {
        let mut state = self.state();
        let free = !state.records.contains_key(&key);
        if free {
            state.put(key, Entry::Placeholder { deadline });
        }
        ready(free)
    }

    fn fill(&self, key: SessionKey, record: Record) -> Answer<'_, bool> {
        let mut state = self.state();
        let stands = matches!(state.records.get(&key), Some(Entry::Placeholder { .. }));
        if stands {
            state.put(key, Entry::Live(Box::new(record)));
        }
        ready(stands)
    }

    fn load(&self, key: SessionKey, now: Timestamp) -> Answer<'_, Option<Record>> {
        ready(self.state().live(key).filter(|record| record.deadline > now).cloned())
    }

    fn change(&self, key: SessionKey, change: Change) -> Answer<'_, bool> {
        ready(self.state().live(key).is_some_and(|record| record.apply(change)))
    }

    fn swap_backend(
        &self,
        key: SessionKey,
        backend: BackendId,
        expected: Option<BackendRecord>,
        new: BackendRecord,
    ) -> Answer<'_, Swap> {
        let mut state = self.state();
        let Some(record) = state.live(key) else { return ready(Swap::Gone) };
        let present = record.backend(&backend);
        if let Some(present) = present
            && Some(present) != expected.as_ref()
        {
            return ready(Swap::Lost(present.clone()));
        }
        record.set_backend(backend, new);
        ready(Swap::Done)
    }

    fn refresh(&self, keys: Vec<SessionKey>, deadline: Timestamp) -> Answer<'_, Vec<bool>> {
        let mut guard = self.state();
        let state = &mut *guard;
        let stands = keys.into_iter().map(|key| {
            let Some(Entry::Live(record)) = state.records.get_mut(&key) else { return false };
            state.deadlines.remove(&(record.deadline, key));
            record.deadline = record.deadline.max(deadline);
            state.deadlines.insert((record.deadline, key));
            true
        });
        ready(stands.collect())
    }

    fn end(&self, key: SessionKey, now: Timestamp) -> Answer<'_, bool> {
        let mut state = self.state();
        let tombstone = match state.records.get_mut(&key) {
            Some(Entry::Live(record)) => {
                Tombstone { backends: std::mem::take(&mut record.backends) }
            }
            Some(Entry::Placeholder { .. }) => Tombstone::default(),
            Some(Entry::Ended { .. }) | None => return ready(false),
        };
        state.put(key, Entry::Ended { tombstone, due: now });
        ready(true)
    }

    fn due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<SessionKey>> {
        let mut state = self.state();
        // Where every caller has a catalog of its own, nobody ever asks for most of them again.
        state.forget_catalogs(now);
        let due = state.deadlines.iter().take_while(|(deadline, _)| *deadline <= now);
        ready(due.take(limit).map(|(_, key)| *key).collect())
    }

    fn claim(
        &self,
        key: SessionKey,
        now: Timestamp,
        until: Timestamp,
    ) -> Answer<'_, Option<Tombstone>> {
        let mut state = self.state();
        if state.records.get(&key).is_none_or(|entry| entry.due() > now) {
            return ready(None);
        }
        let tombstone = match state.records.get(&key) {
            Some(Entry::Live(record)) => Tombstone { backends: record.backends.clone() },
            Some(Entry::Ended { tombstone, .. }) => tombstone.clone(),
            Some(Entry::Placeholder { .. }) | None => Tombstone::default(),
        };
        state.put(key, Entry::Ended { tombstone: tombstone.clone(), due: until });
        ready(Some(tombstone))
    }

    fn remove(&self, key: SessionKey) -> Answer<'_, ()> {
        let mut state = self.state();
        if let Some(entry @ Entry::Ended { .. }) = state.records.get(&key) {
            let due = entry.due();
            state.deadlines.remove(&(due, key));
            state.records.remove(&key);
        }
        ready(())
    }

    fn put_catalog(&self, digest: Digest, catalog: Bytes, until: Timestamp) -> Answer<'_, ()> {
        let mut state = self.state();
        // Copied: what it was written into may be much larger.
        let exact = || Catalog { bytes: Bytes::copy_from_slice(&catalog), until, unnamed: None };
        let kept = state.catalogs.entry(digest).or_insert_with(exact);
        kept.until = kept.until.max(until);
        kept.unnamed = None;
        ready(())
    }

    fn catalog(&self, digest: Digest, now: Timestamp) -> Answer<'_, Option<Bytes>> {
        let mut state = self.state();
        state.forget_catalogs(now);
        ready(state.catalogs.get(&digest).map(|catalog| catalog.bytes.clone()))
    }

    fn still_holds(&self, digest: Digest) -> bool {
        let mut state = self.state();
        let held = state.catalogs.get_mut(&digest);
        held.map(|catalog| catalog.unnamed = None).is_some()
    }

    fn backend(
        &self,
        key: SessionKey,
        backend: BackendId,
    ) -> Answer<'_, Option<Option<BackendRecord>>> {
        ready(self.state().live(key).map(|record| record.backend(&backend).cloned()))
    }

    fn ask(&self, key: SessionKey, question: Digest) -> Answer<'_, bool> {
        let mut state = self.state();
        let stands = state.live(key).is_some();
        if stands {
            state.questions.insert((key, question));
        }
        ready(stands)
    }

    fn answer(&self, key: SessionKey, question: Digest) -> Answer<'_, bool> {
        ready(self.state().questions.remove(&(key, question)))
    }

    fn keys(&self) -> Result<Arc<KeyRing>, Error> {
        Ok(Arc::clone(&self.keys))
    }

    fn announce_replica(
        &self,
        replica: String,
        address: Option<Box<str>>,
        until: Timestamp,
    ) -> Answer<'_, ()> {
        self.state().replicas.insert(replica, (Announced { address }, until));
        ready(())
    }

    fn replica(&self, replica: String, now: Timestamp) -> Answer<'_, Option<Announced>> {
        let mut state = self.state();
        state.replicas.retain(|_, (_, until)| *until > now);
        ready(state.replicas.get(&replica).map(|(announced, _)| announced.clone()))
    }

    fn records(&self) -> Answer<'_, usize> {
        ready(self.state().records.len())
    }

    fn publish(&self, news: News) -> Answer<'_, ()> {
        self.bus.tell(news);
        ready(())
    }

    fn subscribe(&self) -> Subscription {
        self.bus.subscribe()
    }

    fn confidence(&self) -> Arc<Confidence> {
        Arc::clone(self.bus.confidence())
    }

    fn reach(&self) -> Reach {
        Reach::Good
    }

    fn held_catalogs(&self) -> Option<usize> {
        Some(self.state().catalogs.len())
    }
}

#[cfg(test)]
mod tests;
