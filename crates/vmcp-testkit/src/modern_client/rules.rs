//! What a server of the modern era may say, and what it must.

use std::{collections::BTreeMap, fmt};

use anyhow::{Context as _, Result, bail, ensure};
use http::StatusCode;
use serde_json::{Value, value::RawValue};

use crate::{
    client::{Message, Response},
    modern::{META_CAPABILITIES, META_LOG_LEVEL, META_SERVER_INFO},
};

const TASKS: &str = "io.modelcontextprotocol/tasks";

/// The methods whose complete results say for how long they may be kept.
const KEPT: [&str; 6] = [
    "server/discover",
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "prompts/list",
    "resources/read",
];

/// The methods that can be answered with questions.
const ASKING: [&str; 3] = ["tools/call", "prompts/get", "resources/read"];

/// What was asked, to hold the answer against.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) method: String,
    /// `params` without `_meta`, and without what answers a question.
    pub(super) params: String,
    pub(super) meta: Value,
    pub(super) tolerant: bool,
}

impl fmt::Display for Asked {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.method, self.params)
    }
}

impl Asked {
    fn can(&self, capability: &str) -> bool {
        self.meta[META_CAPABILITIES][capability].is_object()
    }

    fn knows_tasks(&self) -> bool {
        self.meta[META_CAPABILITIES]["extensions"][TASKS].is_object()
    }
}

pub(super) fn check_head(asked: &Asked, response: &Response) -> Result<()> {
    let session = response.header("mcp-session-id");
    ensure!(session.is_none(), "{asked}: a session id in the modern era: {session:?}");
    if response.is_stream() {
        let status = response.status();
        ensure!(status == StatusCode::OK, "{asked}: a stream with status {status}");
        let buffering = response.header("x-accel-buffering");
        ensure!(
            asked.tolerant || buffering == Some("no"),
            "{asked}: a stream with X-Accel-Buffering {buffering:?}"
        );
    }
    Ok(())
}

/// What may come on a request's own stream before its answer.
pub(super) fn check_notification(asked: &Asked, message: &Message) -> Result<()> {
    let json = outline(&message.bytes);
    ensure!(json.get("id").is_none(), "{asked}: no notification: {json}");
    match json["method"].as_str().unwrap_or_default() {
        "notifications/progress" => {
            let (token, wanted) = (&json["params"]["progressToken"], &asked.meta["progressToken"]);
            ensure!(!token.is_null() && token == wanted, "{asked}: progress for {token}: {json}");
        }
        "notifications/message" => {
            let level = &asked.meta[META_LOG_LEVEL];
            ensure!(!level.is_null(), "{asked}: nothing is to be logged: {json}");
            ensure!(rank(&json["params"]["level"]) >= rank(level), "{asked}: unwanted: {json}");
        }
        method if method.starts_with("notifications/") && !is_for_listeners(method) => {}
        _ => bail!("{asked}: not for this stream: {json}"),
    }
    Ok(())
}

pub(super) fn check_answer(asked: &Asked, status: StatusCode, message: &Message) -> Result<()> {
    let json = outline(&message.bytes);
    let id = message.id().unwrap_or_default();
    ensure!(id == asked.id, "{asked}: the answer is to {id}: {json}");
    let checked = match json.get("error") {
        Some(error) => check_error(asked, status, error),
        None => {
            check_status(status, StatusCode::OK).and_then(|()| check_result(asked, &json["result"]))
        }
    };
    checked.with_context(|| format!("{asked} was answered {status} with {json}"))
}

