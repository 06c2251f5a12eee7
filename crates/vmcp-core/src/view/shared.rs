//! What views of single callers have in common: most callers are offered the same.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::Bytes;
use vmcp_catalog::Catalog;
use vmcp_model::{Digest, Kind, Offer};

/// One copy of each offer and catalog that some view has.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    offers: Mutex<HashMap<Digest, Weak<Offer>>>,
    catalogs: Mutex<HashMap<Digest, Weak<Catalog>>>,
    /// What stands in offers that differ.
    items: Mutex<HashSet<Bytes>>,
}

impl Copies {
    pub(super) fn offer(&self, mut offer: Offer) -> Arc<Offer> {
        let digest = digest(&offer);
        if let Some(copy) = lock(&self.offers).get(&digest).and_then(Weak::upgrade) {
            return copy;
        }
        for kind in Kind::ALL {
            offer.items_mut(kind).iter_mut().for_each(|item| item.share(|json| self.item(json)));
        }
        one_of(&self.offers, digest, offer)
    }

    /// In memory of its own, so that it keeps none of the list in which it stood.
    fn item(&self, json: &Bytes) -> Bytes {
        let mut items = lock(&self.items);
        if let Some(copy) = items.get(json) {
            return copy.clone();
        }
        let copy = Bytes::copy_from_slice(json);
        items.insert(copy.clone());
        copy
    }

    pub(super) fn catalog(&self, catalog: Catalog) -> Arc<Catalog> {
        one_of(&self.catalogs, catalog.digest(), catalog)
    }

    /// Forgets what nobody has any more.
    pub(crate) fn prune(&self) {
        lock(&self.offers).retain(|_, copy| copy.strong_count() > 0);
        lock(&self.catalogs).retain(|_, copy| copy.strong_count() > 0);
        lock(&self.items).retain(|copy| !copy.is_unique());
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

fn lock<T>(copies: &Mutex<T>) -> MutexGuard<'_, T> {
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

#[cfg(test)]
mod tests {
    use vmcp_model::{Era, Item};

    use super::*;

    fn offer(tools: &[&str]) -> Offer {
        let tool = |name: &&str| {
            let json = format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
            Item::parse(Kind::Tool, Era::Legacy, json.into()).unwrap()
        };
        Offer { tools: tools.iter().map(tool).collect(), ..Offer::default() }
    }

    fn place(offer: &Offer, tool: usize) -> *const u8 {
        offer.tools[tool].json().as_ptr()
    }

    #[test]
    fn what_callers_are_offered_alike_is_in_memory_once() {
        let copies = Copies::default();
        let (alice, again) = (copies.offer(offer(&["a", "x"])), copies.offer(offer(&["a", "x"])));
        assert!(Arc::ptr_eq(&alice, &again));
        let bob = copies.offer(offer(&["b", "x"]));
        assert_eq!(*bob, offer(&["b", "x"]));
        assert_eq!(place(&alice, 1), place(&bob, 1));
        assert_ne!(place(&alice, 0), place(&bob, 0));
        drop((alice, again));
        copies.prune();
        assert_eq!((lock(&copies.offers).len(), lock(&copies.items).len()), (1, 2));
        drop(bob);
        copies.prune();
        assert_eq!((lock(&copies.offers).len(), lock(&copies.items).len()), (0, 0));
    }
}
