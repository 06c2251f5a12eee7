//! On whose behalf a backend is spoken to.

use std::{
    hash::{Hash, Hasher},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use vmcp_model::{Digest, Identity};

/// On whose behalf a backend is spoken to that is shown credentials of the callers' own. Cheap to clone; all
/// clones know who has called last. Equal if what the backend is shown is the same callers'.
#[derive(Debug, Clone)]
pub struct Subject(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Made of no secret, and the same when a token is renewed.
    key: Digest,
    /// The caller as it has proved itself last. A lock costs less than what would spare it: a clone counts
    /// references all the same, and few calls of one caller come at once.
    caller: RwLock<Arc<Identity>>,
}

impl Subject {
    /// `key` says which callers are shown with the same.
    pub fn new(key: Digest, caller: &Identity) -> Self {
        Self(Arc::new(Inner { key, caller: RwLock::new(Arc::new(caller.clone())) }))
    }

    pub fn key(&self) -> &Digest {
        &self.0.key
    }

    /// The caller as it has proved itself last.
    pub fn caller(&self) -> Arc<Identity> {
        Arc::clone(&self.last())
    }

    /// Whether the caller has proved itself by this very token last, with the same headers to pass on.
    pub fn is(&self, caller: &Identity) -> bool {
        is_same(&self.last(), caller)
    }

    /// Takes the token of a request of the same caller, so that what is done beside its requests is done
    /// with the newest.
    pub fn note(&self, caller: &Identity) {
        let expires = |caller: &Identity| caller.proof().map_or(u64::MAX, |proof| proof.expires);
        if self.is(caller) {
            return;
        }
        let mut known = self.0.caller.write().unwrap_or_else(PoisonError::into_inner);
        if expires(caller) >= expires(&known) {
            *known = Arc::new(caller.clone());
        }
    }

    fn last(&self) -> RwLockReadGuard<'_, Arc<Identity>> {
        self.0.caller.read().unwrap_or_else(PoisonError::into_inner)
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
