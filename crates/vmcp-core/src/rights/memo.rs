//! What has been worked out and can be worked out again, so much of it.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

use vmcp_model::Digest;

/// Two digests, which name what was worked out of two things.
pub(super) type Both = (Digest, Digest);

/// Takes a digest for what it is: as good as random.
#[derive(Debug, Default)]
pub(super) struct OfDigests(u64);

impl Hasher for OfDigests {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = self.0.rotate_left(1) ^ u64::from_ne_bytes(*first);
        }
    }

    // The length of a digest says nothing.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

type Table<V> = HashMap<Both, V, BuildHasherDefault<OfDigests>>;

/// Keeps what was needed last. What has not been needed while `room` others were is forgotten: so many are kept
/// for certain, and twice as many at most.
#[derive(Debug)]
pub(super) struct Memo<V>(Mutex<Generations<V>>);

#[derive(Debug)]
struct Generations<V> {
    young: Table<V>,
    old: Table<V>,
}

impl<V: Clone> Memo<V> {
    pub(super) fn get(&self, key: &Both, room: usize) -> Option<V> {
        let mut generations = self.lock();
        if let Some(known) = generations.young.get(key) {
            return Some(known.clone());
        }
        let known = generations.old.remove(key)?;
        generations.put(*key, room, known.clone());
        Some(known)
    }

    pub(super) fn insert(&self, key: Both, room: usize, value: V) {
        self.lock().put(key, room, value);
    }

    /// What is kept under the key, or what is made now.
    pub(super) fn get_or_insert_with(&self, key: Both, room: usize, make: impl FnOnce() -> V) -> V {
        let mut generations = self.lock();
        if let Some(known) = generations.young.get(&key) {
            return known.clone();
        }
        let value = generations.old.remove(&key).unwrap_or_else(make);
        generations.put(key, room, value.clone());
        value
    }

    /// Forgets what is of no use any more.
    pub(super) fn retain(&self, is_needed: impl Fn(&V) -> bool) {
        let mut generations = self.lock();
        generations.young.retain(|_, value| is_needed(value));
        generations.old.retain(|_, value| is_needed(value));
    }

    fn lock(&self) -> MutexGuard<'_, Generations<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Generations<V> {
    fn put(&mut self, key: Both, room: usize, value: V) {
        if self.young.len() >= room {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

impl<V> Default for Memo<V> {
    fn default() -> Self {
        Self(Mutex::new(Generations { young: Table::default(), old: Table::default() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_stays_and_the_rest_is_bounded() {
        let memo = Memo::default();
        let key = |number: usize| (Digest::of(&number.to_ne_bytes()), Digest::of(b"all"));
        for number in 0..1000 {
            memo.insert(key(number), 10, number);
            assert_eq!(memo.get(&key(0), 10), Some(0), "{number}");
        }
        let kept = (0..1000).filter(|number| memo.get(&key(*number), 10).is_some()).count();
        assert!((10..=20).contains(&kept), "{kept}");
        assert_eq!(memo.get_or_insert_with(key(999), 10, || unreachable!()), 999);
        assert_eq!(memo.get_or_insert_with(key(1000), 10, || 7), 7);
    }
}
