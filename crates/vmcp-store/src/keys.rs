//! The secrets that the replicas of one deployment share.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};

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
        Self { current: Key { id: 1, secret }, older: Vec::new() }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}