fn check_error(asked: &Asked, status: StatusCode, error: &Value) -> Result<()> {
    let code = error["code"].as_i64().context("the code is no whole number")?;
    ensure!(error["message"].is_string(), "the message is no text");
    match code {
        -32021 => {
            let required = &error["data"]["requiredCapabilities"];
            ensure!(required.is_object(), "requiredCapabilities is {required}");
            check_status(status, StatusCode::BAD_REQUEST)
        }
        -32022 => {
            ensure!(error["data"]["supported"].is_array(), "supported is no list");
            ensure!(error["data"]["requested"].is_string(), "requested is no version");
            check_status(status, StatusCode::BAD_REQUEST)
        }
        -32020 | -32700 => check_status(status, StatusCode::BAD_REQUEST),
        -32601 => check_status(status, StatusCode::NOT_FOUND),
        -32002 | -32042 => bail!("code {code} is of the legacy era"),
        -32099..=-32023 => bail!("code {code} is reserved"),
        -32019..=-32000 => {
            ensure!(asked.tolerant, "code {code} means nothing to anybody");
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_status(status: StatusCode, wanted: StatusCode) -> Result<()> {
    ensure!(status == wanted, "the status is not {wanted}");
    Ok(())
}

fn check_result(asked: &Asked, result: &Value) -> Result<()> {
    let kind = result["resultType"].as_str().context("no resultType")?;
    let server = &result["_meta"][META_SERVER_INFO];
    ensure!(
        asked.tolerant || (server["name"].is_string() && server["version"].is_string()),
        "serverInfo in _meta is {server}"
    );
    match kind {
        "complete" => {
            if KEPT.contains(&asked.method.as_str()) {
                ensure!(result["ttlMs"].as_u64().is_some(), "ttlMs is {}", result["ttlMs"]);
                let scope = &result["cacheScope"];
                ensure!(scope == "public" || scope == "private", "cacheScope is {scope}");
            }
            Ok(())
        }
        "input_required" => check_questions(asked, result),
        "task" => {
            ensure!(asked.knows_tasks(), "a task for a client that knows none");
            ensure!(result["taskId"].is_string(), "a task without an id");
            Ok(())
        }
        other => bail!("the resultType {other:?} is unknown"),
    }
}

fn check_questions(asked: &Asked, result: &Value) -> Result<()> {
    ensure!(ASKING.contains(&asked.method.as_str()), "this method cannot ask");
    let (requests, state) = (&result["inputRequests"], &result["requestState"]);
    ensure!(!requests.is_null() || !state.is_null(), "neither questions nor a state");
    ensure!(state.is_null() || state.is_string(), "the state is no text");
    ensure!(requests.is_null() || requests.is_object(), "the questions have no keys");
    for (key, question) in requests.as_object().into_iter().flatten() {
        ensure!(question.get("id").is_none(), "{key} has an id, as only requests have");
        let capability = match question["method"].as_str() {
            Some("elicitation/create") => "elicitation",
            Some("sampling/createMessage") => "sampling",
            Some("roots/list") => "roots",
            other => bail!("{key} asks {other:?}"),
        };
        ensure!(asked.can(capability), "{key} needs {capability}, which was not declared");
    }
    Ok(())
}

/// A message as a value, without the members of its members that no value can hold: a number that is
/// too large is the test's affair, not the protocol's.
pub(super) fn outline(message: &[u8]) -> Value {
    members(message, |key, value| match key {
        "result" | "params" | "error" => readable(value.as_bytes()),
        _ => serde_json::from_str(value).unwrap_or_default(),
    })
}

/// An object as a value, without the members that no value can hold.
pub(super) fn readable(object: &[u8]) -> Value {
    members(object, |_, value| serde_json::from_str(value).unwrap_or_default())
}

fn members(object: &[u8], value_of: impl Fn(&str, &str) -> Value) -> Value {
    match serde_json::from_slice::<BTreeMap<String, Box<RawValue>>>(object) {
        Ok(all) => all.iter().map(|(key, raw)| (key.clone(), value_of(key, raw.get()))).collect(),
        Err(_) => serde_json::from_slice(object).unwrap_or_default(),
    }
}

/// What is sent on subscriptions alone.
pub(super) fn is_for_listeners(method: &str) -> bool {
    method.ends_with("/list_changed")
        || matches!(
            method,
            "notifications/resources/updated"
                | "notifications/subscriptions/acknowledged"
                | "notifications/tasks"
        )
}

fn rank(level: &Value) -> Option<usize> {
    const LEVELS: [&str; 8] =
        ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
    LEVELS.iter().position(|known| level == known)
}
