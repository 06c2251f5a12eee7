//! What the conformance fixture offers, as the JSON that the suite looks for.

use serde_json::{Value, json};

use super::Part;

/// A PNG of one red pixel.
pub(super) const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC";
/// A WAV file without a single sample.
pub(super) const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

const TEMPLATE: &str = "test://template/{id}/data";

/// The tools that are nothing but tasks.
pub(super) const TASKS: [&str; 5] =
    ["failing_job", "protocol_error_job", "confirm_delete", "multi_input", "test_tool_with_task"];

/// What the second half carries: about every second entry of each list, so that most of what belongs
/// together is apart, and a resource is with the tool that changes it.
const SECOND_HALF: [&str; 25] = [
    "test_image_content",
    "test_embedded_resource",
    "test_tool_with_logging",
    "test_error_handling",
    "test_elicitation",
    "test_elicitation_sep1330_enums",
    "json_schema_2020_12_tool",
    "test_trigger_prompt_change",
    "test_touch_watched_resource",
    "test_missing_capability",
    "test_logging_tool",
    "test_custom_header",
    "test_input_required_result_elicitation",
    "test_input_required_result_list_roots",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_tampered_state",
    "greet",
    "failing_job",
    "confirm_delete",
    "test_tool_with_task",
    "test://static-binary",
    "test://watched-resource",
    TEMPLATE,
    "test_prompt_with_arguments",
    "test_prompt_with_image",
];

/// The half that carries a definition.
pub(super) fn home(definition: &Value) -> Part {
    let mut keys =
        ["uri", "uriTemplate", "name"].iter().filter_map(|key| definition[*key].as_str());
    if keys.next().is_some_and(|key| SECOND_HALF.contains(&key)) { Part::B } else { Part::A }
}

/// Whether a tool cannot be called by a client that knows no tasks.
pub(super) fn must_be_task(tool: &Value) -> bool {
    tool["name"].as_str().is_some_and(|name| TASKS.contains(&name))
}

pub(super) fn tools() -> Vec<Value> {
    let text = |name: &str| json!({name: {"type": "string"}});
    let mut tools = vec![
        tool("test_simple_text", "Answers a simple text", json!({})),
        tool("test_image_content", "Answers an image", json!({})),
        tool("test_audio_content", "Answers a sound", json!({})),
        tool("test_embedded_resource", "Answers an embedded resource", json!({})),
        tool("test_multiple_content_types", "Answers text, image and resource", json!({})),
        tool("test_tool_with_logging", "Logs three times while it runs", json!({})),
        tool("test_tool_with_progress", "Reports progress three times", json!({})),
        tool("test_error_handling", "Fails", json!({})),
        tool("test_sampling", "Asks the client's model", text("prompt")),
        tool("test_elicitation", "Asks the user", text("message")),
        tool("test_elicitation_sep1034_defaults", "Asks with defaults", json!({})),
        tool("test_elicitation_sep1330_enums", "Asks with choices", json!({})),
        tool("test_reconnection", "Closes its own stream before it answers", json!({})),
        json_schema_tool(),
        tool("test_trigger_tool_change", "Adds or removes a tool", json!({})),
        tool("test_trigger_prompt_change", "Adds or removes a prompt", json!({})),
        tool("test_list_roots", "Asks for the client's roots", json!({})),
        tool("test_touch_watched_resource", "Changes the watched resource", json!({})),
        tool("test_streaming_elicitation", "Reports progress, then asks", json!({})),
        tool("test_missing_capability", "Wants a client that samples", json!({})),
        tool("test_logging_tool", "Logs only when asked to", json!({})),
        custom_header_tool(),
        // The suite takes the first tool that it finds in sorted lists, which must work for anybody.
        tool("about", "Says what this is", json!({})),
        tool("greet", "Greets", text("name")),
        slow_tool(),
        tool("failing_job", "A task that fails", json!({})),
        tool("protocol_error_job", "A task that breaks down", json!({})),
        tool("confirm_delete", "A task that asks", text("filename")),
        tool("multi_input", "A task that asks twice at once", json!({})),
        tool("test_tool_with_task", "Asks, and then becomes a task", json!({})),
    ];
    let asking = [
        ("elicitation", "Asks the user for a name"),
        ("sampling", "Asks the client's model for a capital"),
        ("list_roots", "Asks for the client's roots"),
        ("request_state", "Asks, and wants its state back"),
        ("multiple_inputs", "Asks everything at once"),
        ("multi_round", "Asks twice"),
        ("tampered_state", "Asks, and knows its own state"),
        ("capabilities", "Asks what the client can answer"),
    ];
    tools.extend(asking.map(|(name, description)| {
        tool(&format!("test_input_required_result_{name}"), description, json!({}))
    }));
    tools
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

/// The legacy era does not list the prompt that asks; clients of that era do not expect it.
pub(super) fn prompts(modern: bool) -> Vec<Value> {
    let argument = |name: &str| json!({"name": name, "description": name, "required": true});
    let mut prompts = vec![
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
    ];
    if modern {
        let name = "test_input_required_result_prompt";
        prompts.push(json!({"name": name, "description": "Asks the user for a context"}));
    }
    prompts
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

/// Two parameters that are mirrored into headers, one of them below the top.
fn custom_header_tool() -> Value {
    let zone = json!({"type": "string", "x-mcp-header": "Zone"});
    let properties = json!({
        "region": {"type": "string", "x-mcp-header": "Region"},
        "place": {"type": "object", "properties": {"zone": zone}},
    });
    json!({
        "name": "test_custom_header",
        "description": "Says what it was given, in headers too",
        "inputSchema": {"type": "object", "properties": properties, "required": ["region"]},
    })
}

fn slow_tool() -> Value {
    let properties = json!({"seconds": {"type": "number"}, "label": {"type": "string"}});
    json!({
        "name": "slow_compute",
        "description": "Takes so many seconds; a task if the client knows tasks",
        "inputSchema": {"type": "object", "properties": properties},
    })
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
