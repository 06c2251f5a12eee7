//! From offers and rules to a catalog.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use vmcp_model::{BackendId, Item, Kind, Offer};

use crate::{
    capabilities,
    catalog::Catalog,
    contents::{Contents, Entry, Route},
    dropped::{DropReason, Dropped},
    instructions,
    naming::{Claim, Names, Place},
    overrides::{self, Ambiguous},
    rules::Rules,
};

/// Merges what the backends offer. What no client will see is reported, sorted, unless a rule
/// hides it.
///
/// Overrides come first; then hidden tools are set aside, so that none of them can take a name
/// from one that is shown; then names are given out, after being shortened.
pub fn merge(offers: &BTreeMap<BackendId, Arc<Offer>>, rules: &Rules) -> (Catalog, Vec<Dropped>) {
    let mut dropped = Vec::new();
    let entries = Kind::ALL.map(|kind| match kind {
        Kind::Tool | Kind::Prompt => named(kind, offers, rules, &mut dropped),
        Kind::Resource | Kind::ResourceTemplate => addressed(kind, offers, rules, &mut dropped),
    });
    dropped.sort();
    let catalog = Catalog::new(Contents {
        page_size: rules.page_size.max(1),
        backends: offers.keys().cloned().collect(),
        capabilities: capabilities::merged(offers),
        instructions: instructions::merged(offers),
        entries,
    });
    (catalog, dropped)
}

/// Tools or prompts, under the names that clients see.
fn named(
    kind: Kind,
    offers: &BTreeMap<BackendId, Arc<Offer>>,
    rules: &Rules,
    dropped: &mut Vec<Dropped>,
) -> Vec<Entry> {
    let mut claims = Vec::new();
    for (backend, offer) in offers {
        let mut seen = HashSet::new();
        let backends_place = rules.place(backend);
        for (number, item) in offer.items(kind).iter().enumerate() {
            let place = (backends_place, backend, number);
            match claim(kind, place, item, rules, &mut seen) {
                Ok(Some(claim)) => claims.push(claim),
                Ok(None) => {}
                Err(reason) => dropped.push(refusal(kind, backend, item, reason)),
            }
        }
    }
    let names = Names::new(kind, &rules.naming, rules.name_limit(), dropped);
    let given = names.settle(claims).into_iter();
    in_order(given.map(|(exposed, claim)| (claim.place, entry(exposed, &claim))).collect())
}

/// Entries as clients see them: backends in the order of the rules, and what one backend has in its
/// own order.
fn in_order(mut placed: Vec<(Place<'_>, Entry)>) -> Vec<Entry> {
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, entry)| entry).collect()
}

/// What one item asks for. `None` if it is hidden.
fn claim<'a>(
    kind: Kind,
    place: Place<'a>,
    item: &'a Item,
    rules: &'a Rules,
    seen: &mut HashSet<&'a str>,
) -> Result<Option<Claim<'a>>, DropReason> {
    let (_, backend, _) = place;
    let change = match kind {
        Kind::Tool => rules.override_of(backend, item.key()),
        Kind::Prompt | Kind::Resource | Kind::ResourceTemplate => None,
    };
    let name = change.and_then(|change| change.name.as_deref()).unwrap_or(item.key());
    if kind == Kind::Tool && !rules.shows(backend, name) {
        return Ok(None);
    }
    if item.key().is_empty() || name.is_empty() {
        return Err(DropReason::Unnamed);
    }
    if !seen.insert(item.key()) {
        return Err(DropReason::ListedTwice);
    }
    let json = match change {
        None => item.json().clone(),
        Some(change) => overrides::apply(item.json(), change)
            .map_err(|Ambiguous(member)| DropReason::Ambiguous { member })?,
    };
    Ok(Some(Claim { place, backend, own_name: item.key(), name, json }))
}

/// Resources or templates, which keep their URIs. A URI that several backends offer goes to the
/// first in the order of priority, then of the lists.
fn addressed(
    kind: Kind,
    offers: &BTreeMap<BackendId, Arc<Offer>>,
    rules: &Rules,
    dropped: &mut Vec<Dropped>,
) -> Vec<Entry> {
    let mut placed: BTreeMap<&str, (Place<'_>, &Item)> = BTreeMap::new();
    for backend in rules.by_precedence(offers.keys()) {
        let backends_place = rules.place(backend);
        for (number, item) in offers[backend].items(kind).iter().enumerate() {
            let reason = match placed.get(item.key()) {
                _ if item.key().is_empty() => DropReason::Unnamed,
                Some(((_, first, _), _)) if *first == backend => DropReason::ListedTwice,
                Some(((_, first, _), _)) => DropReason::Shadowed { by: (*first).clone() },
                None => {
                    placed.insert(item.key(), ((backends_place, backend, number), item));
                    continue;
                }
            };
            dropped.push(refusal(kind, backend, item, reason));
        }
    }
    let entry = |(uri, (place, item)): (&str, (Place<'_>, &Item))| Entry {
        key: uri.into(),
        route: Route {
            backend: place.1.clone(),
            name: uri.into(),
            renamed: false,
            mirrors: Box::default(),
            is_wrapped: false,
        },
        json: trimmed(item.json()),
    };
    in_order(placed.into_iter().map(|found| (found.1.0, entry(found))).collect())
}

fn entry(exposed: String, claim: &Claim<'_>) -> Entry {
    let renamed = exposed != claim.own_name;
    let json = if renamed { overrides::rename(&claim.json, &exposed) } else { claim.json.clone() };
    Entry {
        key: exposed.into(),
        route: Route {
            backend: claim.backend.clone(),
            name: claim.own_name.into(),
            renamed,
            mirrors: Box::default(),
            is_wrapped: false,
        },
        json: trimmed(&json),
    }
}

fn refusal(kind: Kind, backend: &BackendId, item: &Item, reason: DropReason) -> Dropped {
    Dropped { kind, key: item.key().to_owned(), backend: backend.clone(), reason }
}

/// The object without the white space around it, which is no part of it and would not survive
/// being stored.
fn trimmed(json: &Bytes) -> Bytes {
    json.slice_ref(json.trim_ascii())
}
