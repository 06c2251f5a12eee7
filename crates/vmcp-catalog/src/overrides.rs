//! Changes to a tool's JSON, spliced in so that the rest stays as the backend wrote it.

use bytes::Bytes;
use vmcp_model::raw::{self, Edit, Members};

use crate::rules::{Annotations, Override};

/// A member that is to be changed stands in its object more than once, or in another case, so
/// changing it would not change what every client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ambiguous(pub(crate) &'static str);

/// Lays description and annotations over a tool. The name comes last, by [`rename`], once it is
/// known who gets it.
pub(crate) fn apply(tool: &Bytes, change: &Override) -> Result<Bytes, Ambiguous> {
    let Some(members) = Members::parse(tool) else { return Ok(tool.clone()) };
    let mut edits = Vec::new();
    if let Some(text) = &change.description {
        edits.push(set(&members, "description", raw::string(text))?);
    }
    if let Some(annotations) = &change.annotations {
        let own = members.value(tool, "annotations").unwrap_or_default();
        edits.push(set(&members, "annotations", annotate(own, annotations)?)?);
    }
    Ok(if edits.is_empty() { tool.clone() } else { raw::splice(tool, edits) })
}

/// Gives a tool or prompt the name that clients see.
pub(crate) fn rename(item: &Bytes, name: &str) -> Bytes {
    match Members::parse(item) {
        None => item.clone(),
        Some(members) => raw::splice(item, vec![members.set("name", raw::string(name))]),
    }
}

/// The backend's own annotations with ours laid over them.
fn annotate(own: &[u8], ours: &Annotations) -> Result<Bytes, Ambiguous> {
    let wanted = wanted(ours);
    // What is no object, or an empty one, has nothing to keep.
    let members = Members::parse(own).filter(|members| members.iter().next().is_some());
    let Some(members) = members else {
        let fresh: Vec<_> = wanted
            .into_iter()
            .map(|(name, value)| [raw::string(name), value].join(&b':'))
            .collect();
        return Ok([b"{", fresh.join(&b',').as_slice(), b"}"].concat().into());
    };
    let edits: Result<Vec<_>, _> =
        wanted.into_iter().map(|(name, value)| set(&members, name, value)).collect();
    Ok(raw::splice(own, edits?))
}

/// The members that are to be laid over, as JSON.
fn wanted(ours: &Annotations) -> Vec<(&'static str, Vec<u8>)> {
    let hint = |hint: Option<bool>| hint.map(|hint| hint.to_string().into_bytes());
    [
        ("title", ours.title.as_deref().map(raw::string)),
        ("readOnlyHint", hint(ours.read_only_hint)),
        ("destructiveHint", hint(ours.destructive_hint)),
        ("idempotentHint", hint(ours.idempotent_hint)),
        ("openWorldHint", hint(ours.open_world_hint)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

fn set(members: &Members, name: &'static str, value: impl Into<Bytes>) -> Result<Edit, Ambiguous> {
    let other_case = |other: &str| other != name && other.eq_ignore_ascii_case(name);
    if members.is_ambiguous(name) || members.iter().any(|member| other_case(&member.name)) {
        return Err(Ambiguous(name));
    }
    Ok(members.set(name, value))
}

#[cfg(test)]
mod tests;
