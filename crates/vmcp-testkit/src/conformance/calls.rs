//! What the conformance fixture's tools do.

use std::time::Duration;

use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolRequestParams, LoggingLevel},
    service::{RequestContext, ServiceError},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    Fixture,
    definitions::{PNG, WAV},
    lock, typed,
};
use crate::rmcp_host::{CallStream, RETRY};

type Context = RequestContext<RoleServer>;

/// The pause that the suite asks for between two notifications of a call.
const PAUSE: Duration = Duration::from_millis(50);

impl Fixture {
    /// The result of a tool that is on the list.
    pub(super) async fn call(
        &self,
        request: &CallToolRequestParams,
        context: &Context,
    ) -> Result<Value, ErrorData> {
        let argument = |name: &str| {
            let value = request.arguments.as_ref().and_then(|arguments| arguments.get(name));
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let image = json!({"type": "image", "data": PNG, "mimeType": "image/png"});
        match &*request.name {
            "test_simple_text" => Ok(text("This is a simple text response for testing.")),
            "test_image_content" => Ok(content(json!([image]))),
            "test_audio_content" => {
                Ok(content(json!([{"type": "audio", "data": WAV, "mimeType": "audio/wav"}])))
            }
            "test_embedded_resource" => Ok(content(json!([embedded(
                "test://embedded-resource",
                "text/plain",
                "This is an embedded resource content."
            )]))),
            "test_multiple_content_types" => Ok(content(json!([
                {"type": "text", "text": "Multiple content types test:"},
                image,
                embedded("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
            ]))),
            "test_error_handling" => Ok(json!({
                "content": [{"type": "text", "text": "This tool intentionally returns an error for testing"}],
                "isError": true,
            })),
            "test_tool_with_logging" => self.log_thrice(context).await,
            "test_tool_with_progress" => progress_thrice(context).await,
            "test_sampling" => sample(context, &argument("prompt")).await,
            "test_elicitation" => {
                let answer = elicit(context, &argument("message"), user_schema()).await?;
                Ok(text(&format!("User response: {answer}")))
            }
            "test_elicitation_sep1034_defaults" => {
                let answer = elicit(context, "Check these defaults", defaults_schema()).await?;
                Ok(text(&format!("Elicitation completed: {answer}")))
            }
            "test_elicitation_sep1330_enums" => {
                let answer = elicit(context, "Choose", enums_schema()).await?;
                Ok(text(&format!("Elicitation completed: {answer}")))
            }
            "test_list_roots" => list_roots(context).await,
            "test_reconnection" => {
                if let Some(stream) = context.extensions.get::<CallStream>() {
                    stream.close().await;
                }
                sleep(5 * RETRY).await;
                Ok(text("The stream was closed and this came after it."))
            }
            "json_schema_2020_12_tool" => Ok(text(&json!(request.arguments).to_string())),
            "test_extra_tool" => Ok(text("It is there for now.")),
            change => {
                self.change(change).await;
                Ok(text("changed"))
            }
        }
    }

    async fn change(&self, tool: &str) {
        {
            let mut extra = lock(&self.shared.extra);
            match tool {
                "test_trigger_tool_change" => extra.tool = !extra.tool,
                "test_trigger_prompt_change" => extra.prompt = !extra.prompt,
                _ => {}
            }
        }
        let watched = "test://watched-resource";
        for listener in self.shared.listeners() {
            // Whoever left in the meantime need not know.
            let _ = match tool {
                "test_trigger_tool_change" => listener.peer.notify_tool_list_changed().await,
                "test_trigger_prompt_change" => listener.peer.notify_prompt_list_changed().await,
                _ if lock(&listener.session.subscriptions).contains(watched) => {
                    let updated = typed(json!({"uri": watched}));
                    listener.peer.notify_resource_updated(updated).await
                }
                _ => Ok(()),
            };
        }
    }

    async fn log_thrice(&self, context: &Context) -> Result<Value, ErrorData> {
        let said = ["Tool execution started", "Tool processing data", "Tool execution completed"];
        let wanted = lock(&self.session.level).unwrap_or(LoggingLevel::Debug);
        let wants_info = matches!(wanted, LoggingLevel::Debug | LoggingLevel::Info);
        for (index, message) in said.into_iter().enumerate() {
            if index > 0 {
                sleep(PAUSE).await;
            }
            if wants_info {
                let note = typed(json!({"level": "info", "logger": "fixture", "data": message}));
                context.peer.notify_logging_message(note).await.map_err(failed)?;
            }
        }
        Ok(text("Logged three messages."))
    }
}

async fn progress_thrice(context: &Context) -> Result<Value, ErrorData> {
    let token = context.meta.get_progress_token();
    for progress in [0, 50, 100] {
        if progress > 0 {
            sleep(PAUSE).await;
        }
        if let Some(token) = &token {
            let note = typed(json!({"progressToken": token, "progress": progress, "total": 100}));
            context.peer.notify_progress(note).await.map_err(failed)?;
        }
    }
    Ok(text("Reported progress three times."))
}

async fn sample(context: &Context, prompt: &str) -> Result<Value, ErrorData> {
    let request = typed(json!({
        "messages": [{"role": "user", "content": {"type": "text", "text": prompt}}],
        "maxTokens": 100,
    }));
    let answer = context.peer.create_message(request).await.map_err(failed)?;
    let said = answer.message.content.first().and_then(|content| content.as_text().cloned());
    let said = said.map_or_else(String::new, |content| content.text);
    Ok(text(&format!("LLM response: {said}")))
}

async fn list_roots(context: &Context) -> Result<Value, ErrorData> {
    let answer = context.peer.list_roots().await.map_err(failed)?;
    let roots: Vec<String> = answer.roots.into_iter().map(|root| root.uri).collect();
    Ok(text(&format!("Roots: {}", roots.join(", "))))
}

async fn elicit(context: &Context, message: &str, schema: Value) -> Result<String, ErrorData> {
    let request = typed(json!({"mode": "form", "message": message, "requestedSchema": schema}));
    let answer = context.peer.create_elicitation(request).await.map_err(failed)?;
    let action = json!(answer.action);
    let action = action.as_str().unwrap_or_default();
    let content = json!(answer.content);
    Ok(format!("action={action}, content={content}"))
}

fn user_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "username": {"type": "string", "description": "User's response"},
            "email": {"type": "string", "description": "User's email address"},
        },
        "required": ["username", "email"],
    })
}

fn defaults_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
            "verified": {"type": "boolean", "default": true},
        },
        "required": [],
    })
}

fn enums_schema() -> Value {
    let titled = |prefix: &str, noun: &str| {
        let ranks = ["First", "Second", "Third"].into_iter().enumerate();
        let one = |(index, rank)| json!({"const": format!("{prefix}{}", index + 1), "title": format!("{rank} {noun}")});
        ranks.map(one).collect::<Vec<_>>()
    };
    let options = json!(["option1", "option2", "option3"]);
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": {"type": "string", "enum": options},
            "titledSingle": {"type": "string", "oneOf": titled("value", "Option")},
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled("value", "Choice")}},
        },
        "required": [],
    })
}

fn embedded(uri: &str, mime_type: &str, text: &str) -> Value {
    json!({"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": text}})
}

fn text(text: &str) -> Value {
    content(json!([{"type": "text", "text": text}]))
}

fn content(content: Value) -> Value {
    json!({"content": content})
}

/// What a client refused or could not do is the call's error.
fn failed(error: ServiceError) -> ErrorData {
    match error {
        ServiceError::McpError(error) => error,
        other => ErrorData::internal_error(other.to_string(), None),
    }
}
