//! The groups that claims put somebody in.

use serde_json::{Map, Value};

use crate::settings::Settings;

/// Where groups are looked for if the configured claim says nothing about them.
const USUAL_CLAIMS: [&str; 3] = ["groups", "roles", "cognito:groups"];

/// The groups, each once.
pub(crate) fn of(settings: &Settings, claims: &Map<String, Value>) -> Vec<String> {
    let names = settings.group_claim.as_deref().into_iter().chain(USUAL_CLAIMS);
    let mut groups = names.into_iter().find_map(|name| at(claims, name)).unwrap_or_default();
    if let Some(name) = &settings.role_claim {
        groups.extend(at(claims, name).unwrap_or_default());
    }
    groups.sort_unstable();
    groups.dedup();
    groups
}

/// What the claim of this name says, or else what lies at this dotted path does.
fn at(claims: &Map<String, Value>, path: &str) -> Option<Vec<String>> {
    if let Some(value) = claims.get(path) {
        return strings(value);
    }
    let mut steps = path.split('.');
    let first = steps.next().and_then(|step| claims.get(step));
    let found = steps.try_fold(first, |value, step| value.map(|value| value.get(step)));
    found.flatten().and_then(strings)
}

/// A string, or the strings in an array: one without any says that there are no groups. `None` of what
/// says nothing about groups.
fn strings(value: &Value) -> Option<Vec<String>> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        Value::String(_) => std::slice::from_ref(value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    let texts = items.iter().filter_map(Value::as_str).filter(|text| !text.is_empty());
    Some(texts.map(str::to_owned).collect())
}
