//! What is typed becomes what the tool asks for.

use serde_json::json;

use super::{
    argument,
    check::{self, Found},
    content,
};

#[test]
fn an_argument_is_json_unless_text_is_asked_for() {
    let any = json!(null);
    assert_eq!(argument("42", &any), json!(42));
    assert_eq!(argument("[1, {\"a\": null}]", &any), json!([1, {"a": null}]));
    assert_eq!(argument("hello", &any), json!("hello"));
    assert_eq!(argument("", &any), json!(""));
    assert_eq!(argument("true", &json!({"type": "boolean"})), json!(true));
    assert_eq!(argument("42", &json!({"type": "string"})), json!("42"));
    assert_eq!(argument("\"42\"", &json!({"type": ["string", "null"]})), json!("42"));
    for optional in [
        json!({"type": ["string", "null"]}),
        json!({"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ] {
        assert_eq!(argument("42", &optional), json!("42"));
        assert_eq!(argument("null", &optional), json!(null));
    }
    assert_eq!(argument("42", &json!({"oneOf": [{"type": "string"}, {}]})), json!(42));
}

#[test]
fn content_of_every_type_is_shown() {
    let shown = [
        json!({"type": "text", "text": "a\nb"}),
        json!({"type": "image", "mimeType": "image/png", "data": "AAAAAAAA"}),
        json!({"type": "resource", "resource": {"uri": "x:y", "text": "inside"}}),
        json!({"type": "resource", "resource": {"uri": "x:y", "blob": "AAAA"}}),
        json!({"type": "resource_link", "uri": "x:\u{1b}y"}),
        json!({"odd": true}),
    ];
    let shown: Vec<_> = shown.iter().map(content).collect();
    let expected = [
        "a\nb",
        "[image image/png, about 6 bytes]",
        "inside",
        "[resource unknown type, about 3 bytes]",
        "[resource x:\\u{1b}y]",
        "{\"odd\":true}",
    ];
    assert_eq!(shown, expected);
}

/// What is found wrong with arguments, and what is odd about them.
fn found(schema: &serde_json::Value, arguments: &serde_json::Value) -> (Vec<String>, Vec<String>) {
    let Found { wrong, odd } = check::arguments(schema, arguments.as_object().unwrap());
    (wrong, odd)
}

#[test]
fn arguments_are_compared_with_the_schema_all_at_once() {
    let schema = json!({
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "count": {"type": ["integer", "null"]},
            "mode": {"enum": ["fast", 2, null]},
            "to": {"type": "object", "properties": {"host": {"type": "string"}}, "required": ["host"]},
        },
        "required": ["path", "count"],
        "additionalProperties": false,
    });
    let arguments = json!({"pth": "x", "count": "s3cret", "mode": "slow", "to": {"port": 1}});
    let (wrong, odd) = found(&schema, &arguments);
    let expected = [
        "it has no argument \"pth\"; did you mean \"path\"?",
        "the argument \"count\" must be integer or null, not string",
        "the argument \"mode\" must be one of \"fast\", 2, null",
        "the argument \"to.host\" is missing",
        "the argument \"path\" is missing",
    ];
    assert_eq!(wrong, expected);
    assert_eq!(odd, ["it has no argument \"to.port\""]);
    let good = json!({"path": "", "count": 1.0, "mode": 2.0, "to": {"host": "h"}});
    assert_eq!(found(&schema, &good), (vec![], vec![]));
}

/// What a reader of the schema could take is the server's to judge.
#[test]
fn what_may_be_valid_is_never_refused() {
    let arguments = json!({"a": 1, "b": null, "c": {"d": [1]}});
    for schema in [
        json!(null),
        json!(true),
        json!({}),
        json!({"type": "object"}),
        json!({"properties": {"a": true, "b": {}, "c": {"$ref": "#/$defs/c"}}}),
        json!({"properties": {"a": {"type": "odd"}, "b": {"type": "string", "nullable": true}, "c": {"type": []}}}),
        json!({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "number"}]}, "b": {"enum": 5}, "c": {"properties": 5, "required": [5]}}}),
        json!({"properties": {"x": {}}, "additionalProperties": true}),
        json!({"properties": {"x": {}}, "additionalProperties": {"type": "string"}}),
        json!({"properties": {"x": {}}, "additionalProperties": false, "patternProperties": {".": {}}}),
        json!({"properties": {"x": {}}, "additionalProperties": false, "allOf": [{"$ref": "#/$defs/all"}]}),
    ] {
        assert_eq!(found(&schema, &arguments), (vec![], vec![]), "{schema}");
    }
}

#[test]
fn the_arguments_of_prompts_are_compared_with_those_it_names() {
    let named = json!([{"name": "who", "required": true}, {"name": "how"}]);
    let wrong =
        |given: &serde_json::Value| check::of_prompt(&named, given.as_object().unwrap()).wrong;
    assert_eq!(wrong(&json!({"who": "x", "how": "y"})), [""; 0]);
    let expected =
        ["it has no argument \"whom\"; did you mean \"who\"?", "the argument \"who\" is missing"];
    assert_eq!(wrong(&json!({"whom": "x"})), expected);
}
