//! What a catalog holds. The form in which it is stored is that of `stored.rs`.

use std::{cmp::Ordering, sync::Arc};

use bytes::Bytes;
use vmcp_model::{BackendId, Kind};

use crate::{
    route::{Reach, Route, Target},
    stages::Item,
};

/// All that clients and routers can see.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    /// At least 1.
    pub(crate) page_size: usize,
    /// Sorted.
    pub(crate) backends: Vec<BackendId>,
    pub(crate) capabilities: Bytes,
    pub(crate) instructions: Option<Box<str>>,
    /// In the order of [`Kind::ALL`](vmcp_model::Kind::ALL), each without a key that stands twice.
    pub(crate) entries: [Vec<Entry>; 4],
}

/// One capability as clients see it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The exposed name, URI or URI template.
    pub(crate) key: Arc<str>,
    pub(crate) reach: Reach,
    pub(crate) route: Route,
    /// The advertised object, without white space around it.
    pub(crate) json: Bytes,
}

impl Contents {
    /// Puts what is listed first, in the order of its list, and sorts the rest, which has none.
    pub(crate) fn arrange(&mut self) {
        let order = |one: &Entry, other: &Entry| {
            one.reach.cmp(&other.reach).then_with(|| match one.reach {
                Reach::Listed => Ordering::Equal,
                Reach::Callable | Reach::Hidden => one.key.cmp(&other.key),
            })
        };
        for entries in &mut self.entries {
            entries.sort_by(order);
        }
    }
}

impl Entry {
    /// The entry, as whoever decides about it sees it.
    pub(crate) fn item(&self, kind: Kind) -> Item<'_> {
        Item { kind, key: &self.key, route: &self.route, json: &self.json }
    }

    /// The same entry, this far away.
    pub(crate) fn at(self, reach: Reach) -> Self {
        Self { reach, ..self }
    }

    /// An entry of a list.
    pub(crate) fn listed(key: impl Into<Arc<str>>, target: Target, json: &Bytes) -> Self {
        // The white space around it is no part of it, and would not survive being stored.
        let json = json.slice_ref(json.trim_ascii());
        Self { key: key.into(), reach: Reach::Listed, route: Route::to(target), json }
    }
}
