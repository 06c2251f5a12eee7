//! The secrets that the replicas of one deployment share.

use std::fmt;

use ::ring::rand::{SecureRandom, SystemRandom};
use vmcp_model::Digest;

/// One secret of 32 bytes with the name it is referred to by.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    pub id: u32,
    pub secret: [u8; 32],
}

/// Secrets, the one that new work uses first. Older ones still verify what they made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRing {
    pub current: Key,
    pub older: Vec<Key>,
}

impl KeyRing {
    /// Makes a ring of one random secret.
    pub fn generate() -> Self {
        let mut secret = [0; 32];
        SystemRandom::new().fill(&mut secret).expect("the system has randomness");
        Self { current: Key::of(secret), older: Vec::new() }
    }
}

impl KeyRing {
    /// A ring of given secrets, the newest first. `None` if there is none.
    ///
    /// A secret's name is made from the secret, so that every replica gives it the same one.
    pub fn of(secrets: impl IntoIterator<Item = [u8; 32]>) -> Option<Self> {
        let mut keys = secrets.into_iter().map(Key::of);
        Some(Self { current: keys.next()?, older: keys.collect() })
    }

    /// Every key, the current one first.
    pub fn all(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.older)
    }

    /// The key of this name.
    pub fn get(&self, id: u32) -> Option<&Key> {
        self.all().find(|key| key.id == id)
    }

    /// This ring, which also knows the keys of another.
    #[must_use]
    pub fn knowing(mut self, other: &Self) -> Self {
        for key in other.all() {
            if self.get(key.id).is_none() {
                self.older.push(key.clone());
            }
        }
        self
    }
}

impl Key {
    fn of(secret: [u8; 32]) -> Self {
        let digest = Digest::of_parts([b"vmcp key".as_slice(), &secret]);
        let mut id = [0; 4];
        id.copy_from_slice(&digest.as_bytes()[..4]);
        Self { id: u32::from_be_bytes(id), secret }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}
