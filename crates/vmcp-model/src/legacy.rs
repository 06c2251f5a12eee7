//! What clients of the legacy era can read of a modern backend's tools and results.
//!
//! Revision 2026-07-28 lets an output schema and structured content be of any type; before, both are
//! objects. A client that meets something else refuses the whole list, so what cannot be read is put
//! into an object with the one member `result`, as the official SDKs do, or left out alone.

use std::fmt;

use bytes::Bytes;

use crate::{
    Item, Kind, Offer,
    raw::{self, Edit, Members},
};

/// The `$comment` of an output schema that was put into an object here, by which its results are known.
const WRAPPED: &str = "vmcp: in an object for clients before revision 2026-07-28";

/// Where a schema stands once it is in the object.
const WITHIN: &str = "#/properties/result";

/// How deep a schema is looked into.
const DEPTH: usize = 64;

/// What a legacy client is not shown of a tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub tool: Box<str>,
    pub what: Part,
}

/// A part of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it: its input schema is not that of an object.
    Tool,
    OutputSchema,
}

/// An offer as legacy clients can read it, and what of it they cannot.
pub fn legacy_offer(offer: &Offer) -> (Offer, Vec<LeftOut>) {
    let mut left_out = Vec::new();
    let tools = offer.tools.iter().filter_map(|item| legacy_tool(item, &mut left_out)).collect();
    (Offer { tools, ..offer.clone() }, left_out)
}

/// Whether the output schema of this tool was put into an object by [`legacy_offer`], and so its
/// structured content must be, too.
pub fn is_wrapped(tool: &[u8]) -> bool {
    if memchr::memmem::find(tool, WRAPPED.as_bytes()).is_none() {
        return false;
    }
    let comment = || {
        let schema = Members::parse(tool)?.value(tool, "outputSchema")?;
        Members::parse(schema)?.value(schema, "$comment").and_then(raw::as_string)
    };
    comment().is_some_and(|comment| comment == WRAPPED)
}

