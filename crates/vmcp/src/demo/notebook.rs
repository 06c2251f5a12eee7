//! The demo's notebook: it remembers what its session has written.

use serde_json::{Value, json};
use vmcp_model::Method;
use vmcp_wire::Message;

use super::backend::{Notes, Server};

/// Notes that one session may write.
const MAX_NOTES: usize = 1000;

pub(super) const SERVER: Server = Server {
    name: "notebook",
    instructions: "Use the notebook to remember things for the length of a session.",
    capabilities: || json!({"tools": {}, "resources": {}, "prompts": {}}),
    answer,
};

fn answer(notes: &mut Notes, message: &Message, params: &Value) -> Result<Value, String> {
    match message.method() {
        Some(Method::ToolsList) => Ok(json!({"tools": [
            {
                "name": "write",
                "description": "Writes a note into this session's notebook.",
                "inputSchema": {
                    "type": "object",
                    "properties": {"text": {"type": "string"}},
                    "required": ["text"],
                },
            },
            {
                "name": "read",
                "description": "Reads every note of this session.",
                "inputSchema": {"type": "object"},
            },
        ]})),
        Some(Method::ToolsCall) => call(notes, params),
        Some(Method::ResourcesList) => Ok(json!({"resources": [{
            "uri": "note://welcome",
            "name": "welcome",
            "description": "A first note.",
            "mimeType": "text/plain",
        }]})),
        Some(Method::ResourcesTemplatesList) => Ok(json!({"resourceTemplates": []})),
        Some(Method::ResourcesRead) if params["uri"] == "note://welcome" => {
            Ok(json!({"contents": [{
                "uri": "note://welcome",
                "mimeType": "text/plain",
                "text": "Welcome to vmcp: every backend behind one endpoint.",
            }]}))
        }
        Some(Method::PromptsList) => Ok(json!({"prompts": [{
            "name": "summarize",
            "description": "Asks for a summary of the notes.",
        }]})),
        Some(Method::PromptsGet) if params["name"] == "summarize" => Ok(json!({"messages": [{
            "role": "user",
            "content": {"type": "text", "text": "Read my notes and summarize them in one sentence."},
        }]})),
        _ => Err(format!("{} is not offered, or not with these parameters", message.method_name())),
    }
}

fn call(notes: &mut Notes, params: &Value) -> Result<Value, String> {
    let text = match params["name"].as_str() {
        Some("write") => {
            let text = params["arguments"]["text"].as_str();
            let text = text.ok_or("the argument \"text\" must be a string")?;
            if notes.len() >= MAX_NOTES {
                return Err(format!("the notebook is full: it holds {MAX_NOTES} notes"));
            }
            notes.push(text.to_owned());
            format!("Noted; {} in all.", notes.len())
        }
        Some("read") => notes.join("\n"),
        _ => return Err(format!("unknown tool: {}", params["name"])),
    };
    Ok(json!({"content": [{"type": "text", "text": text}]}))
}
