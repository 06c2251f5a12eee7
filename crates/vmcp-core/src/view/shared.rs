//! What views of single callers have in common: most callers are offered the same.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use vmcp_catalog::Catalog;
use vmcp_model::{Digest, Kind, Offer};

/// One copy of each offer and catalog that some view has.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    offers: Mutex<HashMap<Digest, Weak<Offer>>>,
    catalogs: Mutex<HashMap<Digest, Weak<Catalog>>>,
}

impl Copies {
    pub(super) fn offer(&self, offer: Offer) -> Arc<Offer> {
        one_of(&self.offers, digest(&offer), offer)
    }

    pub(super) fn catalog(&self, catalog: Catalog) -> Arc<Catalog> {
        one_of(&self.catalogs, catalog.digest(), catalog)
    }

    /// Forgets what nobody has any more.
    pub(crate) fn prune(&self) {
        lock(&self.offers).retain(|_, copy| copy.strong_count() > 0);
        lock(&self.catalogs).retain(|_, copy| copy.strong_count() > 0);
    }
}

fn one_of<T>(copies: &Mutex<HashMap<Digest, Weak<T>>>, digest: Digest, made: T) -> Arc<T> {
    let mut copies = lock(copies);
    if let Some(copy) = copies.get(&digest).and_then(Weak::upgrade) {
        return copy;
    }
    let made = Arc::new(made);
    copies.insert(digest, Arc::downgrade(&made));
    made
}

fn lock<T>(
    copies: &Mutex<HashMap<Digest, Weak<T>>>,
) -> std::sync::MutexGuard<'_, HashMap<Digest, Weak<T>>> {
    copies.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands before the items of each kind, in the order of [`Kind::ALL`].
const KINDS: [&[u8]; Kind::ALL.len()] = [b"1", b"2", b"3", b"4"];

/// Equal offers have equal digests.
fn digest(offer: &Offer) -> Digest {
    let instructions = offer.instructions.as_deref().map(str::as_bytes);
    let items = Kind::ALL.into_iter().flat_map(|kind| {
        let items = offer.items(kind).iter();
        std::iter::once(KINDS[kind as usize]).chain(items.map(|item| &**item.json()))
    });
    let left_out = offer.left_out.iter().map(|left_out| format!("{left_out:?}"));
    let left_out: Vec<_> = left_out.collect();
    let parts = [&offer.capabilities[..]].into_iter().chain(instructions);
    Digest::of_parts(parts.chain(items).chain(left_out.iter().map(String::as_bytes)))
}
