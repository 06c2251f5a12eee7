//! Secrets that the file names and does not hold. No message quotes one.

use super::{expand, file, value::Value};

/// The name of an environment variable, and what it holds.
pub(super) fn from_variable(value: &Value<'_>) -> Option<(String, String)> {
    let name = value.text()?;
    if !expand::is_name(&name) {
        // It may be the secret itself, in the wrong place.
        value.problem("is not the name of an environment variable");
        return None;
    }
    let text = value.report().variable(&name).filter(|text| !text.is_empty());
    if text.is_none() {
        value.problem(format!("the environment variable {name} is not set or empty"));
    }
    text.map(|text| (name, text))
}

/// What a file holds, without the line break at its end.
pub(super) fn from_file(value: &Value<'_>) -> Option<Vec<u8>> {
    let mut bytes = file::referenced(value)?;
    for end in [b"\n", b"\r"] {
        if bytes.ends_with(end) {
            bytes.pop();
        }
    }
    if bytes.is_empty() {
        value.problem(format!("{} is empty", value.quoted()));
        return None;
    }
    Some(bytes)
}
