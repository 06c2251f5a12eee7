//! Which tool or prompt gets which name.
//!
//! Names are given to claims; a claim that gets none is reported. All decisions are made over
//! shortened names, so that two names that shorten to the same are a conflict like any other.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use vmcp_model::{BackendId, Kind};

use crate::{
    dropped::{DropReason, Dropped},
    rules::Naming,
};

/// Where an item stands in its list: the place of its backend, the backend, the place in the backend's
/// own list.
pub(crate) type Place<'a> = (usize, &'a BackendId, usize);

/// A tool or prompt that asks for a name.
#[derive(Debug, Clone)]
pub(crate) struct Claim<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) backend: &'a BackendId,
    /// The backend's own name for it.
    pub(crate) own_name: &'a str,
    /// The same after overrides.
    pub(crate) name: &'a str,
    pub(crate) json: Bytes,
}

/// Gives out the names of one kind.
pub(crate) struct Names<'a> {
    kind: Kind,
    naming: &'a Naming,
    limit: usize,
    given: BTreeMap<String, Claim<'a>>,
    dropped: &'a mut Vec<Dropped>,
}

/// The claims to one name. The full name may differ from claim to claim where it was shortened.
type Contest<'a> = Vec<(String, Claim<'a>)>;

impl<'a> Names<'a> {
    /// `limit` is in characters and at least 16.
    pub(crate) fn new(
        kind: Kind,
        naming: &'a Naming,
        limit: usize,
        dropped: &'a mut Vec<Dropped>,
    ) -> Self {
        Self { kind, naming, limit, given: BTreeMap::new(), dropped }
    }

    /// Settles all claims. Returns who got which name.
    pub(crate) fn settle(mut self, claims: Vec<Claim<'a>>) -> BTreeMap<String, Claim<'a>> {
        let bare = |claim: &Claim<'_>| claim.name.to_owned();
        let naming = self.naming;
        let prefixed = |claim: &Claim<'_>| naming.prefixed(claim.backend, claim.name);
        match (naming, self.kind) {
            (Naming::Priority { .. }, _) => self.by_priority(claims),
            (Naming::Manual { .. }, Kind::Tool) => self.unless_contested(claims, bare),
            (Naming::Manual { .. } | Naming::Prefix { .. }, _) => {
                self.unless_contested(claims, prefixed);
            }
        }
        self.given
    }

    fn unless_contested(&mut self, claims: Vec<Claim<'a>>, name: impl Fn(&Claim<'_>) -> String) {
        for (exposed, contest) in self.contests(claims, name) {
            self.give_or_drop(exposed, contest);
        }
    }

    fn by_priority(&mut self, claims: Vec<Claim<'a>>) {
        let naming = self.naming;
        let bare = self.contests(claims, |claim| claim.name.to_owned());
        let mut unranked = Vec::new();
        // Whoever asked for a bare name, no prefixed one may take its place.
        let mut asked: BTreeMap<String, Vec<BackendId>> = BTreeMap::new();
        for (exposed, contest) in bare {
            let backends = backends_of(&contest);
            let first = backends
                .iter()
                .filter_map(|backend| Some((naming.rank(backend)?, backend)))
                .min()
                .map(|(_, backend)| backend.clone());
            asked.insert(exposed.clone(), backends.iter().cloned().collect());
            if backends.len() == 1 {
                self.give_or_drop(exposed, contest);
            } else if let Some(first) = first {
                let (won, lost) = contest.into_iter().partition(|(_, c)| *c.backend == first);
                self.give_or_drop(exposed, won);
                self.drop_all(lost, |name, _| DropReason::Outranked { name, by: first.clone() });
            } else {
                unranked.extend(contest.into_iter().map(|(_, claim)| claim));
            }
        }
        let prefixed = self.contests(unranked, |claim| naming.prefixed(claim.backend, claim.name));
        for (exposed, contest) in prefixed {
            if let Some(holder) = self.given.get(&exposed).map(|claim| claim.backend.clone()) {
                self.drop_all(contest, |name, _| DropReason::Taken { name, by: holder.clone() });
            } else if let Some(asked) = asked.get(&exposed) {
                self.drop_all(contest, |name, claim| contested(name, asked, claim.backend));
            } else {
                self.give_or_drop(exposed, contest);
            }
        }
    }

    /// The claims by the name, shortened, that each asks for.
    fn contests(
        &self,
        claims: Vec<Claim<'a>>,
        name: impl Fn(&Claim<'_>) -> String,
    ) -> BTreeMap<String, Contest<'a>> {
        let mut contests: BTreeMap<_, Contest<'a>> = BTreeMap::new();
        for claim in claims {
            let full = name(&claim);
            contests.entry(shortened(&full, self.limit)).or_default().push((full, claim));
        }
        contests
    }

    /// Gives a name to its only claim; to none if there are several, so that no backend can take
    /// over a name that clients know as another's.
    fn give_or_drop(&mut self, exposed: String, mut contest: Contest<'a>) {
        if contest.len() == 1 {
            self.given.extend(contest.pop().map(|(_, claim)| (exposed, claim)));
            return;
        }
        let backends: Vec<_> = backends_of(&contest).into_iter().collect();
        self.drop_all(contest, |name, claim| contested(name, &backends, claim.backend));
    }

    fn drop_all(
        &mut self,
        contest: Contest<'a>,
        reason: impl Fn(String, &Claim<'_>) -> DropReason,
    ) {
        let kind = self.kind;
        self.dropped.extend(contest.into_iter().map(|(full, claim)| Dropped {
            kind,
            key: claim.own_name.to_owned(),
            backend: claim.backend.clone(),
            reason: reason(full, &claim),
        }));
    }
}

/// A name within the limit: a longer one keeps its head and its tail, around the first 8
/// hexadecimal digits of the SHA-256 of the whole. `limit` is in characters and at least 16.
///
/// A mere cut would make different names equal, and the tail is what tells names apart.
fn shortened(name: &str, limit: usize) -> String {
    let length = name.chars().count();
    if length <= limit {
        return name.to_owned();
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
    let hash: String = digest.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let kept = limit - hash.len() - 2;
    let head: String = name.chars().take(kept / 2).collect();
    let tail: String = name.chars().skip(length - (kept - kept / 2)).collect();
    format!("{head}_{hash}_{tail}")
}

fn backends_of(contest: &Contest<'_>) -> BTreeSet<BackendId> {
    contest.iter().map(|(_, claim)| claim.backend.clone()).collect()
}

/// Why one of several claimants of a name, some of which may be of its own backend, is dropped.
fn contested(name: String, claimants: &[BackendId], own: &BackendId) -> DropReason {
    let with: Vec<_> = claimants.iter().filter(|backend| *backend != own).cloned().collect();
    if with.is_empty() {
        DropReason::SameName { name }
    } else {
        DropReason::Contested { name, with }
    }
}

#[cfg(test)]
mod tests;
