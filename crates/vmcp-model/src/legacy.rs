//! What clients of the legacy era can read of a modern backend's tools and results.
//!
//! Revision 2026-07-28 lets an output schema and structured content be of any type; before, both are
//! objects. A client that meets something else refuses the whole list, so what cannot be read is put
//! into an object with the one member `result`, as the official SDKs do, or left out alone.

use bytes::Bytes;

use crate::{
    raw::{self, Edit, Members},
    schema::Unfit,
};

/// What is wrong with an input schema that cannot be read.
const NO_OBJECT: &str = "is not that of an object";

/// The `$comment` of an output schema that was put into an object here, by which its results are known.
const WRAPPED: &str = "vmcp: in an object for clients before revision 2026-07-28";

/// Where a schema stands once it is in the object.
const WITHIN: &str = "#/properties/result";

/// How deep a schema is looked into.
const DEPTH: usize = 64;

/// A tool as legacy clients can read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LegacyTool {
    pub(crate) json: Bytes,
    /// It is shown without its output schema, which could not be put into an object.
    pub(crate) lacks_output: bool,
}

/// Writes a tool for legacy clients. An output schema of another type is put into an object only if the
/// tool's results will be, too, as those of a modern backend are: `wraps`.
///
/// # Errors
/// If they cannot read it at all.
pub(crate) fn legacy_tool(json: &Bytes, wraps: bool) -> Result<LegacyTool, Unfit> {
    let members = Members::parse(json).ok_or(Unfit::new("is not an object"))?;
    let edits_of = |name, edits: &dyn Fn(&[u8]) -> Option<Vec<Edit>>| {
        let span = members.span(name)?;
        Some(moved(edits(&json[span.clone()])?, span.start))
    };
    let input = edits_of("inputSchema", &object_edits);
    let input = input.ok_or(Unfit::new(NO_OBJECT).within("inputSchema"))?;
    let output = edits_of("outputSchema", &|schema| output_edits(schema, wraps));
    let lacks_output = output.is_none() && members.span("outputSchema").is_some();
    let edits: Vec<_> = input.into_iter().chain(output.into_iter().flatten()).collect();
    let mut written = if edits.is_empty() { json.clone() } else { raw::splice(json, edits) };
    if lacks_output {
        written = raw::without(&written, |name| name == "outputSchema");
    }
    Ok(LegacyTool { json: written, lacks_output })
}

/// Whether a schema says of itself that it is that of an object.
pub(crate) fn is_schema_of_object(schema: &[u8]) -> bool {
    Members::parse(schema)
        .is_some_and(|members| is_object(schema, &members) && !members.is_ambiguous("type"))
}

/// Whether the output schema of this tool was put into an object here, and so its
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

fn moved(edits: Vec<Edit>, by: usize) -> Vec<Edit> {
    let moved = |Edit { span, with }| Edit { span: span.start + by..span.end + by, with };
    edits.into_iter().map(moved).collect()
}

/// What makes an output schema that of an object. `None` if nothing does.
fn output_edits(schema: &[u8], wraps: bool) -> Option<Vec<Edit>> {
    let members = Members::parse(schema)?;
    if is_object(schema, &members) {
        return object_edits(schema);
    }
    if !wraps {
        return None;
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

#[cfg(test)]
mod tests;
