//! The JSON Schema (draft 2020-12) of the configuration file, for editors and pipelines.
//!
//! It finds what can be seen in a file alone. Names of backends that there are not, variables and
//! files are for `vmcp validate`.

mod conditions;
mod off;
mod patterns;

use serde_json::{Map, Value, json};

use super::{
    keys,
    schema::{Form, Key, LEAST_TIME, Need, Shape},
    units::{show_duration, show_size},
};
use patterns::VARIABLE;

/// The whole schema, as text.
pub(crate) fn json_schema() -> String {
    let mut schema = map_of("", keys::ROOT);
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".into(), json!("The configuration of vmcp"));
    schema.insert("$defs".into(), definitions());
    format!("{:#}\n", Value::Object(schema))
}

/// What many keys have in common.
fn definitions() -> Value {
    let broken = json!({"pattern": patterns::BROKEN_VARIABLE, "type": "string"});
    let scalar = json!(["string", "number", "boolean"]);
    json!({
        "text": {"type": scalar, "pattern": r"\S", "not": broken},
        "anyText": {"type": scalar, "not": broken},
        "variable": {"type": "string", "pattern": VARIABLE, "not": broken},
        "flag": {"anyOf": [
            {"type": "boolean"},
            {"type": "string", "pattern": patterns::FLAG},
            {"$ref": "#/$defs/variable"},
        ]},
    })
}

/// A map with these keys. `path` leads to it: `backends[].env`, with `NAME` for a free name.
fn map_of(path: &str, keys: &[Key]) -> Map<String, Value> {
    let properties: Map<String, Value> =
        keys.iter().map(|key| (key.name.to_owned(), property(path, key))).collect();
    // Whether there are to be backends depends on where they are looked for.
    let is_conditional = |key: &&Key| path.is_empty() && key.name == "backends";
    let required = keys.iter().filter(|key| key.is_required() && !is_conditional(key));
    let mut schema = Map::new();
    schema.insert("type".into(), json!("object"));
    schema.insert("additionalProperties".into(), json!(false));
    schema.insert("properties".into(), Value::Object(properties));
    schema.insert("required".into(), required.map(|key| key.name).collect());
    let conditions = conditions::of_section(path);
    if !conditions.is_empty() {
        schema.insert("allOf".into(), Value::Array(conditions));
    }
    schema
}

fn property(path: &str, key: &Key) -> Value {
    if let Need::NotYet { off, advice } = key.need {
        let mut schema = off::of(off);
        schema["description"] = json!(format!("not supported yet{advice}"));
        return schema;
    }
    let path = if path.is_empty() { key.name.to_owned() } else { format!("{path}.{}", key.name) };
    let mut schema = of_key(&path, key);
    if key.is_required() && matches!(key.shape, Shape::Sections(_) | Shape::Texts) {
        schema["minItems"] = json!(1);
    }
    let bounds = match key.shape {
        Shape::Time { most, .. } | Shape::TimeMap { most } => {
            format!("; from {} to {}", show_duration(LEAST_TIME), show_duration(most))
        }
        Shape::Size { most, .. } => format!("; at most {}", show_size(most)),
        _ => String::new(),
    };
    let mut schema = or_nothing(key, schema);
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
    if matches!(key.need, Need::WithoutEffect(_)) {
        schema["deprecated"] = json!(true);
    }
    schema
}

/// Allows what is the same as no key.
fn or_nothing(key: &Key, schema: Value) -> Value {
    if key.shape.is_collection() && !key.is_required() {
        // In place of a choice between the two, so that a message speaks of what is inside.
        let mut schema = schema;
        schema["type"] = json!([schema["type"], "null"]);
        return schema;
    }
    let nothing = match key.shape {
        _ if !key.or_zero && key.is_read() => return schema,
        Shape::Time { .. } => {
            json!({"anyOf": [{"type": "null"}, {"const": 0}, {"type": "string", "pattern": patterns::ZERO}]})
        }
        Shape::Count { .. } => json!({"enum": [null, 0]}),
        _ => json!({"enum": [null, ""]}),
    };
    json!({"anyOf": [nothing, schema]})
}

fn of_key(path: &str, key: &Key) -> Value {
    let defined = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    let list = |items: Value| json!({"type": "array", "items": items});
    let named = |values: Value| json!({"type": "object", "additionalProperties": values});
    let section = |path: &str, keys| Value::Object(map_of(path, keys));
    let or_variable = |schema: Value| json!({"anyOf": [schema, defined("variable")]});
    let written = |pattern: String| json!({"type": "string", "pattern": pattern});
    let text = |otherwise: &str| key.form.map_or_else(|| defined(otherwise), of_form);
    match key.shape {
        Shape::Text => text("text"),
        Shape::AnyText => text("anyText"),
        Shape::Flag => defined("flag"),
        Shape::Choice { values, .. } => {
            // A word that is a number is one without quotes.
            let numbers = values.iter().filter_map(|value| value.parse::<u64>().ok());
            let values =
                values.iter().map(|value| json!(value)).chain(numbers.map(|one| json!(one)));
            or_variable(json!({"enum": values.collect::<Vec<_>>()}))
        }
        Shape::Count { least, most, .. } => json!({"anyOf": [
            {"type": "integer", "minimum": least, "maximum": most},
            written(patterns::number(least, most)),
            defined("variable"),
        ]}),
        Shape::Size { most, .. } => json!({"anyOf": [
            {"type": "integer", "minimum": 1, "maximum": most},
            written(patterns::size(most)),
            defined("variable"),
        ]}),
        Shape::Time { most, .. } => or_variable(written(patterns::duration(most))),
        Shape::Texts => {
            let mut schema = list(text("text"));
            // Elsewhere a repetition has no effect and is no mistake.
            schema["uniqueItems"] = json!(key.name == "priorityOrder");
            schema
        }
        Shape::AnyTexts => list(defined("anyText")),
        Shape::TextMap => keyed(key, named(values_of(key))),
        Shape::TimeMap { most } => {
            keyed(key, named(or_variable(written(patterns::duration(most)))))
        }
        Shape::Section(keys) => section(path, keys),
        Shape::Sections(keys) => list(section(&format!("{path}[]"), keys)),
        Shape::Named(keys) => keyed(key, named(section(&format!("{path}.NAME"), keys))),
        Shape::Anything => json!(true),
    }
}

/// A text of a form, or one with a variable in it.
fn of_form(form: Form) -> Value {
    json!({"anyOf": [
        {"type": ["string", "number", "boolean"], "pattern": patterns::of_form(form), "not": {"type": "string", "pattern": r"\$\{"}},
        {"$ref": "#/$defs/variable"},
    ]})
}

/// What a map of texts holds.
fn values_of(key: &Key) -> Value {
    match key.form {
        Some(Form::Headers) => of_form(Form::HeaderValue),
        Some(Form::HeaderFiles) => of_form(Form::File),
        _ => json!({"$ref": "#/$defs/anyText"}),
    }
}

/// A map whose keys have the form, which no variable stands for.
fn keyed(key: &Key, mut schema: Value) -> Value {
    if let Some(form) = key.form {
        schema["propertyNames"] = json!({"pattern": patterns::of_form(form)});
    }
    schema
}
