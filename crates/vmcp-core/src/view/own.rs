//! Merges a view's offers with those that single sessions have of their own.

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard, PoisonError, Weak, atomic::Ordering},
};

use vmcp_catalog::{Catalog, merge};
use vmcp_model::{BackendId, Digest, Offer};

use super::{View, telling::tell_of_session};
use crate::own_offers::{OwnOffer, OwnOffers};

/// How many merged catalogs are remembered before those are forgotten that nobody is shown.
const REMEMBERED: usize = 64;

/// What decides how own offers are merged: the backends and the digests of what they offer.
type Key = Vec<(BackendId, Digest)>;

/// The catalogs that were merged with own offers, for sessions that have the same.
#[derive(Debug)]
pub(super) struct OwnMerges {
    /// Of which offers of the view they are made.
    generation: u64,
    catalogs: HashMap<Key, Weak<Catalog>>,
    /// At so many it is looked which are of use.
    limit: usize,
}

impl View {
    /// What a backend has offered last.
    pub fn offer(&self, backend: &BackendId) -> Option<Arc<Offer>> {
        self.offers().backends.get(backend)?.offer.clone()
    }

    /// Whether the view's catalog has the very lists of an own offer. What has come in and is not
    /// merged yet is not shown to anybody.
    pub fn shows(&self, backend: &BackendId, own: &OwnOffer) -> bool {
        let offers = self.offers();
        let offer = offers.backends.get(backend).and_then(|state| state.offer.as_ref());
        !offers.dirty && offer.is_some_and(|offer| own.has_lists_of(offer))
    }

    /// The catalog of a session that has offers of its own: they stand in the place of those that
    /// their backends make to the view. Those of backends that are not there count for nothing.
    pub fn catalog_with(&self, own: &OwnOffers) -> Arc<Catalog> {
        let (known, rules, generation) = {
            let offers = self.offers();
            let known = offers.backends.iter().filter_map(|(id, state)| {
                let of_view = state.offer.as_ref();
                let own =
                    own.get(id).map(|own| Arc::new(own.in_place_of(of_view.map(Arc::as_ref))));
                own.or_else(|| of_view.cloned()).map(|offer| (id.clone(), offer))
            });
            (known.collect(), Arc::clone(&offers.rules), offers.generation)
        };
        let key: Key = own.iter().map(|(id, offer)| (id.clone(), offer.digest())).collect();
        if let Some(merged) = self.own_merges().find(generation, &key) {
            return merged;
        }
        let (catalog, dropped) = merge(&known, &rules, self.era());
        tell_of_session(&self.dropped(), &dropped);
        let present = self.catalog();
        let catalog =
            if present.digest() == catalog.digest() { present } else { Arc::new(catalog) };
        self.own_merges().enter(generation, key, &catalog);
        catalog
    }

    /// Gives each catalog that is shown to somebody: the view's, and those that were merged with own offers.
    pub(crate) fn each_catalog(&self, mut give: impl FnMut(&Catalog)) {
        give(&self.catalog.load());
        let merged = self.own_merges();
        merged.catalogs.values().filter_map(Weak::upgrade).for_each(|catalog| give(&catalog));
    }

    /// How much the last merge left out.
    pub(crate) fn count_dropped(&self) -> usize {
        self.offers().dropped.len()
    }

    /// Counts how often what is offered has been merged: what was merged with own offers is good while
    /// it stays the same.
    pub(crate) fn merges(&self) -> u64 {
        self.merges.load(Ordering::Acquire)
    }

    /// Whether somebody is shown a catalog that was merged with own offers.
    pub(super) fn has_own_merges(&self) -> bool {
        self.own_merges().catalogs.values().any(|catalog| catalog.strong_count() > 0)
    }

    fn own_merges(&self) -> MutexGuard<'_, OwnMerges> {
        self.own_merges.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for OwnMerges {
    fn default() -> Self {
        Self { generation: 0, catalogs: HashMap::new(), limit: REMEMBERED }
    }
}

impl OwnMerges {
    /// The catalog that was merged of these, if somebody is shown it still.
    fn find(&self, generation: u64, key: &Key) -> Option<Arc<Catalog>> {
        let known = self.catalogs.get(key).filter(|_| self.generation == generation);
        known.and_then(Weak::upgrade)
    }

    /// Remembers a catalog, unless it is of offers that were before those of others.
    fn enter(&mut self, generation: u64, key: Key, catalog: &Arc<Catalog>) {
        if self.generation < generation {
            // What was merged before is of no use any more.
            self.generation = generation;
            self.catalogs.clear();
        }
        if self.generation > generation {
            return;
        }
        if self.catalogs.len() >= self.limit {
            self.catalogs.retain(|_, catalog| catalog.strong_count() > 0);
            self.limit = REMEMBERED.max(self.catalogs.len() * 2);
        }
        self.catalogs.insert(key, Arc::downgrade(catalog));
    }
}
