//! The tokens that have been verified, by their digests, so that each is verified once.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use vmcp_model::{Digest, Identity};

use crate::claims::Thumbprint;

/// Tokens are spread over this many tables, so that calls do not wait for each other.
const SHARDS: usize = 16;

/// Tokens that one table holds.
const MAX_TOKENS: usize = 1024;

/// Bytes of the tokens that one table holds, and of what they say.
const MAX_BYTES: usize = 4 << 20;

#[derive(Debug)]
pub(crate) struct VerifiedTokens {
    shards: [RwLock<Table>; SHARDS],
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Digest, Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    accepted: Accepted,
    grounds: Grounds,
}

/// Who shows a token that is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) identity: Identity,
    /// The key that whoever shows it must prove to have.
    pub(crate) bound_to: Option<Thumbprint>,
}

/// By what it is known that a token is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grounds {
    /// By the keys of this issuer. It says nothing under other ones.
    Keys { issuer: usize, keys: Digest },
    /// By what its issuer has said, which counts until then, in seconds since 1970.
    Answer { until: u64 },
}

impl VerifiedTokens {
    pub(crate) fn new() -> Self {
        Self { shards: Default::default() }
    }

    /// Who shows this token, if it is known to be good. `are_those` says whether these are the keys of that
    /// issuer now.
    pub(crate) fn find(
        &self,
        token: &Digest,
        now: u64,
        are_those: impl FnOnce(usize, &Digest) -> bool,
    ) -> Option<Accepted> {
        let table = self.shard(token).read().unwrap_or_else(PoisonError::into_inner);
        let entry = table.entries.get(token).filter(|entry| entry.is_good(now))?;
        let stands = match &entry.grounds {
            Grounds::Keys { issuer, keys } => are_those(*issuer, keys),
            Grounds::Answer { .. } => true,
        };
        stands.then(|| entry.accepted.clone())
    }

    /// Whether a token was good, and may be still.
    pub(crate) fn has(&self, token: &Digest) -> bool {
        let table = self.shard(token).read().unwrap_or_else(PoisonError::into_inner);
        table.entries.contains_key(token)
    }

    /// Keeps what a token proves. When there is no room, others are forgotten, which are then
    /// verified again.
    pub(crate) fn insert(&self, token: Digest, accepted: Accepted, grounds: Grounds, now: u64) {
        let mut table = self.shard(&token).write().unwrap_or_else(PoisonError::into_inner);
        if !table.has_room() {
            table.retain(|entry| entry.is_good(now));
        }
        while !table.has_room() {
            let mut index = 0_usize;
            table.retain(|_| {
                index += 1;
                index.is_multiple_of(2)
            });
        }
        let entry = Entry { accepted, grounds };
        table.bytes += entry.bytes();
        if let Some(before) = table.entries.insert(token, entry) {
            table.bytes -= before.bytes();
        }
    }

    fn shard(&self, token: &Digest) -> &RwLock<Table> {
        &self.shards[usize::from(token.as_bytes()[0]) % SHARDS]
    }
}

impl Table {
    fn has_room(&self) -> bool {
        self.entries.len() < MAX_TOKENS && self.bytes < MAX_BYTES
    }

    fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) {
        self.entries.retain(|_, entry| keep(entry));
        self.bytes = self.entries.values().map(Entry::bytes).sum();
    }
}

impl Entry {
    fn is_good(&self, now: u64) -> bool {
        let counts = match self.grounds {
            Grounds::Keys { .. } => true,
            Grounds::Answer { until } => now < until,
        };
        counts && self.accepted.identity.proof().is_some_and(|proof| now < proof.expires)
    }

    fn bytes(&self) -> usize {
        let proof = self.accepted.identity.proof();
        proof.map_or(0, |proof| proof.token.expose().len() + proof.claims.json().len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vmcp_model::{Claims, Digest, Identity, Principal, Proof};

    use super::{Accepted, Grounds, MAX_BYTES, MAX_TOKENS, SHARDS, VerifiedTokens};

    /// Who has shown a token of this length, which is good before the tenth second.
    fn alice(length: usize) -> Accepted {
        let alice =
            Principal::Subject { issuer: "https://idp.example".into(), subject: "alice".into() };
        let proof = Proof::new(Claims::new("{}".into()), &"x".repeat(length), 10);
        Accepted { identity: Identity::proved(alice, Arc::new(proof)), bound_to: None }
    }

    fn keys() -> Grounds {
        Grounds::Keys { issuer: 1, keys: Digest::of(b"keys") }
    }

    #[test]
    fn a_token_is_known_until_it_expires_or_the_keys_change() {
        let tokens = VerifiedTokens::new();
        let token = Digest::of(b"token");
        let at = |now| {
            tokens.find(&token, now, |issuer, keys| (issuer, *keys) == (1, Digest::of(b"keys")))
        };
        assert_eq!(at(5), None);
        tokens.insert(token, alice(5), keys(), 5);
        assert_eq!(at(9), Some(alice(5)));
        assert_eq!(at(10), None, "it has expired");
        assert_eq!(tokens.find(&token, 9, |_, _| false), None, "its key may have gone");
        assert_eq!(tokens.find(&Digest::of(b"other"), 9, |_, _| true), None);
    }

    #[test]
    fn what_an_issuer_has_said_counts_for_a_while() {
        let tokens = VerifiedTokens::new();
        let token = Digest::of(b"token");
        for until in [8, 20] {
            tokens.insert(token, alice(5), Grounds::Answer { until }, 5);
            for now in 5..12 {
                let found = tokens.find(&token, now, |_, _| unreachable!("no key has proved it"));
                assert_eq!(found.is_some(), now < until.min(10), "{now} {until}");
            }
        }
    }

    #[test]
    fn there_is_a_bound_in_number_and_in_bytes() {
        for (count, length) in [(3 * SHARDS * MAX_TOKENS, 1), (8 * SHARDS * 256, 16 << 10)] {
            let tokens = VerifiedTokens::new();
            for index in 0..count {
                tokens.insert(Digest::of(&index.to_be_bytes()), alice(length), keys(), 5);
            }
            for shard in &tokens.shards {
                let table = shard.read().unwrap();
                assert!((1..=MAX_TOKENS).contains(&table.entries.len()), "{length}");
                assert!(table.bytes <= MAX_BYTES + length + 2, "{length}: {}", table.bytes);
                let counted: usize = table.entries.values().map(super::Entry::bytes).sum();
                assert_eq!(counted, table.bytes);
            }
        }
    }
}
