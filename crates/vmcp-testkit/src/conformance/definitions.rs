//! What the conformance fixture offers, as the JSON that the suite looks for.

use serde_json::{Value, json};

/// A PNG of one red pixel.
pub(super) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC";
/// A WAV file without a single sample.
pub(super) const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

const TEMPLATE: &str = "test://template/{id}/data";

pub(super) fn tools() -> Vec<Value> {
    vec![
        tool("test_simple_text", "Answers a simple text", json!({})),
        tool("test_image_content", "Answers an image", json!({})),
        tool("test_audio_content", "Answers a sound", json!({})),
        tool("test_embedded_resource", "Answers an embedded resource", json!({})),
        tool("test_multiple_content_types", "Answers text, image and resource", json!({})),
        tool("test_tool_with_logging", "Logs three times while it runs", json!({})),
        tool("test_tool_with_progress", "Reports progress three times", json!({})),
        tool("test_error_handling", "Fails", json!({})),
        tool("test_sampling", "Asks the client's model", json!({"prompt": {"type": "string"}})),
        tool("test_elicitation", "Asks the user", json!({"message": {"type": "string"}})),
        tool("test_elicitation_sep1034_defaults", "Asks with defaults", json!({})),
        tool("test_elicitation_sep1330_enums", "Asks with choices", json!({})),
        tool("test_reconnection", "Closes its own stream before it answers", json!({})),
        json_schema_tool(),
        tool("test_trigger_tool_change", "Adds or removes a tool", json!({})),
        tool("test_trigger_prompt_change", "Adds or removes a prompt", json!({})),
        tool("test_list_roots", "Asks for the client's roots", json!({})),
        tool("test_touch_watched_resource", "Changes the watched resource", json!({})),
    ]
}

/// The tool that `test_trigger_tool_change` adds and removes.
pub(super) fn extra_tool() -> Value {
    tool("test_extra_tool", "Comes and goes", json!({}))
}

/// The prompt that `test_trigger_prompt_change` adds and removes.
pub(super) fn extra_prompt() -> Value {
    json!({"name": "test_extra_prompt", "description": "Comes and goes"})
}

pub(super) fn resources() -> Vec<Value> {
    vec![
        resource("test://static-text", "static text", "text/plain"),
        resource("test://static-binary", "static binary", "image/png"),
        resource("test://watched-resource", "watched resource", "text/plain"),
    ]
}

pub(super) fn templates() -> Vec<Value> {
    vec![json!({
        "uriTemplate": TEMPLATE,
        "name": "template",
        "description": "Data for any id",
        "mimeType": "application/json",
    })]
}

pub(super) fn prompts() -> Vec<Value> {
    let argument = |name: &str| json!({"name": name, "description": name, "required": true});
    vec![
        json!({"name": "test_simple_prompt", "description": "No arguments"}),
        json!({
            "name": "test_prompt_with_arguments",
            "description": "Two arguments",
            "arguments": [argument("arg1"), argument("arg2")],
        }),
        json!({
            "name": "test_prompt_with_embedded_resource",
            "description": "Embeds a resource",
            "arguments": [argument("resourceUri")],
        }),
        json!({"name": "test_prompt_with_image", "description": "Holds an image"}),
    ]
}

/// What a listed resource holds.
pub(super) fn content(uri: &str) -> Option<Value> {
    let text = |text: &str| Some(json!({"uri": uri, "mimeType": "text/plain", "text": text}));
    match uri {
        "test://static-text" => text("This is the content of the static text resource."),
        "test://static-binary" => Some(json!({"uri": uri, "mimeType": "image/png", "blob": PNG})),
        "test://watched-resource" => text("This resource can be watched."),
        _ => None,
    }
}

/// What the template makes of a URI that fits it.
pub(super) fn template_content(uri: &str) -> Option<Value> {
    let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
    if id.is_empty() || id.contains('/') {
        return None;
    }
    let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
    Some(json!({"uri": uri, "mimeType": "application/json", "text": data.to_string()}))
}

/// The messages of a prompt.
pub(super) fn messages(name: &str, arguments: &Value) -> Option<Value> {
    let user = |content: Value| json!({"role": "user", "content": content});
    let text = |text: &str| user(json!({"type": "text", "text": text}));
    let argument = |name: &str| arguments[name].as_str().unwrap_or_default();
    match name {
        "test_simple_prompt" => Some(json!([text("This is a simple prompt for testing.")])),
        "test_extra_prompt" => Some(json!([text("It is there for now.")])),
        "test_prompt_with_arguments" => {
            let (first, second) = (argument("arg1"), argument("arg2"));
            let said = format!("Prompt with arguments: arg1='{first}', arg2='{second}'");
            Some(json!([text(&said)]))
        }
        "test_prompt_with_embedded_resource" => Some(json!([
            user(json!({"type": "resource", "resource": {
                "uri": argument("resourceUri"),
                "mimeType": "text/plain",
                "text": "Embedded resource content for testing.",
            }})),
            text("Please process the embedded resource above."),
        ])),
        "test_prompt_with_image" => Some(json!([
            user(json!({"type": "image", "data": PNG, "mimeType": "image/png"})),
            text("Please analyze the image above."),
        ])),
        _ => None,
    }
}

fn tool(name: &str, description: &str, properties: Value) -> Value {
    let required: Vec<String> =
        properties.as_object().into_iter().flat_map(|all| all.keys().cloned()).collect();
    json!({
        "name": name,
        "description": description,
        "inputSchema": {"type": "object", "properties": properties, "required": required},
    })
}

fn resource(uri: &str, name: &str, mime_type: &str) -> Value {
    json!({"uri": uri, "name": name, "description": name, "mimeType": mime_type})
}

/// A schema with the keywords that a gateway is tempted to drop.
fn json_schema_tool() -> Value {
    json!({
        "name": "json_schema_2020_12_tool",
        "description": "Takes arguments that a rich schema describes",
        "inputSchema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "address": {
                    "$anchor": "addressDef",
                    "type": "object",
                    "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
                },
            },
            "properties": {
                "name": {"type": "string"},
                "address": {"$ref": "#/$defs/address"},
                "contactMethod": {"type": "string", "enum": ["phone", "email"]},
                "phone": {"type": "string"},
                "email": {"type": "string"},
            },
            "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
            "if": {
                "properties": {"contactMethod": {"const": "phone"}},
                "required": ["contactMethod"],
            },
            "then": {"required": ["phone"]},
            "else": {"required": ["email"]},
            "additionalProperties": false,
        },
    })
}
