//! Cedar asked in the plain way: all policies at once, all entities, all claims and arguments.

use cedar_policy::{Authorizer, Context, Decision, Entities, PolicySet, Request};
use serde_json::{Map, Value, json};

use crate::{Feature, Object, tests::grammar};

/// Whether something is allowed, and whether some policy fails.
pub(super) fn decide(
    policies: &str,
    claims: &str,
    object: &Object<'_>,
    arguments: Option<&str>,
) -> (bool, bool) {
    let once = |name: &str| ask(policies, claims, &Object { name, ..*object }, arguments);
    let (allows, forbids, errors) = once(object.name);
    let Feature::Resource { template: Some(template) } = object.feature else {
        return (allows && !forbids && errors == 0, errors > 0);
    };
    let (also_allows, also_forbids, more_errors) = once(template);
    let errors = errors + more_errors;
    ((allows || also_allows) && !forbids && !also_forbids && errors == 0, errors > 0)
}

/// Whether a policy permits, whether one forbids, and how many fail.
fn ask(
    policies: &str,
    claims: &str,
    object: &Object<'_>,
    arguments: Option<&str>,
) -> (bool, bool, usize) {
    let (kind, verb, operation, feature) = match object.feature {
        Feature::Tool(_) => ("Tool", "call_tool", "call", "tool"),
        Feature::Prompt => ("Prompt", "get_prompt", "get", "prompt"),
        Feature::Method => ("Method", "send_request", "send", "method"),
        Feature::Resource { .. } | Feature::Template { .. } => {
            ("Resource", "read_resource", "read", "resource")
        }
    };
    let claims: Map<String, Value> = serde_json::from_str(claims).unwrap();
    let arguments = arguments.filter(|_| kind != "Resource").unwrap_or("{}");
    let arguments = attributes_of(&serde_json::from_str(arguments).unwrap());
    let mut attributes = arguments.clone();
    attributes.extend(object_attributes(object, operation, feature));
    let named =
        claims.iter().map(|(name, value)| (format!("claim_{name}"), valued(value).unwrap()));
    let named: Map<String, Value> = named.collect();
    let uid = |kind: &str, id: &str| json!({"type": kind, "id": id});
    let groups: Vec<Value> = match &claims.get("groups") {
        Some(Value::Array(groups)) => groups.clone(),
        group => group.iter().map(|group| (*group).clone()).collect(),
    };
    let groups: Vec<Value> =
        groups.iter().map(|group| uid("THVGroup", group.as_str().unwrap())).collect();
    let principal = uid("Client", claims["sub"].as_str().unwrap());
    let server = uid("MCP", "vmcp");
    let mut parents = vec![server.clone()];
    parents.extend(object.backend.map(|id| uid("Backend", id)));
    let resource = uid(kind, object.name);
    let action = uid("Action", verb);
    let mut entities: Vec<Value> = serde_json::from_str(grammar::ENTITIES).unwrap();
    entities.retain(|entity| ![&principal, &resource].contains(&&entity["uid"]));
    for entity in &mut entities {
        if entity["uid"]["type"] == "Backend" {
            entity["parents"].as_array_mut().unwrap().push(server.clone());
        }
    }
    entities.extend([
        json!({"uid": principal, "attrs": named, "parents": groups}),
        json!({"uid": action, "attrs": {"operation": verb}, "parents": []}),
        json!({"uid": resource, "attrs": attributes, "parents": parents}),
    ]);
    let mut context = named;
    context.extend(arguments);
    let entities = Entities::from_json_value(Value::Array(entities), None).unwrap();
    let context = Context::from_json_value(Value::Object(context), None).unwrap();
    let of = |uid: &Value| cedar_policy::EntityUid::from_json(uid.clone()).unwrap();
    let request = Request::new(of(&principal), of(&action), of(&resource), context, None).unwrap();
    let policies: PolicySet = policies.parse().unwrap();
    let answer = Authorizer::new().is_authorized(&request, &policies, &entities);
    let allows = answer.decision() == Decision::Allow;
    let forbids = !allows && answer.diagnostics().reason().next().is_some();
    (allows, forbids, answer.diagnostics().errors().count())
}

fn object_attributes(object: &Object<'_>, operation: &str, feature: &str) -> Map<String, Value> {
    let mut attributes = Map::new();
    let mut set = |name: &str, value: Option<Value>| {
        attributes.extend(value.map(|value| (name.to_owned(), value)));
    };
    set("name", Some(json!(object.name)));
    set("operation", Some(json!(operation)));
    set("feature", Some(json!(feature)));
    if feature == "resource" {
        set("uri", Some(json!(object.name)));
    }
    if let Feature::Tool(hints) = object.feature {
        set("readOnlyHint", hints.read_only.map(Value::Bool));
        set("destructiveHint", hints.destructive.map(Value::Bool));
    }
    attributes
}

fn attributes_of(arguments: &Map<String, Value>) -> Map<String, Value> {
    let mut attributes = Map::new();
    for (name, value) in arguments {
        if let Some(value) = valued(value).filter(|_| !value.is_array() && !value.is_object()) {
            attributes.insert(format!("arg_{name}"), value);
        }
    }
    for (name, value) in arguments {
        if value.is_array() || value.is_object() || valued(value).is_none() {
            attributes.insert(format!("arg_{name}_present"), Value::Bool(true));
        }
    }
    attributes
}

/// A value in Cedar's format, of those that the grammar has.
fn valued(value: &Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(whole) if whole.fract() == 0.0 && whole.abs() < 1e6 => Some(json!(whole as i64)),
            Some(large) if large.abs() >= 1e6 => None,
            _ => Some(json!({"__extn": {"fn": "decimal", "arg": number.to_string()}})),
        },
        other => Some(other.clone()),
    }
}
