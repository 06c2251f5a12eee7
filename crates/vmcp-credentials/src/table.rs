//! The values of callers, each under the digest of the token that it is obtained with. There is a bound on them.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use vmcp_model::Digest;

use crate::{failures::Failures, slot::Slot, tally::Tally};

/// Parts with a lock of their own.
const SHARDS: usize = 64;

/// Callers in each: about 30,000 in all, as many as have lists of their own (`limits.callerViews`).
const PER_SHARD: usize = 512;

/// How long one is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(600);

pub(crate) struct Table {
    shards: [Mutex<Shard>; SHARDS],
    /// Those of the source, whoever the caller is.
    failures: Arc<Failures>,
    tally: Arc<Tally>,
}

struct Entry {
    slot: Arc<Slot>,
    used: Instant,
}

type Shard = HashMap<Digest, Entry, BuildHasherDefault<OfDigests>>;

/// Takes a part of a digest for its hash: it is one already, of a token that an issuer has signed, so nobody
/// can choose many that meet.
#[derive(Default)]
struct OfDigests(u64);

impl Hasher for OfDigests {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_ne_bytes(*last);
        }
    }

    /// The length, which is always the same.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Table {
    pub(crate) fn new(tally: Arc<Tally>) -> Self {
        let shards = std::array::from_fn(|_index| Mutex::default());
        // One caller's odd token should not be the trouble of the others.
        Self { shards, failures: Arc::new(Failures::new(2)), tally }
    }

    /// The place of the value that is obtained with a token of this digest.
    pub(crate) fn slot(&self, key: &Digest, now: Instant) -> Arc<Slot> {
        let mut shard = self.shard(key);
        if let Some(entry) = shard.get_mut(key) {
            entry.used = now;
            return Arc::clone(&entry.slot);
        }
        if shard.len() >= PER_SHARD {
            make_room(&mut shard, now);
        }
        let slot = Slot::new(Some(Arc::clone(&self.failures)), Arc::clone(&self.tally));
        shard.insert(*key, Entry { slot: Arc::clone(&slot), used: now });
        slot
    }

    /// How many values are good.
    pub(crate) fn at_hand(&self, now: Instant) -> usize {
        let good = |shard| lock(shard).values().filter(|entry| entry.slot.is_at_hand(now)).count();
        self.shards.iter().map(good).sum()
    }

    /// Lets go what is over, and what nobody has used for long.
    pub(crate) fn prune(&self, now: Instant) {
        for shard in &self.shards {
            lock(shard).retain(|_key, entry| !is_over(entry, now));
        }
    }

    fn shard(&self, key: &Digest) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(key.as_bytes()[0]) % SHARDS])
    }
}

fn is_over(entry: &Entry, now: Instant) -> bool {
    now.duration_since(entry.used) >= IDLE || entry.slot.is_spent(now)
}

/// Lets go what is over, or else what was used least lately.
fn make_room(shard: &mut Shard, now: Instant) {
    shard.retain(|_key, entry| !is_over(entry, now));
    if shard.len() >= PER_SHARD {
        let oldest = shard.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key);
        oldest.map(|key| shard.remove(&key));
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::{
        credential::{Showing, Spawn},
        shown::Shown,
        slot::Obtained,
    };

    fn key(number: usize) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    fn count(table: &Table) -> usize {
        table.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn knows(table: &Table, key: &Digest) -> bool {
        table.shard(key).contains_key(key)
    }

    /// Gives a slot a value.
    async fn fill(slot: &Arc<Slot>, seconds: u64) {
        let tasks = TaskTracker::new();
        let spawn: Spawn = Arc::new(move |work| drop(tasks.spawn(work)));
        let shown = Shown::bearer("t").expect("a token");
        let lifetime = Some(Duration::from_secs(seconds));
        let obtain = || Box::pin(async move { Ok(Obtained { shown, lifetime }) }) as _;
        let Showing::Wait(waiting) = slot.shown(Instant::now(), &spawn, obtain) else {
            panic!("there was one")
        };
        assert!(waiting.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_bounded_and_lets_go_what_was_used_least_lately() {
        let table = Table::new(Arc::default());
        let first = key(0);
        for number in 0..40_000 {
            fill(&table.slot(&key(number), Instant::now()), 3600).await;
            if number % 100 == 0 {
                tokio::time::advance(Duration::from_millis(100)).await;
                // One that is in use stays.
                table.slot(&first, Instant::now());
            }
        }
        assert_eq!(count(&table), SHARDS * PER_SHARD);
        assert!(knows(&table, &first));
        assert!(!knows(&table, &key(1)));
        assert!(knows(&table, &key(39_999)));
        tokio::time::advance(IDLE).await;
        table.prune(Instant::now());
        assert_eq!(count(&table), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_over_goes_first() {
        let table = Table::new(Arc::default());
        for number in 0..100 {
            fill(&table.slot(&key(number), Instant::now()), if number < 50 { 60 } else { 3600 })
                .await;
        }
        assert_eq!(table.at_hand(Instant::now()), 100);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(table.at_hand(Instant::now()), 50);
        table.prune(Instant::now());
        assert_eq!(count(&table), 50);
    }
}
