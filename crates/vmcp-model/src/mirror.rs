//! Parameters of a tool that its callers repeat in headers: `x-mcp-header` in its input schema
//! (specification 2026-07-28, basic/transports/streamable-http, "Custom Headers from Tool
//! Parameters").

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    fmt,
};

use crate::raw::{self, Members};

/// What marks a parameter.
const MARK: &str = "x-mcp-header";

/// How deep a schema is looked into.
const DEPTH: usize = 64;

/// How many parameters of a tool may be marked. Every call of it carries a header for each, and others
/// read no more than about a hundred of a request.
const MOST: usize = 64;

/// The largest integer that every reader has exactly.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// One parameter that is repeated in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// What stands behind `Mcp-Param-`, as the schema writes it.
    pub name: Box<str>,
    /// The members that lead to it from the call's `arguments`.
    path: Vec<Box<str>>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    String,
    Integer,
    Boolean,
}

/// A mark that the specification does not allow; the tool must not be offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidMirror {
    /// Not a non-empty token of RFC 9110.
    Name,
    /// The same name twice, in whatever case.
    Twice,
    /// On something that is not a string, an integer or a boolean.
    Type,
    /// Where it cannot be reached by `properties` alone, or by names that everybody reads alike.
    Place,
    /// The schema is nested too deeply to look into.
    Depth,
    /// There are more of them than a request has headers.
    TooMany,
}

impl Mirror {
    /// The marked parameters of a tool, in the order of its schema.
    ///
    /// # Errors
    /// If a mark is not one that the specification allows.
    pub fn of_tool(tool: &[u8]) -> Result<Vec<Self>, InvalidMirror> {
        let mut found = Vec::new();
        if memchr::memmem::find(tool, MARK.as_bytes()).is_none() {
            return Ok(found);
        }
        if let Some(schema) = member(tool, "inputSchema") {
            look(schema, &mut Vec::new(), true, DEPTH, &mut found)?;
        }
        let mut names = HashSet::new();
        if !found.iter().all(|mirror| names.insert(mirror.name.to_ascii_lowercase())) {
            return Err(InvalidMirror::Twice);
        }
        Ok(found)
    }

    /// What the headers say of a call with these `arguments` (JSON text), before it is encoded, in the
    /// order of these parameters. `None` where there is to be no header: the parameter is absent, null,
    /// or not of its type. However many they are, the arguments are read once.
    pub fn values(mirrors: &[Self], arguments: &[u8]) -> Vec<Option<String>> {
        let mut values = vec![None; mirrors.len()];
        let places = mirrors.iter().zip(&mut values);
        collect(places.map(|(mirror, value)| (mirror, &*mirror.path, value)).collect(), arguments);
        values
    }

    fn of_value(&self, value: &[u8]) -> Option<String> {
        match self.kind {
            // What is no text is there all the same. No header says it, so none agrees.
            Kind::String if value.starts_with(b"\"") => Some(
                raw::as_string(value)
                    .unwrap_or_else(|| String::from_utf8_lossy(value).into_owned()),
            ),
            Kind::String => None,
            Kind::Boolean => match value {
                b"true" => Some("true".to_owned()),
                b"false" => Some("false".to_owned()),
                _ => None,
            },
            Kind::Integer => {
                integer(std::str::from_utf8(value).ok()?).map(|value| value.to_string())
            }
        }
    }

    /// Whether a header, decoded, says what the call's value is. Integers are compared as numbers.
    pub fn agrees(&self, header: &str, value: &str) -> bool {
        match self.kind {
            Kind::String | Kind::Boolean => header == value,
            Kind::Integer => integer(header).is_some_and(|said| Some(said) == integer(value)),
        }
    }
}

/// A parameter, the rest of the path to it, and where its value belongs.
type Wanted<'a> = (&'a Mirror, &'a [Box<str>], &'a mut Option<String>);

