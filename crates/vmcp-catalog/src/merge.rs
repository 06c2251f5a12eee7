//! From offers and rules to a catalog.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use vmcp_model::{BackendId, Era, Item, Kind, LeftOut, Offer, Readable};

use crate::{
    capabilities,
    catalog::Catalog,
    contents::{Contents, Entry},
    dropped::{DropReason, Dropped},
    instructions,
    naming::{Claim, Names, Place},
    overrides::{self, Ambiguous},
    own::OwnItem,
    route::{Reach, Target},
    rules::{Override, Rules},
    unmatched,
};

/// Merges what the backends offer. What no client will see is reported, sorted, unless a rule
/// hides it, and so are rules for tools that are not there.
///
/// What clients of this era could not read is left out first, then overrides are laid over the rest;
/// then hidden tools are set aside; then names are given out, after being mapped and shortened: first to
/// the tools of vmcp's own, though they are listed last; then to what is shown; and if hidden tools are
/// kept, to those, of what no other has or asks for.
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
        Kind::Tool => {
            let mut tools = named(kind, offers, rules, era, &mut dropped);
            tools.extend(own(rules, era));
            tools
        }
        Kind::Prompt => named(kind, offers, rules, era, &mut dropped),
        Kind::Resource | Kind::ResourceTemplate => {
            addressed(kind, offers, rules, era, &mut dropped)
        }
    });
    dropped.sort();
    let catalog = Catalog::new(Contents {
        page_size: rules.page_size.max(1),
        backends: offers.keys().cloned().collect(),
        capabilities: match rules.own.is_empty() {
            true => capabilities::merged(offers),
            false => capabilities::with_tools(&capabilities::merged(offers)),
        },
        instructions: instructions::merged(offers),
        entries,
    });
    (catalog, dropped)
}

/// Tools or prompts, under the names that clients see; then those that are hidden, if they are kept.
fn named(
    kind: Kind,
    offers: &BTreeMap<BackendId, Arc<Offer>>,
    rules: &Rules,
    era: Era,
    dropped: &mut Vec<Dropped>,
) -> Vec<Entry> {
    let Claims { shown, hidden } = Claims::of(kind, offers, rules, era, dropped);
    // Prompts have names of their own.
    let own = if kind == Kind::Tool { &rules.own[..] } else { &[] };
    let mut reserved: BTreeSet<_> = own.iter().map(OwnItem::name).collect();
    let names = Names::new(kind, rules, &reserved, dropped);
    let asked = if hidden.is_empty() { Vec::new() } else { names.asked(&shown) };
    let given = names.settle(shown).into_iter();
    let listed = given.map(|(exposed, claim)| (claim.place, entry(exposed, &claim))).collect();
    let mut entries = in_order(listed);
    reserved.extend(asked.iter().map(String::as_str));
    let mut unreported = Vec::new();
    let given = Names::new(kind, rules, &reserved, &mut unreported).settle(hidden).into_iter();
    entries.extend(given.map(|(exposed, claim)| entry(exposed, &claim).at(Reach::Hidden)));
    entries
}

/// The tools of vmcp's own, in their own order.
fn own(rules: &Rules, era: Era) -> impl Iterator<Item = Entry> {
    let mut seen = HashSet::new();
    let first = rules.own.iter().filter(move |own| seen.insert(own.name()));
    first.map(move |own| Entry::listed(own.name(), Target::Own(own.tool()), own.readable(era)))
}

/// Entries as clients see them: backends in the order of the rules, and what one backend has in its
/// own order.
fn in_order(mut placed: Vec<(Place<'_>, Entry)>) -> Vec<Entry> {
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, entry)| entry).collect()
}

/// The claims of all backends to names.
#[derive(Default)]
struct Claims<'a> {
    shown: Vec<Claim<'a>>,
    /// Of hidden tools that are kept.
    hidden: Vec<Claim<'a>>,
}

impl<'a> Claims<'a> {
    fn of(
        kind: Kind,
        offers: &'a BTreeMap<BackendId, Arc<Offer>>,
        rules: &'a Rules,
        era: Era,
        dropped: &mut Vec<Dropped>,
    ) -> Self {
        let mut claims = Self::default();
        for (backend, offer) in offers {
            let mut seen = HashSet::new();
            let backends_place = rules.place(backend);
            for (number, item) in offer.items(kind).iter().enumerate() {
                let place = (backends_place, backend, number);
                let wanted = Wanted::of(kind, backend, item, rules);
                let is_hidden = kind == Kind::Tool && !rules.shows(backend, wanted.name);
                if is_hidden && !rules.keep_hidden {
                    continue;
                }
                match claim(place, item, &wanted, era, &mut seen) {
                    Ok((claim, _)) if is_hidden => claims.hidden.push(claim),
                    // What nobody is to see is not reported either.
                    Err(_) if is_hidden => {}
                    Ok((claim, lacks_output)) => {
                        claims.shown.push(claim);
                        let without = || refusal(kind, backend, item, DropReason::WithoutOutput);
                        dropped.extend(lacks_output.then(without));
                    }
                    Err(reason) => dropped.push(refusal(kind, backend, item, reason)),
                }
            }
        }
        claims
    }
}

/// What the rules make of one item.
struct Wanted<'a> {
    change: Option<&'a Override>,
    /// The name after overrides.
    name: &'a str,
}

impl<'a> Wanted<'a> {
    fn of(kind: Kind, backend: &BackendId, item: &'a Item, rules: &'a Rules) -> Self {
        let change = match kind {
            Kind::Tool => rules.override_of(backend, item.key()),
            Kind::Prompt | Kind::Resource | Kind::ResourceTemplate => None,
        };
        let name = change.and_then(|change| change.name.as_deref()).unwrap_or(item.key());
        Self { change, name }
    }
}

/// What one item asks for, and whether it is without the output schema that it had.
fn claim<'a>(
    place: Place<'a>,
    item: &'a Item,
    Wanted { change, name }: &Wanted<'a>,
    era: Era,
    seen: &mut HashSet<&'a str>,
) -> Result<(Claim<'a>, bool), DropReason> {
    let (_, backend, _) = place;
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
    let is_given = change.is_some_and(|change| change.name.is_some());
    let claim = Claim { place, backend, own_name: item.key(), name, is_given, json };
    Ok((claim, lacks_output))
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
    let placed = placed.into_iter().map(|(uri, (place, json))| {
        let (_, backend, _) = place;
        let target = Target::Backend { backend: backend.clone(), name: uri.into(), renamed: false };
        (place, Entry::listed(uri, target, &json))
    });
    in_order(placed.collect())
}

fn entry(exposed: String, claim: &Claim<'_>) -> Entry {
    let renamed = exposed != claim.own_name;
    let json = if renamed { overrides::rename(&claim.json, &exposed) } else { claim.json.clone() };
    let (backend, name) = (claim.backend.clone(), claim.own_name.into());
    Entry::listed(exposed, Target::Backend { backend, name, renamed }, &json)
}

fn refusal(kind: Kind, backend: &BackendId, item: &Item, reason: DropReason) -> Dropped {
    let key = LeftOut::shortened(item.key()).into_owned();
    Dropped { kind: Some(kind), key, backend: backend.clone(), reason }
}
