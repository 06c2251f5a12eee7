//! The server capabilities that vmcp declares for all backends together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use vmcp_model::{
    BackendId, Offer,
    raw::{self, Members},
};

use crate::order::ORDER;

/// How deep `tasks` is merged; what lies deeper is taken from the first backend that has it.
const TASKS_DEPTH: usize = 8;

/// A kind whose list may change.
const LIST_CHANGED: &[u8] = br#"{"listChanged":true}"#;

/// One `capabilities` object out of those of the backends. What is not an object declares nothing,
/// and neither does a member that is `null`.
///
/// vmcp announces list changes itself, so `listChanged` is true wherever the kind is declared.
pub(crate) fn merged(offers: &BTreeMap<BackendId, Arc<Offer>>) -> Bytes {
    let mut declared: BTreeMap<Box<str>, Vec<&[u8]>> = BTreeMap::new();
    for offer in offers.values() {
        collect(&offer.capabilities, &mut declared);
    }
    // What the stored form keeps there is no backend's to say.
    declared.remove(ORDER);
    let merged = declared.into_iter().filter_map(|(name, values)| {
        let value = match &*name {
            "tools" | "prompts" => LIST_CHANGED.to_vec(),
            "resources" if values.iter().any(|value| subscribes(value)) => {
                br#"{"listChanged":true,"subscribe":true}"#.to_vec()
            }
            "resources" => LIST_CHANGED.to_vec(),
            "logging" | "completions" => b"{}".to_vec(),
            "tasks" => union(&values, TASKS_DEPTH)?,
            "experimental" | "extensions" => union(&values, 1)?,
            _ => values[0].to_vec(),
        };
        Some((name, value))
    });
    object(merged).into()
}

/// The same object with tools in it, if it has none.
pub(crate) fn with_tools(capabilities: &Bytes) -> Bytes {
    let mut members = BTreeMap::new();
    collect(capabilities, &mut members);
    members.entry("tools".into()).or_insert_with(|| vec![LIST_CHANGED]);
    object(members.into_iter().map(|(name, values)| (name, values[0].to_vec()))).into()
}

fn subscribes(resources: &[u8]) -> bool {
    let subscribe =
        Members::parse(resources).and_then(|members| members.span("subscribe")).unwrap_or_default();
    &resources[subscribe] == b"true"
}

/// The members of all the objects; under a name that several have, their objects are merged down
/// to `depth`, otherwise the first value wins. `None` if there is no object among the values.
fn union(values: &[&[u8]], depth: usize) -> Option<Vec<u8>> {
    let mut objects = values.iter().filter(|value| value.starts_with(b"{"));
    let (first, second) = (objects.next()?, objects.next());
    if depth == 0 || second.is_none() {
        return Some(first.to_vec());
    }
    let mut members = BTreeMap::new();
    for value in values {
        collect(value, &mut members);
    }
    let merged = members.into_iter().map(|(name, values)| {
        let both = values[0].starts_with(b"{").then(|| union(&values, depth - 1)).flatten();
        (name, both.unwrap_or_else(|| values[0].to_vec()))
    });
    Some(object(merged))
}

/// Adds the members of an object to those that others have under the same names. Of a name that
/// stands in it twice, the first counts.
fn collect<'a>(object: &'a [u8], into: &mut BTreeMap<Box<str>, Vec<&'a [u8]>>) {
    let Some(members) = Members::parse(object) else { return };
    let mut seen = BTreeSet::new();
    for member in members.iter() {
        let value = &object[member.value.clone()];
        if value != b"null" && seen.insert(&member.name) {
            into.entry(member.name.clone()).or_default().push(value);
        }
    }
}

fn object(members: impl Iterator<Item = (Box<str>, Vec<u8>)>) -> Vec<u8> {
    let members: Vec<_> =
        members.map(|(name, value)| [raw::string(&name), value].join(&b':')).collect();
    [b"{", members.join(&b',').as_slice(), b"}"].concat()
}

#[cfg(test)]
mod tests;
