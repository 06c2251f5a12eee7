//! A server that asks its client, logs at every level, and updates resources.

use crate::raw::{Answer, Call, Kind, RawServer, handler};

use super::tool;

const LEVELS: [&str; 8] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// Tools that ask: `ask_form`, `ask_url`, `ask_sampling`, `ask_roots`. With the argument
/// `"on":"get"` the question goes out on the GET stream instead of the call's own. The result holds
/// the message that the client answered with, byte for byte, as `structuredContent`.
///
/// Tool `log`: one notification at each level that the client wants; `"on":"get"` as above.
/// Tool `touch`: tells the subscribers of the resource `uri`. Resources `ask://one`, `ask://two`.
pub fn asking() -> RawServer {
    let questions = [
        (
            "ask_form",
            "elicitation/create",
            r#"{"mode":"form","message":"Your name?","requestedSchema":{"type":"object","x-vendor":1.10,"properties":{"name":{"type":"string","x-hint":"first"}},"required":["name"]}}"#,
        ),
        (
            "ask_url",
            "elicitation/create",
            r#"{"mode":"url","message":"Sign in","url":"http://127.0.0.1/sign-in?state=1","elicitationId":"e-1"}"#,
        ),
        (
            "ask_sampling",
            "sampling/createMessage",
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"2+2?"}}],"maxTokens":100,"temperature":0.10}"#,
        ),
        ("ask_roots", "roots/list", ""),
    ];
    let mut server = RawServer::builder().offer(Kind::Tools, &tool("log"), handler(log)).offer(
        Kind::Tools,
        &tool("touch"),
        handler(|call: Call| async move {
            let uri: String = call.argument("uri").unwrap_or_default();
            call.server.update(&uri).await;
            Answer::text("touched")
        }),
    );
    for (name, method, params) in questions {
        let ask = handler(move |call: Call| ask(call, method, params));
        server = server.offer(Kind::Tools, &tool(name), ask);
    }
    for name in ["one", "two"] {
        let definition = format!(r#"{{"uri":"ask://{name}","name":"{name}"}}"#);
        let result = format!(r#"{{"contents":[{{"uri":"ask://{name}","text":"{name}"}}]}}"#);
        server = server.resource(&definition, result);
    }
    server
}

async fn ask(call: Call, method: &str, params: &str) -> Answer {
    let answer = if on_get(&call) {
        call.session.ask(method, params).await
    } else {
        call.ask(method, params).await
    };
    let Ok(answer) = answer else {
        return Answer::error(-32000, "nobody answered");
    };
    if params.contains("elicitationId") {
        let done = r#"{"elicitationId":"e-1"}"#;
        // The client has its answer already; that it is done is news for whoever still listens.
        let _ = call.notify("notifications/elicitation/complete", done).await;
    }
    let answer = String::from_utf8_lossy(&answer);
    format!(r#"{{"content":[{{"type":"text","text":"answered"}}],"structuredContent":{answer}}}"#)
        .into()
}

async fn log(call: Call) -> Answer {
    let wanted = call.session.log_level().unwrap_or_default();
    let lowest = LEVELS.iter().position(|level| *level == wanted).unwrap_or(0);
    for level in &LEVELS[lowest..] {
        let params =
            format!(r#"{{"level":"{level}","logger":"asking","data":{{"is":"{level}"}}}}"#);
        if on_get(&call) {
            call.session.notify("notifications/message", &params).await;
        } else {
            // A client that went away is no reason to stop working.
            let _ = call.notify("notifications/message", &params).await;
        }
    }
    Answer::text("logged")
}

fn on_get(call: &Call) -> bool {
    call.argument::<String>("on").as_deref() == Some("get")
}
