//! `vmcp call`, `vmcp read` and `vmcp get`: one request, and its result for people or as JSON.

mod check;
mod naming;
mod waiting;

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read as _},
};

use anyhow::{Context as _, anyhow};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json, value::RawValue};
use vmcp_model::{Kind, Method};

use crate::{
    cli::{self, Misuse},
    logging::Logging,
    output::{self, Quoted, bytes, line, raw_json},
    printable,
    target::{self, Server},
};
use check::Found;

/// The most bytes of arguments in a file or on standard input.
const MAX_ARGUMENTS: u64 = 64 << 20;

/// Calls a tool. What the tool itself calls an error is a failure of the command.
pub(crate) fn call(options: &cli::Call, logging: Logging) -> anyhow::Result<()> {
    let given = options.arguments.as_deref().map(given).transpose()?;
    let name = &*options.tool;
    target::run(&options.target, logging, Some((Kind::Tool, name)), async |server| {
        let tools = server.client.list(Kind::Tool).await?;
        // A tool that is not listed may exist all the same; the server knows.
        let tool = tools.iter().find(|item| item["name"] == name);
        let schema = tool.map_or(&Value::Null, |tool| &tool["inputSchema"]);
        let arguments = given.unwrap_or_else(|| arguments(schema, &options.pairs));
        refuse(name, check::arguments(schema, &arguments))?;
        let params = json!({"name": name, "arguments": arguments});
        let raw = ask(server, Kind::Tool, Method::ToolsCall, params, &tools).await?;
        // At once: what was started takes its time to end.
        show_call(options, &raw)
    })
}

fn show_call(options: &cli::Call, raw: &RawValue) -> anyhow::Result<()> {
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
    let uri = &*options.uri;
    target::run(&options.target, logging, Some((Kind::Resource, uri)), async |server| {
        let params = json!({"uri": uri});
        match waiting::ask(&server.client, Method::ResourcesRead, params, uri).await {
            Ok(raw) => show_read(options, &raw),
            Err(error) => {
                let resources = server.client.list(Kind::Resource).await.unwrap_or_default();
                Err(naming::advised(error, server, Kind::Resource, uri, &resources))
            }
        }
    })
}

fn show_read(options: &cli::Read, raw: &RawValue) -> anyhow::Result<()> {
    if options.target.json {
        return raw_json(raw.get());
    }
    let result: Value = serde_json::from_str(raw.get())?;
    for part in result["contents"].as_array().into_iter().flatten() {
        match part["blob"].as_str() {
            Some(blob) if !io::stdout().is_terminal() => {
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
    let name = &*options.prompt;
    target::run(&options.target, logging, Some((Kind::Prompt, name)), async |server| {
        let prompts = server.client.list(Kind::Prompt).await?;
        if let Some(prompt) = prompts.iter().find(|item| item["name"] == name) {
            refuse(name, check::of_prompt(&prompt["arguments"], &arguments))?;
        }
        let params = json!({"name": name, "arguments": arguments});
        let raw = ask(server, Kind::Prompt, Method::PromptsGet, params, &prompts).await?;
        show_get(options, &raw)
    })
}

fn show_get(options: &cli::Get, raw: &RawValue) -> anyhow::Result<()> {
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

/// Asks for something by its name, and says what may help if the server does not list it.
async fn ask(
    server: &Server,
    kind: Kind,
    method: Method,
    params: Value,
    listed: &[Value],
) -> anyhow::Result<Box<RawValue>> {
    let name = params["name"].as_str().unwrap_or_default().to_owned();
    let is_listed = listed.iter().any(|item| item["name"] == *name);
    if !is_listed && let Some(out) = naming::known_to_be_out(server, &name) {
        return Err(out);
    }
    let answer = waiting::ask(&server.client, method, params, &name).await;
    answer.map_err(|error| {
        if is_listed { error } else { naming::advised(error, server, kind, &name, listed) }
    })
}

/// Refuses arguments that cannot be right, all of them at once.
fn refuse(name: &str, found: Found) -> anyhow::Result<()> {
    let Found { wrong, odd } = found;
    if !wrong.is_empty() {
        // What is not known may be what is missing, misspelt.
        return Err(Misuse(format!("{name}: {}", [odd, wrong].concat().join("; "))).into());
    }
    odd.iter().for_each(|odd| output::warning(&format!("{name}: {odd}")));
    Ok(())
}

/// The arguments of a call as one JSON object: the text, a file that holds it, or standard input.
fn given(text: &str) -> anyhow::Result<Map<String, Value>> {
    let read = |from: &mut dyn io::Read| {
        let mut read = String::new();
        from.take(MAX_ARGUMENTS).read_to_string(&mut read).map(|_length| read)
    };
    let (text, place) = match (text, text.strip_prefix('@')) {
        ("-", _) => (read(&mut io::stdin()), " (from standard input)".to_owned()),
        (_, Some(file)) => {
            let text = File::open(file).and_then(|mut file| read(&mut file));
            (text, format!(" (in {file})"))
        }
        (text, None) => (Ok(text.to_owned()), String::new()),
    };
    let wrong = |why: String| Misuse(format!("--arguments{place}: {why}"));
    let text = text.map_err(|error| wrong(format!("cannot be read: {error}")))?;
    // What stands there may be a secret.
    match serde_json::from_str(&text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_other) => Err(wrong("not a JSON object".to_owned()).into()),
        Err(error) => Err(wrong(format!("not a JSON object: {error}")).into()),
    }
}

/// The arguments of a call as they were typed, each as what the tool asks for.
fn arguments(schema: &Value, pairs: &[(String, String)]) -> Map<String, Value> {
    let properties = &schema["properties"];
    let typed = |(key, text): &(String, String)| (key.clone(), argument(text, &properties[key]));
    pairs.iter().map(typed).collect()
}

/// What a text means for a parameter with this schema.
fn argument(text: &str, schema: &Value) -> Value {
    let types = check::types(schema);
    let wants_text = types.contains(&"string");
    if wants_text && types.len() == 1 {
        return Value::from(text);
    }
    let read = serde_json::from_str(text).ok();
    // Where text may stand, it need not be JSON of something else.
    let read = read.filter(|read| !wants_text || check::is_of_any(&types, read));
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
    if io::stdout().is_terminal() { printable::text(text) } else { text.to_owned() }
}

#[cfg(test)]
mod tests;
