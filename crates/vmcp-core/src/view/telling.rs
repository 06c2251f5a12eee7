//! Tells the log what merges leave out.

use std::collections::BTreeMap;

use vmcp_catalog::Dropped;
use vmcp_model::BackendId;

/// How much of what a merge leaves out of one backend is named in the log, each with what to do about it.
pub(crate) const TOLD: usize = 20;

/// What a merge leaves out and has not been told.
#[derive(Debug, PartialEq, Eq)]
struct News<'a> {
    named: Vec<&'a Dropped>,
    /// How much more it is of each backend.
    more: BTreeMap<&'a BackendId, usize>,
}

/// Names what a view leaves out now and is not known to be. What is known is sorted.
pub(super) fn tell(known: [&[Dropped]; 2], dropped: &[Dropped]) {
    let News { named, more } = News::of(known, dropped);
    for item in named {
        tracing::warn!("{item}");
    }
    for (backend, more) in more {
        tracing::warn!("of backend {backend} {more} more are left out; GET /status names them");
    }
}

/// Names what is left out for a session alone, and not for everybody of its view.
pub(super) fn tell_of_session(of_view: &[Dropped], dropped: &[Dropped]) {
    let News { named, more } = News::of([of_view, &[]], dropped);
    for item in named {
        tracing::warn!("{item}, for a session to which a backend lists something of its own");
    }
    for (backend, more) in more {
        tracing::warn!("of backend {backend} {more} more are left out for that session");
    }
}

impl<'a> News<'a> {
    fn of(known: [&[Dropped]; 2], dropped: &'a [Dropped]) -> Self {
        let is_new = |item: &&Dropped| known.iter().all(|known| known.binary_search(item).is_err());
        let mut counts: BTreeMap<&BackendId, usize> = BTreeMap::new();
        let mut named = Vec::new();
        for item in dropped.iter().filter(is_new) {
            let count = counts.entry(&item.backend).or_default();
            *count += 1;
            if *count <= TOLD {
                named.push(item);
            }
        }
        counts.retain(|_, count| *count > TOLD);
        counts.values_mut().for_each(|count| *count -= TOLD);
        Self { named, more: counts }
    }
}

#[cfg(test)]
mod tests;
