//! What each method does when the test wrote no script for it.

use bytes::Bytes;
use serde_json::Value;

use super::{
    call::{Answer, Call, Handler, fixed, handler},
    counters::Counters,
    offer::{Kind, key_in},
    session::Session,
    state::Shared,
};

/// The handler for a request.
pub(super) fn find(shared: &Shared, call: &Call) -> Handler {
    let kind = match call.method.as_str() {
        "tools/call" => Some(Kind::Tools),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Some(Kind::Resources),
        "prompts/get" => Some(Kind::Prompts),
        _ => None,
    };
    let key = kind.and_then(|kind| key_in(kind, call));
    if let (Some(Kind::Tools), Some(tool)) = (kind, &key) {
        Counters::add(&shared.counters.calls, tool);
    }
    if let Some(script) = shared.script(&call.method, key.as_deref()) {
        return script;
    }
    match (call.method.as_str(), kind, key) {
        ("initialize", ..) => fixed(initialize(shared, call)),
        ("ping", ..) => fixed("{}"),
        ("logging/setLevel", ..) => handler(|call: Call| async move {
            let Some(level) = call.param("level") else {
                return Answer::error(-32602, "level is missing");
            };
            call.session.set_log_level(level);
            "{}".into()
        }),
        ("completion/complete", ..) => {
            fixed(r#"{"completion":{"values":["paris","park","party"],"total":3,"hasMore":false}}"#)
        }
        ("tools/list", ..) => fixed(page(shared, Kind::Tools, call)),
        ("resources/list", ..) => fixed(page(shared, Kind::Resources, call)),
        ("resources/templates/list", ..) => fixed(page(shared, Kind::Templates, call)),
        ("prompts/list", ..) => fixed(page(shared, Kind::Prompts, call)),
        ("resources/subscribe", _, Some(uri)) => {
            call.session.subscribe(uri);
            fixed("{}")
        }
        ("resources/unsubscribe", _, Some(uri)) => {
            call.session.unsubscribe(&uri);
            fixed("{}")
        }
        (_, Some(kind), Some(key)) => {
            shared.knobs().offer.handler(kind, &key).unwrap_or_else(|| {
                fixed(Answer::error(unknown_code(kind), "no such capability here"))
            })
        }
        (_, Some(_), None) => fixed(Answer::error(-32602, "the capability is not named")),
        (method, None, _) => fixed(Answer::error(-32601, format!("no such method: {method}"))),
    }
}

/// What a notification does.
pub(super) fn notified(session: &Session, method: &str, params: &Bytes) {
    if method == "notifications/cancelled" {
        let params: Value = serde_json::from_slice(params).unwrap_or_default();
        session.cancel_call(&params["requestId"].to_string());
    }
}

/// The client's version if this server speaks it, otherwise this server's newest.
pub(super) fn negotiate(shared: &Shared, params: &Bytes) -> String {
    let params: Value = serde_json::from_slice(params).unwrap_or_default();
    let wanted = params["protocolVersion"].as_str().unwrap_or_default();
    let versions = &shared.identity.versions;
    let agreed = versions.iter().find(|version| *version == wanted).or_else(|| versions.last());
    agreed.cloned().expect("the builder insists on a version")
}

fn initialize(shared: &Shared, call: &Call) -> Answer {
    let version = call.session.version();
    let capabilities = shared.capabilities();
    let server_info = &shared.identity.server_info;
    let instructions = shared.identity.instructions.as_ref().map_or_else(String::new, |text| {
        format!(r#","instructions":{}"#, Value::String(text.clone()))
    });
    format!(
        r#"{{"protocolVersion":"{version}","capabilities":{capabilities},"serverInfo":{server_info}{instructions}}}"#
    )
    .into()
}

fn page(shared: &Shared, kind: Kind, call: &Call) -> Answer {
    let cursor: Option<String> = call.param("cursor");
    let knobs = shared.knobs();
    match knobs.offer.page(kind, cursor.as_deref(), knobs.page_size) {
        Some(page) => page.into(),
        None => Answer::error(-32602, "a cursor that was never given out"),
    }
}

fn unknown_code(kind: Kind) -> i64 {
    match kind {
        Kind::Resources | Kind::Templates => -32002,
        Kind::Tools | Kind::Prompts => -32602,
    }
}
