//! Merges as text: offers and rules in, the catalog and what was dropped out.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use vmcp_model::{BackendId, Era, Item, Kind, Offer};

use crate::{
    Annotations, Catalog, DropReason, Dropped, NameSet, Naming, Override, Reach, Route, Rules,
    Target, ToolRules, Visibility,
};

mod hidden;
mod listed;
mod lists;
mod mapped;
mod names;
mod own;
mod properties;
mod reach;
mod readable;
mod resources;
mod stages;
mod stored;
mod visibility;

/// Merges `offers` and compares what came of them.
///
/// An offer is a line `backend: tool, tool`, or `backend prompts: name` and the like; a line is an
/// entry `exposed -> backend/own name`, with its kind in front unless it is a tool, and before that how
/// far away it is unless it is listed; or `dropped backend/own name: why`.
#[track_caller]
fn check(rules: &Rules, offered: &str, expected: &str) {
    let (catalog, dropped) = merge(&offers(offered), rules);
    let mut found = lines(&catalog);
    found.extend(dropped.iter().map(|dropped| {
        let Dropped { kind, key, backend, reason } = dropped;
        format!("dropped {}{backend}/{key}: {}", kind.map_or("declaration ", label), why(reason))
    }));
    assert_lines(&found, expected);
}

/// What a catalog holds.
fn lines(catalog: &Catalog) -> Vec<String> {
    Kind::ALL.into_iter().flat_map(|kind| shown(catalog, kind)).collect()
}

#[track_caller]
fn assert_lines(found: &[String], expected: &str) {
    let expected: Vec<_> =
        expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(found, expected);
}

fn shown(catalog: &Catalog, kind: Kind) -> Vec<String> {
    let line = |key: &str| {
        let route = match kind {
            Kind::Tool => catalog.tool(key),
            Kind::Resource => catalog.resource(key),
            Kind::ResourceTemplate => catalog.template(key),
            Kind::Prompt => catalog.prompt(key),
        };
        let route = route.expect("what is advertised is routed");
        if let Target::Backend { name, renamed, .. } = &route.target {
            assert_eq!(*renamed, **name != *key);
        }
        format!("{}{key} -> {}", label(kind), target(route))
    };
    let listed = catalog.keys(kind).map(line);
    let unlisted = catalog.all(kind).iter().filter(|entry| entry.reach > Reach::Listed);
    let unlisted = unlisted.map(|entry| {
        let route = catalog.find(kind, &entry.key, entry.reach).expect("what is there is found");
        assert_eq!(catalog.find(kind, &entry.key, Reach::Listed), None);
        format!("{} {}{} -> {}", entry.reach.text(), label(kind), entry.key, target(route))
    });
    listed.chain(unlisted).collect()
}

/// Where a route leads, as `backend/own name`, or `own: what`.
fn target(route: &Route) -> String {
    match &route.target {
        Target::Backend { backend, name, .. } => format!("{backend}/{name}"),
        Target::Own(tool) => format!("own: {}", tool.text()),
    }
}

/// The backend that a route leads to, and what it knows the capability by.
fn of_backend(route: &Route) -> (&BackendId, &str) {
    match &route.target {
        Target::Backend { backend, name, .. } => (backend, name),
        Target::Own(tool) => panic!("no backend has {tool:?}"),
    }
}

fn why(reason: &DropReason) -> String {
    match reason {
        DropReason::Unfit { why, only: None } => why.to_string(),
        DropReason::Unfit { why, only: Some(era) } => format!("{why} ({era:?})"),
        DropReason::WithoutOutput => "without output".to_owned(),
        DropReason::Unnamed => "unnamed".to_owned(),
        DropReason::ListedTwice => "listed twice".to_owned(),
        DropReason::Ambiguous { member } => format!("ambiguous {member}"),
        DropReason::SameName { name } => format!("another {name}"),
        DropReason::Contested { name, with } => format!("{name} contested by {with:?}"),
        DropReason::Outranked { name, by } => format!("{name} goes to {by}"),
        DropReason::Taken { name, by } => format!("{name} is taken by {by}"),
        DropReason::Reserved { name } => format!("{name} is reserved"),
        DropReason::Shadowed { by } => format!("shadowed by {by}"),
        DropReason::NotThere { rule } => format!("not there for {rule}"),
    }
}