/// Finds the values of parameters in an object.
fn collect(wanted: Vec<Wanted<'_>>, object: &[u8]) {
    let mut by_name: HashMap<&str, Vec<Wanted<'_>>> = HashMap::new();
    for (mirror, path, place) in wanted {
        if let Some((name, path)) = path.split_first() {
            by_name.entry(name).or_default().push((mirror, path, place));
        }
    }
    if by_name.is_empty() {
        return;
    }
    let Some(members) = Members::parse(object) else { return };
    for member in members.iter() {
        // Of two members of one name the first counts.
        let Some(mut wanted) = by_name.remove(&*member.name) else { continue };
        let value = &object[member.value.clone()];
        for (mirror, _, place) in wanted.extract_if(.., |(_, path, _)| path.is_empty()) {
            *place = mirror.of_value(value);
        }
        collect(wanted, value);
    }
}

/// An integer that is in the safe range, however it is written.
fn integer(text: &str) -> Option<i64> {
    // What JSON does not know as a number is none: no sign in front but a minus, no white space.
    let number: f64 = serde_json::from_str::<serde_json::Number>(text).ok()?.as_f64()?;
    let is_safe = number.fract() == 0.0 && number.abs() <= MAX_SAFE_INTEGER;
    #[expect(clippy::cast_possible_truncation, reason = "a safe integer fits")]
    is_safe.then_some(number as i64)
}

/// Looks for marks in a schema. `is_reachable` says whether only `properties` led here.
fn look(
    schema: &[u8],
    path: &mut Vec<Box<str>>,
    is_reachable: bool,
    depth: usize,
    found: &mut Vec<Mirror>,
) -> Result<(), InvalidMirror> {
    if memchr::memmem::find(schema, MARK.as_bytes()).is_none() {
        return Ok(());
    }
    let depth = depth.checked_sub(1).ok_or(InvalidMirror::Depth)?;
    if schema.starts_with(b"[") {
        for span in raw::elements(schema).unwrap_or_default() {
            look(&schema[span], path, false, depth, found)?;
        }
        return Ok(());
    }
    if !schema.starts_with(b"{") {
        return Ok(());
    }
    let members = Members::parse(schema).ok_or(InvalidMirror::Place)?;
    if let Some(name) = members.value(schema, MARK) {
        if !is_reachable || path.is_empty() {
            return Err(InvalidMirror::Place);
        }
        let name = raw::as_string(name).filter(|name| is_token(name)).ok_or(InvalidMirror::Name)?;
        let kind = members.value(schema, "type").and_then(raw::as_string);
        let kind = match kind.as_deref() {
            Some("string") => Kind::String,
            Some("integer") => Kind::Integer,
            Some("boolean") => Kind::Boolean,
            _ => return Err(InvalidMirror::Type),
        };
        if found.len() == MOST {
            return Err(InvalidMirror::TooMany);
        }
        found.push(Mirror { name: name.into(), path: path.clone(), kind });
    }
    for inner in members.iter() {
        let value = &schema[inner.value.clone()];
        match &*inner.name {
            // Values, in which nothing is a mark.
            "default" | "const" | "enum" | "examples" => {}
            "properties" => {
                if !value.starts_with(b"{") {
                    continue;
                }
                let properties = Members::parse(value).ok_or(InvalidMirror::Place)?;
                for property in properties.iter() {
                    path.push(property.name.clone());
                    look(&value[property.value.clone()], path, is_reachable, depth, found)?;
                    path.pop();
                }
            }
            _ => look(value, path, false, depth, found)?,
        }
    }
    Ok(())
}

/// A token (RFC 9110, section 5.6.2).
fn is_token(name: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_tchar)
}

fn member<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    Members::parse(object)?.value(object, name)
}

impl fmt::Display for InvalidMirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why: Cow<'_, str> = match self {
            Self::Name => "is not a token of letters, digits and punctuation".into(),
            Self::Twice => "stands there twice".into(),
            Self::Type => "is not on a string, an integer or a boolean".into(),
            Self::Place => "is not reached by \"properties\" alone".into(),
            Self::TooMany => format!("is on more than {MOST} parameters").into(),
            Self::Depth => format!("is more than {DEPTH} levels deep").into(),
        };
        write!(f, "its {MARK:?} {why}")
    }
}

impl std::error::Error for InvalidMirror {}

#[cfg(test)]
mod tests;
