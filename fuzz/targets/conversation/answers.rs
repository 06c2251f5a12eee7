//! What an honest server answers, of either era.

use serde_json::{Value, json};

use crate::{odd::quoted, script::Setup};

/// What the neighbour says.
pub const GREETING: &str = "the neighbour is well";

/// One request as a peer has read it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Empty of an answer, and of what is no POST.
    pub method: String,
    /// The id as JSON.
    pub id: Option<String>,
    pub params: Value,
}

impl Asked {
    pub fn read(body: &[u8]) -> Self {
        let read: Value = serde_json::from_slice(body).unwrap_or_default();
        Self {
            method: read["method"].as_str().unwrap_or_default().to_owned(),
            id: read.get("id").map(Value::to_string),
            params: read["params"].clone(),
        }
    }
    /// Whether it wants no answer.
    pub fn is_told(&self) -> bool {
        self.id.is_none() || self.method.is_empty()
    }
    /// The id, or what takes its place.
    pub fn id(&self) -> &str {
        self.id.as_deref().unwrap_or("null")
    }
    fn is_modern(&self) -> bool {
        self.params["_meta"]["io.modelcontextprotocol/protocolVersion"].is_string()
    }
}

/// The result or the error, with its member's name.
pub fn honest(asked: &Asked, is_modern: bool, name: &str) -> String {
    let cache = r#""ttlMs":1000,"cacheScope":"private","#;
    let era = if asked.is_modern() { r#""resultType":"complete","# } else { "" };
    let kept = if asked.is_modern() { cache } else { "" };
    let result = match asked.method.as_str() {
        "initialize" => {
            let version = asked.params["protocolVersion"].as_str().unwrap_or("2025-11-25");
            format!(
                r#""protocolVersion":{},{},"serverInfo":{{"name":"peer","version":"1"}}"#,
                quoted(version),
                capabilities()
            )
        }
        "server/discover" if is_modern => {
            format!(r#"{era}{kept}"supportedVersions":["2026-07-28"],{}"#, capabilities())
        }
        "tools/list" => format!(
            r#"{era}{kept}"tools":[{{"name":{},"inputSchema":{{"type":"object"}}}}]"#,
            quoted(name)
        ),
        "resources/list" => {
            format!(r#"{era}{kept}"resources":[{{"uri":"{name}://r","name":"r"}}]"#)
        }
        "resources/templates/list" => format!(
            r#"{era}{kept}"resourceTemplates":[{{"uriTemplate":"{name}://x/{{y}}","name":"x"}}]"#
        ),
        "prompts/list" => format!(r#"{era}{kept}"prompts":[{{"name":"p"}}]"#),
        "tools/call" => format!(r#"{era}"content":[{{"type":"text","text":"{GREETING}"}}]"#),
        "resources/read" => format!(r#"{era}{kept}"contents":[{{"uri":"{name}://r","text":"r"}}]"#),
        "prompts/get" => format!(r#"{era}"messages":[]"#),
        "completion/complete" => format!(r#"{era}"completion":{{"values":["a"]}}"#),
        "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => {
            era.trim_end_matches(',').to_owned()
        }
        _ => return r#""error":{"code":-32601,"message":"no such method"}"#.to_owned(),
    };
    format!(r#""result":{{{result}}}"#)
}

/// The status that goes with it.
pub fn status(asked: &Asked, answer: &str, setup: Setup) -> u16 {
    let is_refused = answer.starts_with("\"error\"");
    match is_refused && (setup.refuses_by_status() || asked.is_modern()) {
        true if asked.is_modern() => 404,
        true => 400,
        false => 200,
    }
}

fn capabilities() -> String {
    let all = json!({
        "tools": {"listChanged": true}, "prompts": {"listChanged": true}, "logging": {},
        "resources": {"listChanged": true, "subscribe": true}, "completions": {},
    });
    format!(r#""capabilities":{all}"#)
}