/// Merges for legacy clients.
fn merge(offers: &BTreeMap<BackendId, Arc<Offer>>, rules: &Rules) -> (Catalog, Vec<Dropped>) {
    crate::merge(offers, rules, Era::Legacy)
}

fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::Tool => "",
        Kind::Resource => "resource ",
        Kind::ResourceTemplate => "template ",
        Kind::Prompt => "prompt ",
    }
}

fn offers(text: &str) -> BTreeMap<BackendId, Arc<Offer>> {
    let mut offers: BTreeMap<BackendId, Offer> = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (head, items) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        let (backend, kind) = head.split_once(' ').unwrap_or((head, "tools"));
        let kind = match kind {
            "tools" => Kind::Tool,
            "prompts" => Kind::Prompt,
            "resources" => Kind::Resource,
            "templates" => Kind::ResourceTemplate,
            other => panic!("no kind: {other}"),
        };
        let into = offers.entry(id(backend)).or_default().items_mut(kind);
        let items = items.split(", ").filter(|item| !item.is_empty());
        into.extend(items.map(|name| item(kind, if name == "''" { "" } else { name })));
    }
    offers.into_iter().map(|(backend, offer)| (backend, Arc::new(offer))).collect()
}

fn item(kind: Kind, key: &str) -> Item {
    raw_item(kind, &json(kind, key))
}

/// The least that clients take.
fn json(kind: Kind, key: &str) -> String {
    let key = serde_json::to_string(key).unwrap();
    match kind {
        Kind::Tool => format!(r#"{{"name":{key},"inputSchema":{{"type":"object"}}}}"#),
        Kind::Resource => format!(r#"{{"uri":{key},"name":"r"}}"#),
        Kind::ResourceTemplate => format!(r#"{{"uriTemplate":{key},"name":"r"}}"#),
        Kind::Prompt => format!(r#"{{"name":{key}}}"#),
    }
}

fn raw_item(kind: Kind, json: &str) -> Item {
    Item::parse(kind, Era::Legacy, Bytes::copy_from_slice(json.as_bytes())).expect("an item")
}

fn offer_of(backend: &str, kind: Kind, items: Vec<Item>) -> BTreeMap<BackendId, Arc<Offer>> {
    let mut offer = Offer::default();
    *offer.items_mut(kind) = items;
    BTreeMap::from([(id(backend), Arc::new(offer))])
}

fn id(backend: &str) -> BackendId {
    BackendId::new(backend).expect("a backend id")
}

fn prefix() -> Rules {
    Rules::default()
}

fn manual() -> Rules {
    let format = Naming::DEFAULT_FORMAT.to_owned();
    Rules { naming: Naming::Manual { format }, ..Rules::default() }
}

fn priority(order: &[&str]) -> Rules {
    let format = Naming::DEFAULT_FORMAT.to_owned();
    let order = order.iter().map(|backend| id(backend)).collect();
    Rules { naming: Naming::Priority { order, format }, ..Rules::default() }
}

/// Adds renames of one backend's tools, as `own name > new name`.
fn renaming(mut rules: Rules, backend: &str, renames: &[&str]) -> Rules {
    for rename in renames {
        let (own_name, name) = rename.split_once(" > ").expect("a rename");
        let change = Override { name: Some(name.to_owned()), ..Override::default() };
        let entry = rules.tools.entry(id(backend)).or_default();
        entry.overrides.insert(own_name.to_owned(), change);
    }
    rules
}
