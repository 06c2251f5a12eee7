//! How values of a request stand in its headers, and which parameters of a tool do.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

const PREFIX: &str = "=?base64?";
const SUFFIX: &str = "?=";

/// A parameter that is mirrored into a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrored {
    /// The keys that lead to it in the arguments.
    pub path: Vec<String>,
    /// What follows `Mcp-Param-` in the header's name.
    pub header: String,
}

/// A value as a header holds it: encoded if it must be.
pub fn encoded(value: &str) -> String {
    let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && value.trim_matches([' ', '\t']) == value
        && !(value.starts_with(PREFIX) && value.ends_with(SUFFIX));
    if plain { value.to_owned() } else { format!("{PREFIX}{}{SUFFIX}", STANDARD.encode(value)) }
}

/// The value that a header holds; `None` if it claims to be encoded and is not.
pub fn decoded(header: &str) -> Option<String> {
    match header.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX)) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(header.to_owned()),
    }
}

/// The parameters of a tool that are mirrored, or what is wrong with its annotations.
pub fn mirrored(input_schema: &Value) -> Result<Vec<Mirrored>, String> {
    let mut all = Vec::new();
    collect(input_schema, &mut Vec::new(), &mut all)?;
    let mut names = BTreeSet::new();
    for one in &all {
        if !names.insert(one.header.to_ascii_lowercase()) {
            return Err(format!("x-mcp-header {:?} stands twice", one.header));
        }
    }
    Ok(all)
}

/// The value of a parameter as text; `None` if it is absent, null, or nothing that can be mirrored.
pub fn text_of(arguments: &Value, path: &[String]) -> Option<String> {
    match path.iter().try_fold(arguments, |value, key| value.get(key))? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether two texts are the same value; numbers are compared as numbers.
pub(super) fn agree(header: &str, body: &str, body_is_number: bool) -> bool {
    let numbers = || Some(header.parse::<f64>().ok()? == body.parse::<f64>().ok()?);
    header == body || (body_is_number && numbers().unwrap_or(false))
}

fn collect(schema: &Value, path: &mut Vec<String>, all: &mut Vec<Mirrored>) -> Result<(), String> {
    let Some(members) = schema.as_object() else { return Ok(()) };
    for (keyword, value) in members {
        match keyword.as_str() {
            "x-mcp-header" => {
                check(schema, path, value)?;
                let header = value.as_str().unwrap_or_default().to_owned();
                all.push(Mirrored { path: path.clone(), header });
            }
            "properties" => {
                for (key, property) in value.as_object().into_iter().flatten() {
                    path.push(key.clone());
                    collect(property, path, all)?;
                    path.pop();
                }
            }
            // These hold values, not schemas.
            "default" | "const" | "enum" | "examples" => {}
            _ if mentions(value) => return Err(format!("x-mcp-header below {keyword:?}")),
            _ => {}
        }
    }
    Ok(())
}

fn check(schema: &Value, path: &[String], header: &Value) -> Result<(), String> {
    let Some(header) = header.as_str() else {
        return Err(format!("x-mcp-header is {header}, no text"));
    };
    if header.is_empty() || !header.bytes().all(is_token) {
        return Err(format!("x-mcp-header {header:?} is no header's name"));
    }
    if path.is_empty() {
        return Err("x-mcp-header on no parameter".to_owned());
    }
    match schema["type"].as_str() {
        Some("string" | "integer" | "boolean") => Ok(()),
        _ => Err(format!("x-mcp-header {header:?} on a parameter of type {}", schema["type"])),
    }
}

fn mentions(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.contains_key("x-mcp-header") || members.values().any(mentions)
        }
        Value::Array(items) => items.iter().any(mentions),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{agree, decoded, encoded, mirrored, text_of};

    #[test]
    fn the_examples_of_the_specification() {
        for (value, header) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
            ("us west 1", "us west 1"),
            ("", ""),
        ] {
            assert_eq!(encoded(value), header);
            assert_eq!(decoded(header).as_deref(), Some(value));
        }
        assert_eq!(decoded("=?base64?SGVsbG8?="), None, "the padding is missing");
        assert_eq!(decoded("=?base64?SGVs!!!bG8=?="), None);
        assert_eq!(decoded("=?base64?SGVsbG8=").as_deref(), Some("=?base64?SGVsbG8="));
        assert!(agree("42.0", "42", true) && !agree("42.0", "42", false));
    }

    #[test]
    fn only_plain_parameters_in_reach_are_mirrored() {
        let valid = json!({"type": "object", "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "place": {"type": "object", "properties": {
                "zone": {"type": "integer", "x-mcp-header": "Zone"},
            }},
            "x-mcp-header": {"type": "string"},
        }});
        let all = mirrored(&valid).unwrap();
        let arguments = json!({"region": "eu", "place": {"zone": 7}});
        let values: Vec<_> = all.iter().map(|one| text_of(&arguments, &one.path)).collect();
        assert_eq!(all.len(), 2);
        assert!(values.contains(&Some("eu".to_owned())) && values.contains(&Some("7".to_owned())));

        let string = |header: &str| json!({"type": "string", "x-mcp-header": header});
        for invalid in [
            json!({"properties": {"a": string("")}}),
            json!({"properties": {"a": string("Two Words")}}),
            json!({"properties": {"a": string("A"), "b": string("a")}}),
            json!({"properties": {"a": {"type": "number", "x-mcp-header": "A"}}}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": 1}}}),
            json!({"properties": {"a": {"type": "array", "items": string("A")}}}),
            json!({"anyOf": [{"properties": {"a": string("A")}}]}),
            json!({"$defs": {"a": string("A")}}),
            string("A"),
        ] {
            assert!(mirrored(&invalid).is_err(), "{invalid}");
        }
    }
}
