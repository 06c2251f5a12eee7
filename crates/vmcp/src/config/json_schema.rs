//! The JSON Schema (draft 2020-12) of the configuration file, for editors and pipelines.
//!
//! It knows each key by itself; what one key demands of another is told by `vmcp validate`.

use serde_json::{Map, Value, json};

use super::{
    keys,
    schema::{Key, LEAST_TIME, Need, Shape},
    units::{show_duration, show_size},
};

/// A text with a variable in it, which is checked when the variable's value is known.
const VARIABLE: &str = r"\$\{";

/// The whole schema, as text.
pub(crate) fn json_schema() -> String {
    let mut schema = map_of(keys::ROOT);
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".into(), json!("The configuration of vmcp"));
    schema.insert("$defs".into(), definitions());
    format!("{:#}\n", Value::Object(schema))
}

/// What several keys have in common.
fn definitions() -> Value {
    let number = |unit: &str| format!(r"^[0-9]+{unit}$|{VARIABLE}");
    let duration = r"^(([0-9]+\.?[0-9]*|\.[0-9]+)(h|m|s|ms|us|µs|μs|ns))+$";
    json!({
        "text": {"type": ["string", "number", "boolean"], "minLength": 1},
        "anyText": {"type": ["string", "number", "boolean"]},
        "variable": {"type": "string", "pattern": VARIABLE},
        "flag": {"anyOf": [
            {"type": "boolean"},
            {"type": "string", "pattern": format!("^(true|false)$|{VARIABLE}")},
        ]},
        "writtenCount": {"type": "string", "pattern": number("")},
        "writtenSize": {"type": "string", "pattern": number("(KiB|MiB|GiB)?")},
        "duration": {"type": "string", "pattern": format!("{duration}|{VARIABLE}")},
    })
}

fn map_of(keys: &[Key]) -> Map<String, Value> {
    let accepted = || keys.iter().filter(|key| key.need != Need::NotYet);
    let properties: Map<String, Value> =
        accepted().map(|key| (key.name.to_owned(), property(key))).collect();
    let required = accepted().filter(|key| key.need == Need::Required);
    let mut schema = Map::new();
    schema.insert("type".into(), json!("object"));
    schema.insert("additionalProperties".into(), json!(false));
    schema.insert("properties".into(), Value::Object(properties));
    schema.insert("required".into(), required.map(|key| key.name).collect());
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = of_shape(&key.shape);
    if key.need == Need::Required && matches!(key.shape, Shape::Sections(_)) {
        schema["minItems"] = json!(1);
    }
    let bounds = match key.shape {
        Shape::Time { most, .. } | Shape::TimeMap { most } => {
            format!("; from {} to {}", show_duration(LEAST_TIME), show_duration(most))
        }
        Shape::Size { most, .. } => format!("; at most {}", show_size(most)),
        _ => String::new(),
    };
    schema["description"] = json!(format!("{}{bounds}", key.doc));
    let default = match key.shape {
        Shape::Count { default, .. } | Shape::Size { default, .. } => Some(json!(default)),
        Shape::Time { default, .. } => Some(json!(show_duration(default))),
        Shape::Flag => key.default.map(|default| json!(default == "true")),
        Shape::Texts => key.default.map(|default| json!([default])),
        _ => key.default.map(|default| json!(default)),
    };
    if let Some(default) = default {
        schema["default"] = default;
    }
    schema
}

fn of_shape(shape: &Shape) -> Value {
    let defined = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    let list = |items: Value| json!({"type": "array", "items": items});
    let named = |values: Value| json!({"type": "object", "additionalProperties": values});
    match *shape {
        Shape::Text => defined("text"),
        Shape::AnyText => defined("anyText"),
        Shape::Flag => defined("flag"),
        Shape::Choice { values, .. } => json!({"anyOf": [{"enum": values}, defined("variable")]}),
        Shape::Count { least, most, .. } => json!({"anyOf": [
            {"type": "integer", "minimum": least, "maximum": most},
            defined("writtenCount"),
        ]}),
        Shape::Size { most, .. } => json!({"anyOf": [
            {"type": "integer", "minimum": 1, "maximum": most},
            defined("writtenSize"),
        ]}),
        Shape::Time { .. } => defined("duration"),
        Shape::Texts => list(defined("text")),
        Shape::AnyTexts => list(defined("anyText")),
        Shape::TextMap => named(defined("anyText")),
        Shape::TimeMap { .. } => named(defined("duration")),
        Shape::Section(keys) => Value::Object(map_of(keys)),
        Shape::Sections(keys) => list(Value::Object(map_of(keys))),
        Shape::Named(keys) => named(Value::Object(map_of(keys))),
        Shape::Anything => json!(true),
    }
}
