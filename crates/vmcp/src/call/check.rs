//! What a tool's input schema says against arguments before they are sent.
//!
//! Only what no reader of the schema could take otherwise: names, types and choices. Everything else is the
//! server's to judge.

use serde_json::{Map, Value};

use crate::suggest::did_you_mean;

/// How deep arguments are followed into one another.
const DEPTH: usize = 16;

/// Keywords by which a schema may name properties in another way than `properties`.
const ELSEWHERE: [&str; 12] = [
    "$ref",
    "$dynamicRef",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependencies",
    "patternProperties",
];

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// What the schema does not allow.
    pub(super) wrong: Vec<String>,
    /// What it does not know, and does not forbid.
    pub(super) odd: Vec<String>,
}

/// Compares the arguments of a call with the tool's `inputSchema`.
pub(super) fn arguments(schema: &Value, arguments: &Map<String, Value>) -> Found {
    let mut found = Found::default();
    found.object(schema, arguments, "", 0);
    found
}

/// Compares the arguments of a prompt with those that it names.
pub(super) fn of_prompt(named: &Value, arguments: &Map<String, Value>) -> Found {
    let mut found = Found::default();
    let named: Vec<&Value> = named.as_array().into_iter().flatten().collect();
    let names = || named.iter().filter_map(|one| one["name"].as_str());
    for name in arguments.keys().filter(|name| !names().any(|known| known == *name)) {
        found.wrong.push(format!("it has no argument {name:?}{}", did_you_mean(name, names())));
    }
    let required = named.iter().filter(|one| one["required"] == true);
    for name in required.filter_map(|one| one["name"].as_str()) {
        if !arguments.contains_key(name) {
            found.wrong.push(format!("the argument {name:?} is missing"));
        }
    }
    found
}

impl Found {
    fn object(&mut self, schema: &Value, object: &Map<String, Value>, path: &str, depth: usize) {
        if depth > DEPTH {
            return;
        }
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        for (name, value) in object {
            let path = format!("{path}{name}");
            match properties.get(name) {
                Some(property) => self.value(property, value, &path, depth),
                None => self.unknown(schema, properties, &path, name),
            }
        }
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str).filter(|name| !object.contains_key(*name)) {
            self.wrong.push(format!("the argument {:?} is missing", format!("{path}{name}")));
        }
    }

    fn unknown(&mut self, schema: &Value, properties: &Map<String, Value>, path: &str, name: &str) {
        if ELSEWHERE.iter().any(|keyword| !schema[*keyword].is_null()) {
            return;
        }
        let meant = did_you_mean(name, properties.keys().map(String::as_str));
        let told = format!("it has no argument {path:?}{meant}");
        match &schema["additionalProperties"] {
            Value::Bool(false) => self.wrong.push(told),
            Value::Null if !properties.is_empty() => self.odd.push(told),
            // It takes any.
            _ => {}
        }
    }

    fn value(&mut self, schema: &Value, value: &Value, path: &str, depth: usize) {
        let types = own_types(schema);
        let is_nothing = value.is_null() && schema["nullable"] == true;
        if !types.is_empty() && !is_nothing && !is_of_any(&types, value) {
            let wanted = types.join(" or ");
            self.wrong.push(format!("the argument {path:?} must be {wanted}, not {}", kind(value)));
            return;
        }
        if let Value::Array(choices) = &schema["enum"]
            && !is_nothing
            && !choices.iter().any(|choice| is_same(choice, value))
        {
            let choices: Vec<_> = choices.iter().map(Value::to_string).collect();
            let choices = choices.join(", ");
            self.wrong.push(format!("the argument {path:?} must be one of {choices}"));
        }
        if let Value::Object(object) = value {
            self.object(schema, object, &format!("{path}."), depth + 1);
        }
    }
}

/// The types that a schema lets a value have, or its alternatives do; none if it takes any.
pub(super) fn types(schema: &Value) -> Vec<&str> {
    let own = own_types(schema);
    let alternatives = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
    match alternatives {
        Some(alternatives) if own.is_empty() => {
            let each = alternatives.iter().map(own_types);
            let all: Vec<_> = each.collect();
            if all.iter().any(Vec::is_empty) { Vec::new() } else { all.concat() }
        }
        _ => own,
    }
}

fn own_types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether a value is of one of these types.
pub(super) fn is_of_any(types: &[&str], value: &Value) -> bool {
    types.iter().any(|one| is_of(one, value))
}

/// Whether a value is of one of the types of JSON Schema. One that is not known takes anything.
fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        _ => true,
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    one == other || (one.is_number() && other.is_number() && one.as_f64() == other.as_f64())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
