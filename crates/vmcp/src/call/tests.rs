//! What is typed becomes what the tool asks for.

use serde_json::json;

use super::{argument, content};

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
