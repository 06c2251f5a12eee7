//! On whose behalf a backend is spoken to.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use arc_swap::ArcSwap;
use vmcp_model::{Digest, Identity};

/// On whose behalf a backend is spoken to that is shown credentials of the callers' own. Cheap to clone; all
/// clones know who has called last. Equal if what the backend is shown is the same callers'.
#[derive(Debug, Clone)]
pub struct Subject(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Made of no secret, and the same when a token is renewed.
    key: Digest,
    /// The caller as it has proved itself last.
    caller: ArcSwap<Identity>,
}

impl Subject {
    /// `key` says which callers are shown with the same.
    pub fn new(key: Digest, caller: &Identity) -> Self {
        Self(Arc::new(Inner { key, caller: ArcSwap::from_pointee(caller.clone()) }))
    }

    pub fn key(&self) -> &Digest {
        &self.0.key
    }

    /// The caller as it has proved itself last.
    pub fn caller(&self) -> Arc<Identity> {
        self.0.caller.load_full()
    }

    /// Whether the caller has proved itself by this very token last, with the same headers to pass on.
    pub fn is(&self, caller: &Identity) -> bool {
        is_same(&self.0.caller.load(), caller)
    }

    /// Takes the token of a request of the same caller, so that what is done beside its requests is done
    /// with the newest.
    pub fn note(&self, caller: &Identity) {
        let known = self.0.caller.load();
        let expires = |caller: &Identity| caller.proof().map_or(u64::MAX, |proof| proof.expires);
        if !is_same(&known, caller) && expires(caller) >= expires(&known) {
            self.0.caller.store(Arc::new(caller.clone()));
        }
    }

    /// The same for one request, which is made with the token that it came with.
    pub(crate) fn with(&self, caller: &Identity) -> Self {
        if self.is(caller) { self.clone() } else { Self::new(self.0.key, caller) }
    }
}

/// Whether two identities are proved by the same token, and have the same headers passed on.
fn is_same(one: &Identity, other: &Identity) -> bool {
    let passed = |caller: &Identity| caller.passed().map(|passed| passed.digest());
    passed(one) == passed(other) && is_same_token(one, other)
}

fn is_same_token(one: &Identity, other: &Identity) -> bool {
    match (one.proof(), other.proof()) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one.digest == other.digest,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

impl PartialEq for Subject {
    fn eq(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }
}

impl Eq for Subject {}

impl Hash for Subject {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key.hash(state);
    }
}
