//! `vmcp call`, `vmcp read` and `vmcp get`: one request, and its result for people or as JSON.

use std::io::IsTerminal as _;

use anyhow::{Context as _, anyhow};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use vmcp_model::Kind;

use crate::{
    cli,
    client::Client,
    logging::Logging,
    output::{Quoted, bytes, line, raw_json},
    printable, target,
};

/// Calls a tool. What the tool itself calls an error is a failure of the command.
pub(crate) fn call(options: &cli::Call, logging: Logging) -> anyhow::Result<()> {
    let raw = target::run(&options.target, logging, async |client| {
        let arguments = match &options.arguments {
            Some(arguments) => arguments.clone(),
            None => arguments(client, &options.tool, &options.pairs).await?,
        };
        let params = json!({"name": options.tool, "arguments": arguments});
        client.ask_raw("tools/call", &params).await
    })?;
    let result: Value = serde_json::from_str(raw.get())?;
    let is_error = result["isError"] == true;
    if options.target.json {
        raw_json(raw.get())?;
        return if is_error { Err(anyhow!("{} reports an error", options.tool)) } else { Ok(()) };
    }
    let items = result["content"].as_array().into_iter().flatten();
    let mut shown: Vec<String> = items.map(content).collect();
    if shown.is_empty() && !result["structuredContent"].is_null() {
        let structured = serde_json::to_string_pretty(&result["structuredContent"])?;
        shown.push(printable::json(&structured));
    }
    if is_error {
        return Err(Quoted(format!("{} reports: {}", options.tool, shown.join("\n"))).into());
    }
    shown.iter().try_for_each(|text| line(format_args!("{text}")))
}

/// Reads a resource. One that is not text goes to standard output as the bytes it is.
pub(crate) fn read(options: &cli::Read, logging: Logging) -> anyhow::Result<()> {
    let raw = target::run(&options.target, logging, async |client| {
        client.ask_raw("resources/read", &json!({"uri": options.uri})).await
    })?;
    if options.target.json {
        return raw_json(raw.get());
    }
    let result: Value = serde_json::from_str(raw.get())?;
    for part in result["contents"].as_array().into_iter().flatten() {
        match part["blob"].as_str() {
            Some(blob) if !std::io::stdout().is_terminal() => {
                let blob = STANDARD.decode(blob).context("the server's base64 is broken")?;
                bytes(&blob)?;
            }
            _ => line(format_args!("{}", resource(part)))?,
        }
    }
    Ok(())
}

/// Gets a prompt and shows its messages.
pub(crate) fn get(options: &cli::Get, logging: Logging) -> anyhow::Result<()> {
    let pairs = options.pairs.iter();
    let arguments: Map<String, Value> =
        pairs.map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
    let raw = target::run(&options.target, logging, async |client| {
        let params = json!({"name": options.prompt, "arguments": arguments});
        client.ask_raw("prompts/get", &params).await
    })?;
    if options.target.json {
        return raw_json(raw.get());
    }
    let result: Value = serde_json::from_str(raw.get())?;
    for message in result["messages"].as_array().into_iter().flatten() {
        let role = printable::line(message["role"].as_str().unwrap_or("?"));
        line(format_args!("{role}: {}", content(&message["content"])))?;
    }
    Ok(())
}

/// The arguments of a call as they were typed, each as what the tool asks for.
async fn arguments(
    client: &Client,
    tool: &str,
    pairs: &[(String, String)],
) -> anyhow::Result<Map<String, Value>> {
    if pairs.is_empty() {
        return Ok(Map::new());
    }
    // A tool that is not listed may exist all the same; the server knows.
    let tools = client.list(Kind::Tool).await?;
    let found = tools.iter().find(|item| item["name"] == tool);
    let properties = found.map_or(&Value::Null, |tool| &tool["inputSchema"]["properties"]);
    let typed = |(key, text): &(String, String)| (key.clone(), argument(text, &properties[key]));
    Ok(pairs.iter().map(typed).collect())
}

/// What a text means for a parameter with this schema.
fn argument(text: &str, schema: &Value) -> Value {
    let wants_text = schema["type"] == "string";
    let read = if wants_text { None } else { serde_json::from_str(text).ok() };
    read.unwrap_or_else(|| Value::from(text))
}

/// A piece of content as text.
fn content(item: &Value) -> String {
    match item["type"].as_str() {
        Some("text") => printable_for_people(item["text"].as_str().unwrap_or_default()),
        Some("resource") => resource(&item["resource"]),
        Some("resource_link") => {
            format!("[resource {}]", printable::line(item["uri"].as_str().unwrap_or("?")))
        }
        Some(kind) => blob(kind, &item["mimeType"], &item["data"]),
        None => printable::json(&item.to_string()),
    }
}

fn resource(part: &Value) -> String {
    match part["text"].as_str() {
        Some(text) => printable_for_people(text),
        None => blob("resource", &part["mimeType"], &part["blob"]),
    }
}

/// Says what is there that is not text.
fn blob(kind: &str, mime_type: &Value, data: &Value) -> String {
    let size = data.as_str().map_or(0, |data| data.len() / 4 * 3);
    let mime_type = mime_type.as_str().unwrap_or("unknown type");
    format!("[{} {}, about {size} bytes]", printable::line(kind), printable::line(mime_type))
}

/// Programs get a text as it is.
fn printable_for_people(text: &str) -> String {
    if std::io::stdout().is_terminal() { printable::text(text) } else { text.to_owned() }
}

#[cfg(test)]
mod tests;
