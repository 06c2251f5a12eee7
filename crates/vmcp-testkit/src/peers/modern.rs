//! Servers of the modern era that do a little of everything, and keep count of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{stateful, tool};
use crate::{
    modern::{
        Call, ModernServer, Speaks, asks, complete, error, handler, missing_capability, text,
    },
    raw::{Answer, Kind},
};

/// Tools whose `x-mcp-header` is invalid, each in another way. A client must not even list them.
pub const INVALID_HEADERS: [&str; 7] = [
    r#"{"name":"empty","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":""}}}}"#,
    r#"{"name":"spaced","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"Two Words"}}}}"#,
    r#"{"name":"broken","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A\r\nB"}}}}"#,
    r#"{"name":"twice","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"Same"},"b":{"type":"string","x-mcp-header":"same"}}}}"#,
    r#"{"name":"number","inputSchema":{"type":"object","properties":{"a":{"type":"number","x-mcp-header":"A"}}}}"#,
    r#"{"name":"listed","inputSchema":{"type":"object","properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}}"#,
    r#"{"name":"chosen","inputSchema":{"type":"object","anyOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}}"#,
];

/// A state that only bytes carried as they are survive.
const STATE: &str = "é \"state\" \\ \u{7f} \u{1F600} =?base64?c3RhdGU=?= ";

const NAME: &str = r#"{"method":"elicitation/create","params":{"mode":"form","message":"Your name?","requestedSchema":{"type":"object","x-vendor":1.10,"properties":{"name":{"type":"string"}},"required":["name"]}}}"#;
const SUM: &str = r#"{"method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"type":"text","text":"2+2?"}}],"maxTokens":100,"temperature":0.10}}"#;
const ROOTS: &str = r#"{"method":"roots/list"}"#;

