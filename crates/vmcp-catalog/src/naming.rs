//! Which tool or prompt gets which name.
//!
//! Names are given to claims; a claim that gets none is reported. All decisions are made over names as
//! clients see them, so that two names that are mapped or shortened to the same are a conflict like any
//! other.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use bytes::Bytes;
use vmcp_model::{BackendId, Kind, LeftOut};

use crate::{
    dropped::{DropReason, Dropped},
    rules::{NameSet, Naming, Rules},
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
    /// The name is one that the configuration gives.
    pub(crate) is_given: bool,
    pub(crate) json: Bytes,
}

/// Gives out the names of one kind.
pub(crate) struct Names<'a, 'r> {
    kind: Kind,
    naming: &'r Naming,
    set: NameSet,
    limit: usize,
    /// The names that are no claim's to get.
    reserved: &'r BTreeSet<&'r str>,
    given: BTreeMap<String, Claim<'a>>,
    dropped: &'r mut Vec<Dropped>,
}

/// The claims to one name. The full name may differ from claim to claim where it was shortened.
type Contest<'a> = Vec<(String, Claim<'a>)>;

impl<'a, 'r> Names<'a, 'r> {
    pub(crate) fn new(
        kind: Kind,
        rules: &'r Rules,
        reserved: &'r BTreeSet<&'r str>,
        dropped: &'r mut Vec<Dropped>,
    ) -> Self {
        let Rules { naming, names, .. } = rules;
        let (set, limit) = (*names, rules.name_limit());
        Self { kind, naming, set, limit, reserved, given: BTreeMap::new(), dropped }
    }

    /// Settles all claims. Returns who got which name.
    pub(crate) fn settle(mut self, claims: Vec<Claim<'a>>) -> BTreeMap<String, Claim<'a>> {
        match (self.naming, self.kind) {
            (Naming::Priority { .. }, _) => self.by_priority(claims),
            (Naming::Manual { .. }, Kind::Tool) => self.unless_contested(claims, false),
            (Naming::Manual { .. } | Naming::Prefix { .. }, _) => {
                self.unless_contested(claims, true);
            }
        }
        self.given
    }

    /// Every name that one of these claims might get.
    pub(crate) fn asked(&self, claims: &[Claim<'_>]) -> Vec<String> {
        let forms = match (self.naming, self.kind) {
            (Naming::Priority { .. }, _) => &[false, true][..],
            (Naming::Manual { .. }, Kind::Tool) => &[false],
            (Naming::Manual { .. } | Naming::Prefix { .. }, _) => &[true],
        };
        let names = |claim| {
            forms.iter().map(move |form| shortened(&self.full_name(claim, *form), self.limit))
        };
        claims.iter().flat_map(names).collect()
    }

    fn unless_contested(&mut self, claims: Vec<Claim<'a>>, is_prefixed: bool) {
        for (exposed, contest) in self.contests(claims, is_prefixed) {
            self.give_or_drop(exposed, contest);
        }
    }

    fn by_priority(&mut self, claims: Vec<Claim<'a>>) {
        let naming = self.naming;
        let bare = self.contests(claims, false);
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
            let is_reserved = self.reserved.contains(exposed.as_str());
            if backends.len() == 1 || (is_reserved && first.is_some()) {
                self.give_or_drop(exposed, contest);
            } else if let Some(first) = first {
                let (won, lost) = contest.into_iter().partition(|(_, c)| *c.backend == first);
                self.give_or_drop(exposed, won);
                self.drop_all(lost, |name, _| DropReason::Outranked { name, by: first.clone() });
            } else {
                unranked.extend(contest.into_iter().map(|(_, claim)| claim));
            }
        }
        let prefixed = self.contests(unranked, true);
        for (exposed, mut contest) in prefixed {
            let holder = self.given.get(&exposed).map(|claim| claim.backend.clone());
            let is_ranked = |holder: &BackendId| {
                naming.rank(holder).is_some() || contest.iter().all(|(_, c)| c.backend == holder)
            };
            if self.reserved.contains(exposed.as_str()) {
                self.give_or_drop(exposed, contest);
            } else if let Some(holder) = holder.filter(is_ranked) {
                self.drop_all(contest, |name, _| DropReason::Taken { name, by: holder.clone() });
            } else if let Some(claim) = self.given.remove(&exposed) {
                // Each would take over what clients may know as the other's.
                contest.push((exposed.clone(), claim));
                self.give_or_drop(exposed, contest);
            } else if let Some(asked) = asked.get(&exposed) {
                self.drop_all(contest, |name, claim| contested(name, asked, claim.backend));
            } else {
                self.give_or_drop(exposed, contest);
            }
        }
    }

    /// The claims by the name, as clients would see it, that each asks for.
    fn contests(&self, claims: Vec<Claim<'a>>, is_prefixed: bool) -> BTreeMap<String, Contest<'a>> {
        let mut contests: BTreeMap<_, Contest<'a>> = BTreeMap::new();
        for claim in claims {
            let full = self.full_name(&claim, is_prefixed);
            contests.entry(shortened(&full, self.limit)).or_default().push((full, claim));
        }
        contests
    }

    /// The name that a claim asks for, as clients would see it if it is not too long.
    fn full_name(&self, claim: &Claim<'_>, is_prefixed: bool) -> String {
        let own = self.own_name(claim);
        let full = match is_prefixed {
            true => self.naming.prefixed(claim.backend, &own),
            false => own.into_owned(),
        };
        match self.set {
            NameSet::AsIs => full,
            NameSet::Safe => mapped(&full, NameSet::Safe).into_owned(),
        }
    }

    /// The name before any prefix. Of tools the specification says what it consists of; what the
    /// configuration gives or puts before it is its author's to decide.
    fn own_name<'n>(&self, claim: &Claim<'n>) -> Cow<'n, str> {
        match self.kind {
            Kind::Tool if !claim.is_given => mapped(claim.name, NameSet::AsIs),
            _ => Cow::Borrowed(claim.name),
        }
    }

    /// Gives a name to its only claim; to none if there are several, so that no backend can take
    /// over a name that clients know as another's; and to none if it is reserved.
    fn give_or_drop(&mut self, exposed: String, mut contest: Contest<'a>) {
        if self.reserved.contains(exposed.as_str()) {
            self.drop_all(contest, |name, _| DropReason::Reserved { name });
            return;
        }
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
            kind: Some(kind),
            key: LeftOut::shortened(claim.own_name).into_owned(),
            backend: claim.backend.clone(),
            reason: reason(full, &claim),
        }));
    }
}

/// A name that consists of what a set has. Others have `_` for whatever it has not, and the first 8
/// hexadecimal digits of the SHA-256 of the whole at the end, so that different names stay apart.
fn mapped(name: &str, set: NameSet) -> Cow<'_, str> {
    if name.chars().all(|letter| set.has(letter)) {
        return Cow::Borrowed(name);
    }
    let mut out = String::new();
    let mut is_gap = false;
    for letter in name.chars() {
        match set.has(letter) {
            true => out.push(letter),
            false if is_gap => {}
            false => out.push('_'),
        }
        is_gap = !set.has(letter);
    }
    Cow::Owned(format!("{out}_{}", hash(name)))
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
    let hash = hash(name);
    let kept = limit - hash.len() - 2;
    let head: String = name.chars().take(kept / 2).collect();
    let tail: String = name.chars().skip(length - (kept - kept / 2)).collect();
    format!("{head}_{hash}_{tail}")
}

fn hash(name: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
    digest.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect()
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
