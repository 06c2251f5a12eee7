//! From offers and rules to a catalog.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use vmcp_model::{BackendId, Era, Item, Kind, LeftOut, Offer, Readable};

use crate::{
    capabilities,
    catalog::Catalog,
    contents::{Contents, Entry, Route},
    dropped::{DropReason, Dropped},
    instructions,
    naming::{Claim, Names, Place},
    overrides::{self, Ambiguous},
    rules::Rules,
    unmatched,
};

/// Merges what the backends offer. What no client will see is reported, sorted, unless a rule
/// hides it, and so are rules for tools that are not there.
///
/// What clients of this era could not read is left out first, then overrides are laid over the rest;
/// then hidden tools are set aside, so that none of them can take a name from one that is shown; then
/// names are given out, after being mapped and shortened.
pub fn merge(
    offers: &BTreeMap<BackendId, Arc<Offer>>,
    rules: &Rules,
    era: Era,
) -> (Catalog, Vec<Dropped>) {
    let left_out = |(backend, offer): (&BackendId, &Arc<Offer>)| {
        let dropped = |LeftOut { of, name, why }: &LeftOut| Dropped {
            kind: *of,
            key: name.to_string(),
            backend: backend.clone(),
            reason: DropReason::Unfit { why: why.clone(), only: None },
        };
        offer.left_out.iter().map(dropped).collect::<Vec<_>>()
    };
    let mut dropped: Vec<_> = offers.iter().flat_map(left_out).collect();
    dropped.extend(unmatched::rules(offers, rules));
    let entries = Kind::ALL.map(|kind| match kind {
        Kind::Tool | Kind::Prompt => named(kind, offers, rules, era, &mut dropped),
        Kind::Resource | Kind::ResourceTemplate => {
            addressed(kind, offers, rules, era, &mut dropped)
        }
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
    era: Era,
    dropped: &mut Vec<Dropped>,
) -> Vec<Entry> {
    let mut claims = Vec::new();
    for (backend, offer) in offers {
        let mut seen = HashSet::new();
        let backends_place = rules.place(backend);
        for (number, item) in offer.items(kind).iter().enumerate() {
            let place = (backends_place, backend, number);
            match claim(kind, place, item, rules, era, &mut seen) {
                Ok(Some((claim, lacks_output))) => {
                    claims.push(claim);
                    if lacks_output {
                        dropped.push(refusal(kind, backend, item, DropReason::WithoutOutput));
                    }
                }
                Ok(None) => {}
                Err(reason) => dropped.push(refusal(kind, backend, item, reason)),
            }
        }
    }
    let names = Names::new(kind, rules, dropped);
    let given = names.settle(claims).into_iter();
    in_order(given.map(|(exposed, claim)| (claim.place, entry(exposed, &claim))).collect())
}

/// Entries as clients see them: backends in the order of the rules, and what one backend has in its
/// own order.
fn in_order(mut placed: Vec<(Place<'_>, Entry)>) -> Vec<Entry> {
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, entry)| entry).collect()
}

/// What one item asks for, and whether it is without the output schema that it had. `None` if it is
/// hidden.
fn claim<'a>(
    kind: Kind,
    place: Place<'a>,
    item: &'a Item,
    rules: &'a Rules,
    era: Era,
    seen: &mut HashSet<&'a str>,
) -> Result<Option<(Claim<'a>, bool)>, DropReason> {
    let (_, backend, _) = place;
    let change = match kind {
        Kind::Tool => rules.override_of(backend, item.key()),
        Kind::Prompt | Kind::Resource | Kind::ResourceTemplate => None,
    };
    let given = change.and_then(|change| change.name.as_deref());
    let name = given.unwrap_or(item.key());
    if kind == Kind::Tool && !rules.shows(backend, name) {
        return Ok(None);
    }
    if item.key().is_empty() || name.is_empty() {
        return Err(DropReason::Unnamed);
    }
    if !seen.insert(item.key()) {
        return Err(DropReason::ListedTwice);
    }
    let Readable { json, lacks_output } = readable(item, era)?;
    let json = match change {
        None => json,
        Some(change) => overrides::apply(&json, change)
            .map_err(|Ambiguous(member)| DropReason::Ambiguous { member })?,
    };
    let is_given = given.is_some();
    let claim = Claim { place, backend, own_name: item.key(), name, is_given, json };
    Ok(Some((claim, lacks_output)))
}

/// What clients of this era can read of an item.
fn readable(item: &Item, era: Era) -> Result<Readable, DropReason> {
    item.readable(era).map_err(|why| {
        let other = match era {
            Era::Legacy => Era::Modern,
            Era::Modern => Era::Legacy,
        };
        let only = item.readable(other).is_ok().then_some(era);
        DropReason::Unfit { why: why.to_string().into(), only }
    })
}

/// Resources or templates, which keep their URIs. A URI that several backends offer goes to the
/// first in the order of priority, then of the lists.
fn addressed(
    kind: Kind,
    offers: &BTreeMap<BackendId, Arc<Offer>>,
    rules: &Rules,
    era: Era,
    dropped: &mut Vec<Dropped>,
) -> Vec<Entry> {
    let mut placed: BTreeMap<&str, (Place<'_>, Bytes)> = BTreeMap::new();
    for backend in rules.by_precedence(offers.keys()) {
        let backends_place = rules.place(backend);
        for (number, item) in offers[backend].items(kind).iter().enumerate() {
            let reason = match (placed.get(item.key()), readable(item, era)) {
                _ if item.key().is_empty() => DropReason::Unnamed,
                (_, Err(unfit)) => unfit,
                (Some(((_, first, _), _)), Ok(_)) if *first == backend => DropReason::ListedTwice,
                (Some(((_, first, _), _)), Ok(_)) => DropReason::Shadowed { by: (*first).clone() },
                (None, Ok(Readable { json, .. })) => {
                    placed.insert(item.key(), ((backends_place, backend, number), json));
                    continue;
                }
            };
            dropped.push(refusal(kind, backend, item, reason));
        }
    }
    let entry = |(uri, (place, json)): (&str, (Place<'_>, Bytes))| Entry {
        key: uri.into(),
        route: Route {
            backend: place.1.clone(),
            name: uri.into(),
            renamed: false,
            mirrors: Box::default(),
            is_wrapped: false,
        },
        json: trimmed(&json),
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
    let key = LeftOut::shortened(item.key()).into_owned();
    Dropped { kind: Some(kind), key, backend: backend.clone(), reason }
}

/// The object without the white space around it, which is no part of it and would not survive
/// being stored.
fn trimmed(json: &Bytes) -> Bytes {
    json.slice_ref(json.trim_ascii())
}
