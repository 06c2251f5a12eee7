//! What the conformance fixture's tools do; what they ask and their tasks have places of their own.

use std::time::Duration;

use rmcp::{
    ErrorData,
    model::{CallToolRequestParams, CallToolResponse, LoggingLevel},
};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::{
    Context, Fixture,
    asking::{failed, missing_capability},
    changes::Change,
    definitions::{PNG, WAV},
    is_modern, lock, questions, result, typed,
};
use crate::rmcp_host::{CallStream, RETRY};

/// The pause that the suite asks for between two notifications of a call.
const PAUSE: Duration = Duration::from_millis(50);

impl Fixture {
    /// The answer of a tool that is on the list.
    pub(super) async fn call(
        &self,
        request: &CallToolRequestParams,
        context: &Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.clone().unwrap_or_default();
        if let Some(response) = self.call_as_task(request, &arguments, context).await {
            return response;
        }
        if request.name == "test_streaming_elicitation" {
            report_progress(context, &[0]).await?;
        }
        if let Some(script) = questions::of_tool(&request.name, &arguments) {
            let answers = request.input_responses.clone().unwrap_or_default();
            let state = request.request_state.clone();
            return script.run(context, answers, state).await.map(Into::into);
        }
        let answer = self.answer(&request.name, &arguments, context).await?;
        Ok(CallToolResponse::Complete(result(context, answer)))
    }

    async fn answer(
        &self,
        name: &str,
        arguments: &Map<String, Value>,
        context: &Context,
    ) -> Result<Value, ErrorData> {
        let image = json!({"type": "image", "data": PNG, "mimeType": "image/png"});
        match name {
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
            "test_error_handling" => {
                Ok(failure("This tool intentionally returns an error for testing"))
            }
            "test_tool_with_logging" | "test_logging_tool" => self.log_thrice(context).await,
            "test_tool_with_progress" => {
                report_progress(context, &[0, 50, 100]).await?;
                Ok(text("Reported progress three times."))
            }
            "test_missing_capability" => {
                let declared = json!(context.client_capabilities());
                if declared["sampling"].is_object() {
                    return Ok(text("The client has declared sampling."));
                }
                Err(missing_capability("sampling"))
            }
            "test_reconnection" => {
                if let Some(stream) = context.extensions.get::<CallStream>() {
                    stream.close().await;
                }
                sleep(5 * RETRY).await;
                Ok(text("The stream was closed and this came after it."))
            }
            "json_schema_2020_12_tool" | "test_custom_header" => {
                Ok(text(&json!(arguments).to_string()))
            }
            "about" => Ok(text("A server of many small things.")),
            "greet" => {
                let name = arguments.get("name").and_then(Value::as_str).unwrap_or("nobody");
                Ok(text(&format!("Hello, {name}!")))
            }
            "test_extra_tool" => Ok(text("It is there for now.")),
            change => {
                self.change(change).await;
                Ok(text("changed"))
            }
        }
    }

    async fn change(&self, tool: &str) {
        let change = {
            let mut extra = lock(&self.shared.extra);
            match tool {
                "test_trigger_tool_change" => {
                    extra.tool = !extra.tool;
                    Change::Tools
                }
                "test_trigger_prompt_change" => {
                    extra.prompt = !extra.prompt;
                    Change::Prompts
                }
                _ => Change::WatchedResource,
            }
        };
        self.shared.listeners.tell(change).await;
    }

    async fn log_thrice(&self, context: &Context) -> Result<Value, ErrorData> {
        let said = ["Tool execution started", "Tool processing data", "Tool execution completed"];
        let wanted = if is_modern(context) {
            context.meta.log_level()
        } else {
            Some(lock(&self.session.level).unwrap_or(LoggingLevel::Debug))
        };
        let wants_info = matches!(wanted, Some(LoggingLevel::Debug | LoggingLevel::Info));
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

/// Says how far it is, if the client wants to know.
async fn report_progress(context: &Context, steps: &[u8]) -> Result<(), ErrorData> {
    let token = context.meta.get_progress_token();
    for (index, progress) in steps.iter().enumerate() {
        if index > 0 {
            sleep(PAUSE).await;
        }
        if let Some(token) = &token {
            let note = typed(json!({"progressToken": token, "progress": progress, "total": 100}));
            context.peer.notify_progress(note).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// A tool's result that is one text.
pub(super) fn text(text: &str) -> Value {
    content(json!([{"type": "text", "text": text}]))
}

/// A tool's result that says that it failed.
pub(super) fn failure(reason: &str) -> Value {
    json!({"content": [{"type": "text", "text": reason}], "isError": true})
}

fn embedded(uri: &str, mime_type: &str, text: &str) -> Value {
    json!({"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": text}})
}

fn content(content: Value) -> Value {
    json!({"content": content})
}
