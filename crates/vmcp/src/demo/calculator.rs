//! The demo's calculator: tools without memory.

use serde_json::{Value, json};
use vmcp_model::Method;
use vmcp_wire::Message;

use super::backend::{Notes, Server};

pub(super) const SERVER: Server = Server {
    name: "calculator",
    instructions: "Use the calculator for arithmetic.",
    capabilities: || json!({"tools": {}}),
    answer,
};

fn answer(_notes: &mut Notes, message: &Message, params: &Value) -> Result<Value, String> {
    match message.method() {
        Some(Method::ToolsList) => Ok(json!({"tools": [
            tool("add", "Adds two numbers."),
            tool("multiply", "Multiplies two numbers."),
        ]})),
        Some(Method::ToolsCall) => {
            let number = |name: &str| {
                let value = params["arguments"][name].as_f64();
                value.ok_or_else(|| format!("the argument {name:?} must be a number"))
            };
            let (a, b) = (number("a")?, number("b")?);
            let result = match params["name"].as_str() {
                Some("add") => a + b,
                Some("multiply") => a * b,
                _ => return Err(format!("unknown tool: {}", params["name"])),
            };
            Ok(json!({"content": [{"type": "text", "text": result.to_string()}]}))
        }
        _ => Err(format!("{} is not offered", message.method_name())),
    }
}

fn tool(name: &str, description: &str) -> Value {
    let number = json!({"type": "number"});
    json!({
        "name": name,
        "description": description,
        "inputSchema": {
            "type": "object",
            "properties": {"a": number, "b": number},
            "required": ["a", "b"],
        },
    })
}
