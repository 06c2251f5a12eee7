//! What becomes of a catalog on its way to a caller.
//!
//! Each stage is pure: the same catalog and the same decisions give the same catalog, which its digest
//! names. One that changes nothing gives the catalog itself, so that those who see all share it.

use std::sync::Arc;

use vmcp_model::Kind;

use crate::{
    catalog::Catalog,
    contents::{Contents, Entry},
    route::{Admission, Reach, Route},
};

/// An entry, as whoever decides about it sees it.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    pub kind: Kind,
    /// Its exposed name, URI or URI template.
    pub key: &'a str,
    pub route: &'a Route,
    /// What clients see of it: a JSON object.
    pub json: &'a [u8],
}

impl Catalog {
    /// What is left of it for somebody who may use only some of it: what has no admission is out of reach.
    /// A URI that has none may still be one that an allowed template expands to. What the backends declare
    /// stays.
    #[must_use]
    pub fn restricted(
        self: &Arc<Self>,
        admits: impl Fn(Item<'_>) -> Option<Admission>,
    ) -> Arc<Self> {
        self.staged(|item, entry| {
            let admission = admits(item)?;
            let route = Route { admission, ..entry.route.clone() };
            Some(Entry { route, ..entry.clone() })
        })
    }

    /// The same with shorter lists: what is to be in none any more is still callable.
    #[must_use]
    pub fn listing(self: &Arc<Self>, lists: impl Fn(Item<'_>) -> bool) -> Arc<Self> {
        self.staged(|item, entry| {
            let reach = match entry.reach {
                Reach::Listed if !lists(item) => Reach::Callable,
                reach => reach,
            };
            Some(entry.clone().at(reach))
        })
    }

    /// Everything in it, how far away it is.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        Kind::ALL
            .into_iter()
            .flat_map(|kind| self.all(kind).iter().map(move |entry| entry.item(kind)))
    }

    /// An entry by its key, for who reaches so far.
    pub fn item(&self, kind: Kind, key: &str, within: Reach) -> Option<Item<'_>> {
        let entry = self.entry(kind, key).filter(|entry| entry.reach <= within)?;
        Some(entry.item(kind))
    }

    /// The catalog with every entry as it is now, and without those that are none any more.
    fn staged(self: &Arc<Self>, stage: impl Fn(Item<'_>, &Entry) -> Option<Entry>) -> Arc<Self> {
        let mut is_changed = false;
        let entries = Kind::ALL.map(|kind| {
            let staged = |entry: &Entry| {
                let now = stage(entry.item(kind), entry);
                is_changed |= now.as_ref().is_none_or(|now| {
                    now.reach != entry.reach || now.route.admission != entry.route.admission
                });
                now
            };
            self.all(kind).iter().filter_map(staged).collect()
        });
        if !is_changed {
            return Arc::clone(self);
        }
        let Contents { page_size, backends, capabilities, instructions, .. } = self.contents();
        Arc::new(Self::new(Contents {
            page_size: *page_size,
            backends: backends.clone(),
            capabilities: capabilities.clone(),
            instructions: instructions.clone(),
            entries,
        }))
    }
}