/// The modern era alone.
///
/// - `echo` answers its own `params` byte for byte, as `structuredContent`
/// - `count` says how often it has run
/// - `progress` reports three times, `log` logs once at each level, both before they answer
/// - `slow` takes `delay_ms`, and stops when its client leaves
/// - `ask` asks for a name, `ask_everything` also for a sample and for roots, `ask_twice` for two
///   names in turn, `ask_nothing` only gives a state. Each answers a retry with what came back, byte
///   for byte, as `structuredContent`, and takes nothing but its own state
/// - `sample` wants a client that samples
/// - `region` has parameters that are mirrored: `region`, `level` (a whole number), `urgent`, and
///   `place.zone`
/// - `touch` tells the subscribers of the resource `uri`, `grow` adds the tool `name` to the list
///
/// Resources `modern://one`, `modern://two` and `modern://asking`, which asks for a name; template
/// `modern://item/{id}`; prompts `prompt` and `asking`.
pub fn modern() -> ModernServer {
    let counted = Arc::new(AtomicU64::new(0));
    let mut server = ModernServer::builder()
        .offer(Kind::Tools, &tool("echo"), handler(async |call: Call| echo(&call)))
        .offer(
            Kind::Tools,
            &tool("count"),
            handler(move |_| {
                let now = counted.fetch_add(1, Relaxed) + 1;
                async move { text(now.to_string()) }
            }),
        )
        .offer(Kind::Tools, &tool("progress"), handler(progress))
        .offer(Kind::Tools, &tool("log"), handler(log))
        .offer(Kind::Tools, &tool("slow"), handler(slow))
        .offer(Kind::Tools, &tool("ask"), handler(async |call: Call| ask(&call, &name())))
        .offer(
            Kind::Tools,
            &tool("ask_everything"),
            handler(async |call: Call| {
                ask(&call, &format!(r#"{{"name":{NAME},"sum":{SUM},"roots":{ROOTS}}}"#))
            }),
        )
        .offer(Kind::Tools, &tool("ask_twice"), handler(async |call: Call| ask_twice(&call)))
        .offer(
            Kind::Tools,
            &tool("ask_nothing"),
            handler(async |call: Call| match call.request_state() {
                None => asks(None, Some(STATE)),
                Some(_) => came_back(&call),
            }),
        )
        .offer(
            Kind::Tools,
            &tool("sample"),
            handler(async |call: Call| {
                if call.capabilities()["sampling"].is_object() {
                    text("sampled")
                } else {
                    missing_capability(&json!({"sampling": {}}))
                }
            }),
        )
        .offer(Kind::Tools, REGION, handler(async |call: Call| echo(&call)))
        .offer(
            Kind::Tools,
            &tool("touch"),
            handler(async |call: Call| {
                call.server.updated(&call.argument::<String>("uri").unwrap_or_default());
                text("touched")
            }),
        )
        .offer(
            Kind::Tools,
            &tool("grow"),
            handler(async |call: Call| {
                let name: String = call.argument("name").unwrap_or_else(|| "grown".to_owned());
                call.server.add(Kind::Tools, &tool(&name), crate::modern::fixed(text(&name)));
                text("grown")
            }),
        );
    for name in ["one", "two"] {
        let definition = format!(r#"{{"uri":"modern://{name}","name":"{name}"}}"#);
        let contents = format!(r#""contents":[{{"uri":"modern://{name}","text":"{name}"}}]"#);
        server = server.resource(&definition, complete(&contents));
    }
    server
        .offer(
            Kind::Resources,
            r#"{"uri":"modern://asking","name":"asking"}"#,
            handler(async |call: Call| {
                let read = |name| json!({"uri": "modern://asking", "text": name});
                ask_once(&call, |name| complete(&format!(r#""contents":[{}]"#, read(name))))
            }),
        )
        .offer(
            Kind::Templates,
            r#"{"uriTemplate":"modern://item/{id}","name":"item"}"#,
            handler(async |call: Call| {
                let content = json!({"uri": call.param::<String>("uri"), "text": "item"});
                complete(&format!(r#""contents":[{content}]"#))
            }),
        )
        .prompt(
            r#"{"name":"prompt","description":"Says its name"}"#,
            complete(r#""messages":[{"role":"user","content":{"type":"text","text":"prompt"}}]"#),
        )
        .offer(
            Kind::Prompts,
            r#"{"name":"asking","description":"Asks for yours"}"#,
            handler(async |call: Call| {
                ask_once(&call, |name| {
                    let said = json!({"role": "user", "content": {"type": "text", "text": name}});
                    complete(&format!(r#""messages":[{said}]"#))
                })
            }),
        )
}

/// Both eras: [`modern`], and in the legacy era [`stateful`], which has a `count` too.
/// [`crate::modern::Server::set_speaks`] makes it one or the other while it runs.
pub fn turning() -> ModernServer {
    modern().legacy(stateful()).speaks(Speaks::Both)
}

const REGION: &str = r#"{"name":"region","description":"region","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"level":{"type":"integer","x-mcp-header":"Level"},"urgent":{"type":"boolean","x-mcp-header":"Urgent"},"place":{"type":"object","properties":{"zone":{"type":"string","x-mcp-header":"Zone"}}}}}}"#;

fn echo(call: &Call) -> Answer {
    let params = String::from_utf8_lossy(&call.params);
    complete(&format!(r#""content":[],"structuredContent":{params}"#))
}

async fn progress(call: Call) -> Answer {
    for step in [1, 2, 3] {
        if call.progress(step, 3).await.is_err() {
            return Answer::Close;
        }
    }
    text("done")
}

async fn log(call: Call) -> Answer {
    for level in ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"] {
        if call.log(level, r#"{"n":1.10}"#).await.is_err() {
            return Answer::Close;
        }
    }
    text("logged")
}

async fn slow(call: Call) -> Answer {
    let delay = Duration::from_millis(call.argument("delay_ms").unwrap_or(1_000));
    tokio::select! {
        () = sleep(delay) => text("done"),
        () = call.cancelled.cancelled() => text("left"),
    }
}

fn name() -> String {
    format!(r#"{{"name":{NAME}}}"#)
}

/// Asks these questions, and answers with what comes back.
fn ask(call: &Call, questions: &str) -> Answer {
    match (call.input_responses(), call.request_state()) {
        (None, None) => asks(Some(questions), Some(STATE)),
        (_, Some(state)) if state == STATE => came_back(call),
        _ => error(-32602, "requestState is not what was sent"),
    }
}

fn ask_twice(call: &Call) -> Answer {
    match call.request_state().as_deref() {
        None => asks(Some(&name()), Some("first")),
        Some("first") => asks(Some(&format!(r#"{{"second name":{NAME}}}"#)), Some("second")),
        Some("second") => came_back(call),
        Some(_) => error(-32602, "requestState is not what was sent"),
    }
}

/// Asks without a state, and answers with the name.
fn ask_once(call: &Call, conclude: impl FnOnce(String) -> Answer) -> Answer {
    let responses: Option<Value> = call.param("inputResponses");
    match responses.and_then(|all| Some(all["name"]["content"]["name"].as_str()?.to_owned())) {
        Some(name) => conclude(name),
        None => asks(Some(&name()), None),
    }
}

fn came_back(call: &Call) -> Answer {
    let responses = call.input_responses();
    let responses = responses.as_ref().map_or("null", |all| all.get());
    let state = call.raw_param("requestState");
    let state = state.as_ref().map_or("null", |state| state.get());
    complete(&format!(
        r#""content":[],"structuredContent":{{"inputResponses":{responses},"requestState":{state}}}"#
    ))
}
