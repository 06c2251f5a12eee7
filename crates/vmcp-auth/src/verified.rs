//! The tokens that have been verified, by their digests, so that each is verified once.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use vmcp_model::{Digest, Principal};

/// Tokens are spread over this many tables, so that calls do not wait for each other.
const SHARDS: usize = 16;

/// Tokens that one table holds.
const MAX_TOKENS: usize = 1024;

#[derive(Debug)]
pub(crate) struct VerifiedTokens {
    shards: [RwLock<HashMap<Digest, Entry>>; SHARDS],
}

#[derive(Debug)]
struct Entry {
    principal: Principal,
    /// In seconds since 1970.
    expires: u64,
    /// The keys by which it was verified. It says nothing under other ones.
    keys: Digest,
}

impl VerifiedTokens {
    pub(crate) fn new() -> Self {
        Self { shards: Default::default() }
    }

    /// Whose token this is, if it is known to be good.
    pub(crate) fn find(&self, token: &Digest, keys: Digest, now: u64) -> Option<Principal> {
        let shard = self.shard(token).read().unwrap_or_else(PoisonError::into_inner);
        let entry = shard.get(token)?;
        (entry.is_good(keys, now)).then(|| entry.principal.clone())
    }

    /// Keeps what a token proves. When there is no room, others are forgotten, which are then
    /// verified again.
    pub(crate) fn insert(
        &self,
        token: Digest,
        principal: Principal,
        expires: u64,
        keys: Digest,
        now: u64,
    ) {
        let mut shard = self.shard(&token).write().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= MAX_TOKENS {
            shard.retain(|_, entry| entry.is_good(keys, now));
        }
        if shard.len() >= MAX_TOKENS {
            let mut index = 0_usize;
            shard.retain(|_, _| {
                index += 1;
                index.is_multiple_of(2)
            });
        }
        shard.insert(token, Entry { principal, expires, keys });
    }

    fn shard(&self, token: &Digest) -> &RwLock<HashMap<Digest, Entry>> {
        &self.shards[usize::from(token.as_bytes()[0]) % SHARDS]
    }
}

impl Entry {
    fn is_good(&self, keys: Digest, now: u64) -> bool {
        now < self.expires && self.keys == keys
    }
}

#[cfg(test)]
mod tests {
    use vmcp_model::{Digest, Principal};

    use super::{MAX_TOKENS, SHARDS, VerifiedTokens};

    fn alice() -> Principal {
        Principal::Subject { issuer: "https://idp.example".into(), subject: "alice".into() }
    }

    #[test]
    fn a_token_is_known_until_it_expires_or_the_keys_change() {
        let tokens = VerifiedTokens::new();
        let (token, keys) = (Digest::of(b"token"), Digest::of(b"keys"));
        assert_eq!(tokens.find(&token, keys, 5), None);
        tokens.insert(token, alice(), 10, keys, 5);
        assert_eq!(tokens.find(&token, keys, 9), Some(alice()));
        assert_eq!(tokens.find(&token, keys, 10), None, "it has expired");
        assert_eq!(tokens.find(&token, Digest::of(b"others"), 9), None, "its key may have gone");
        assert_eq!(tokens.find(&Digest::of(b"other"), keys, 9), None);
    }

    #[test]
    fn there_is_a_bound() {
        let tokens = VerifiedTokens::new();
        let keys = Digest::of(b"keys");
        for index in 0..3 * SHARDS * MAX_TOKENS {
            tokens.insert(Digest::of(&index.to_be_bytes()), alice(), 10, keys, 5);
        }
        let held: usize = tokens.shards.iter().map(|shard| shard.read().unwrap().len()).sum();
        assert!((SHARDS..=SHARDS * MAX_TOKENS).contains(&held), "{held}");
    }
}
