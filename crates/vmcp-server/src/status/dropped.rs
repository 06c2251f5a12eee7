//! What the merges of all views leave out, as `GET /status` tells it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use vmcp_catalog::Dropped;
use vmcp_model::BackendId;

/// How much of what is left out of each backend is named; how much there is, is always said. The bound
/// is each backend's own: one of which much is left out hides nothing of another.
const NAMED: usize = 200;

/// What is left out of each backend, by whatever view.
#[derive(Debug, Default)]
pub(super) struct LeftOut(BTreeMap<BackendId, BTreeSet<Dropped>>);

impl LeftOut {
    /// Adds what one view leaves out.
    pub(super) fn add(&mut self, dropped: Vec<Dropped>) {
        for item in dropped {
            self.0.entry(item.backend.clone()).or_default().insert(item);
        }
    }

    /// How much it is.
    pub(super) fn total(&self) -> usize {
        self.0.values().map(BTreeSet::len).sum()
    }

    /// How much it is of one backend.
    pub(super) fn of(&self, backend: &BackendId) -> usize {
        self.0.get(backend).map_or(0, BTreeSet::len)
    }

    /// What is named of it, each with the reason.
    pub(super) fn named(&self) -> Vec<Value> {
        let named = self.0.values().flat_map(|items| items.iter().take(NAMED));
        let told = |item: &Dropped| {
            json!({
                "kind": item.noun(),
                "name": item.key,
                "backend": item.backend.as_str(),
                "reason": item.to_string(),
            })
        };
        named.map(told).collect()
    }
}

#[cfg(test)]
mod tests;
