//! The views of modern clients, for whoever has no time to wait: found by what a request says, without the
//! lock under which views are made.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, Weak},
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use vmcp_backend::ClientView;
use vmcp_model::{Digest, Era};

use crate::view::View;

/// Callers are spread over this many tables, so that their requests do not wait for each other.
const SHARDS: usize = 64;

#[derive(Debug)]
pub(super) struct ModernViews {
    /// Of clients for whom backends are shown the same as for everybody.
    common: ArcSwap<Declared>,
    /// By the callers whose credentials backends are shown. There may be very many, so each is entered by
    /// itself.
    by_subject: [RwLock<HashMap<Digest, Declared>>; SHARDS],
}

/// Views by what their clients declare.
type Declared = HashMap<Bytes, Weak<View>>;

impl ModernViews {
    pub(super) fn new() -> Self {
        Self { common: ArcSwap::default(), by_subject: std::array::from_fn(|_| RwLock::default()) }
    }

    pub(super) fn find(&self, capabilities: &[u8], subject: Option<&Digest>) -> Option<Arc<View>> {
        let Some(subject) = subject else { return self.common.load().get(capabilities)?.upgrade() };
        let views = self.shard(subject).read().unwrap_or_else(PoisonError::into_inner);
        views.get(subject)?.get(capabilities)?.upgrade()
    }

    /// Enters a view, if it is one of modern clients. To be called by one at a time, as is [`Self::leave`].
    pub(super) fn enter(&self, view: &Arc<View>) {
        self.change(view.client(), |declared, capabilities| {
            declared.insert(capabilities.clone(), Arc::downgrade(view));
        });
    }

    /// Takes a view out that has ended.
    pub(super) fn leave(&self, client: &ClientView) {
        self.change(client, |declared, capabilities| {
            declared.remove(capabilities);
        });
    }

    fn change(&self, client: &ClientView, change: impl FnOnce(&mut Declared, &Bytes)) {
        if client.version().era() != Era::Modern {
            return;
        }
        let capabilities = client.capabilities_for(Era::Modern);
        let Some(subject) = client.subject() else {
            let mut declared = Declared::clone(&self.common.load());
            change(&mut declared, capabilities);
            return self.common.store(Arc::new(declared));
        };
        let shard = self.shard(subject.key());
        let mut views = shard.write().unwrap_or_else(PoisonError::into_inner);
        let declared = views.entry(*subject.key()).or_default();
        change(declared, capabilities);
        if declared.is_empty() {
            views.remove(subject.key());
            if views.len() * 4 < views.capacity() {
                views.shrink_to_fit();
            }
        }
    }

    fn shard(&self, subject: &Digest) -> &RwLock<HashMap<Digest, Declared>> {
        &self.by_subject[usize::from(subject.as_bytes()[0]) % SHARDS]
    }
}