/// The change that makes a tool's result one that legacy clients can read, if it needs any.
pub fn legacy_content(result: &[u8], is_wrapped: bool) -> Option<Edit> {
    memchr::memmem::find(result, b"structuredContent")?;
    let span = Members::parse(result)?.span("structuredContent")?;
    let content = &result[span.clone()];
    if content.starts_with(b"{") && !is_wrapped {
        return None;
    }
    Some(Edit { span, with: [br#"{"result":"#, content, b"}"].concat().into() })
}

fn legacy_tool(item: &Item, left_out: &mut Vec<LeftOut>) -> Option<Item> {
    let mut leave_out = |what| left_out.push(LeftOut { tool: item.key().into(), what });
    let (json, members) = (item.json(), Members::parse(item.json())?);
    // Of a member that stands there twice, others may read the other.
    let only = |name| members.span(name).filter(|_| !members.is_ambiguous(name));
    let input = only("inputSchema").and_then(|span| {
        let edits = object_edits(&json[span.clone()])?;
        Some(moved(edits, span.start))
    });
    let Some(mut edits) = input else {
        leave_out(Part::Tool);
        return None;
    };
    let output = only("outputSchema").and_then(|span| {
        let edits = output_edits(&json[span.clone()])?;
        Some(moved(edits, span.start))
    });
    let has_output = output.is_some() || members.span("outputSchema").is_none();
    if !has_output {
        leave_out(Part::OutputSchema);
    }
    edits.extend(output.into_iter().flatten());
    if edits.is_empty() && has_output {
        return Some(item.clone());
    }
    let mut json = raw::splice(json, edits);
    if !has_output {
        json = raw::without(&json, |name| name == "outputSchema");
    }
    Item::parse(Kind::Tool, json).ok()
}

fn moved(edits: Vec<Edit>, by: usize) -> Vec<Edit> {
    let moved = |Edit { span, with }| Edit { span: span.start + by..span.end + by, with };
    edits.into_iter().map(moved).collect()
}

/// What makes an output schema that of an object. `None` if nothing does.
fn output_edits(schema: &[u8]) -> Option<Vec<Edit>> {
    let members = Members::parse(schema)?;
    if is_object(schema, &members) {
        return object_edits(schema);
    }
    Some(vec![Edit { span: 0..schema.len(), with: wrapped(schema, &members)? }])
}

fn is_object(schema: &[u8], members: &Members) -> bool {
    members.value(schema, "type").and_then(raw::as_string).is_some_and(|kind| kind == "object")
}

/// What makes the schema of an object readable: each property has an object for its schema, where the
/// modern era also takes `true` and `false`. `None` if it is not the schema of an object.
fn object_edits(schema: &[u8]) -> Option<Vec<Edit>> {
    let members = Members::parse(schema)?;
    if !is_object(schema, &members) {
        return None;
    }
    if let Some(required) = members.value(schema, "required") {
        let names = raw::elements(required)?;
        names.iter().try_for_each(|name| raw::as_string(&required[name.clone()]).map(drop))?;
    }
    let mut edits = Vec::new();
    if let Some(span) = members.span("properties") {
        let properties = &schema[span.clone()];
        for property in Members::parse(properties)?.iter() {
            let with: &'static [u8] = match &properties[property.value.clone()] {
                b"true" => b"{}",
                b"false" => br#"{"not":{}}"#,
                object if object.starts_with(b"{") => continue,
                _ => return None,
            };
            edits.push(Edit { span: property.value.clone(), with: Bytes::from_static(with) });
        }
        edits = moved(edits, span.start);
    }
    Some(edits)
}

/// A schema as that of the member `result` of an object. `None` if it refers to itself in a way that
/// cannot be followed.
fn wrapped(schema: &[u8], members: &Members) -> Option<Bytes> {
    let mut edits = Vec::new();
    refer_within(schema, 0, false, DEPTH, &mut edits)?;
    let mut out = b"{".to_vec();
    if let Some(dialect) = members.value(schema, "$schema").filter(|text| text.starts_with(b"\"")) {
        out.extend_from_slice(&[br#""$schema":"#, dialect, b","].concat());
    }
    let comment = raw::string(WRAPPED);
    out.extend_from_slice(&[br#""$comment":"#, &comment[..], br#","type":"object","#].concat());
    out.extend_from_slice(br#""properties":{"result":"#);
    out.extend_from_slice(&raw::splice(schema, edits));
    out.extend_from_slice(br#"},"required":["result"]}"#);
    Some(out.into())
}

/// Lets references to the root of the schema lead to where it stands within the object. `at` is where
/// `node` stands in the schema. The members of a node that `is_map` have names of the author's own.
fn refer_within(
    node: &[u8],
    at: usize,
    is_map: bool,
    depth: usize,
    edits: &mut Vec<Edit>,
) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    if node.starts_with(b"[") {
        return raw::elements(node)?.into_iter().try_for_each(|span| {
            refer_within(&node[span.clone()], at + span.start, false, depth, edits)
        });
    }
    if !node.starts_with(b"{") {
        return Some(());
    }
    let members = Members::parse(node)?;
    // References inside are to what has this id. A mere fragment is an anchor, no such id.
    let id = members.value(node, "$id");
    if !is_map && id.is_some_and(|id| !id.starts_with(b"\"#")) {
        return Some(());
    }
    for member in members.iter() {
        let (span, value) = (member.value.clone(), &node[member.value.clone()]);
        match &*member.name {
            _ if is_map => refer_within(value, at + span.start, false, depth, edits)?,
            "$ref" | "$dynamicRef" => {
                let pointer = raw::as_string(value);
                let path = pointer.as_deref().and_then(|pointer| pointer.strip_prefix('#'));
                if let Some(path) = path.filter(|path| path.is_empty() || path.starts_with('/')) {
                    let with = raw::string(&format!("{WITHIN}{path}")).into();
                    edits.push(Edit { span: at + span.start..at + span.end, with });
                }
            }
            // It leads to the outermost schema, which would be another one.
            "$recursiveRef" => return None,
            // Not schemas, but values.
            "const" | "enum" | "default" | "examples" => {}
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas"
            | "dependencies" => refer_within(value, at + span.start, true, depth, edits)?,
            _ => refer_within(value, at + span.start, false, depth, edits)?,
        }
    }
    Some(())
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tool, what } = self;
        match what {
            Part::Tool => write!(f, "tool {tool:?}, whose inputSchema is not that of an object"),
            Part::OutputSchema => write!(f, "the outputSchema of tool {tool:?}"),
        }
    }
}

#[cfg(test)]
mod tests;
