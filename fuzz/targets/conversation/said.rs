//! What a hostile peer says: one message for each operation of a script.

use crate::{answers::Asked, odd, script::Feed};

const CODES: &[&str] = &["-32700", "-32601", "-32602", "-32002", "-32042", "-32022", "0", "1e3"];

const IDS: &[&str] = &["null", "\"7\"", "0", "1e0", "{}", "\"\"", "99999999999999999999"];

const NEWS: &[&str] = &[
    "tools/list_changed",
    "resources/list_changed",
    "prompts/list_changed",
    "resources/updated",
    "message",
    "cancelled",
    "tasks/status",
    "elicitation/complete",
    "subscriptions/acknowledged",
    "odd",
];

const QUESTIONS: &[&str] = &[
    "sampling/createMessage",
    "elicitation/create",
    "roots/list",
    "ping",
    "tasks/get",
    "initialize",
    "odd",
];

const QUESTION: &str = r#"{"messages":[],"maxTokens":1,"message":"?","requestedSchema":{"type":"object","properties":{}}}"#;

/// A message: an id as JSON, and a member beside it.
pub fn message(id: &str, member: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},{member}}}"#)
}

/// What an operation says to a request; `None` if it is another kind of operation.
pub fn said(operation: u8, feed: &mut Feed, asked: &Asked, honest: &str) -> Option<String> {
    let id = asked.id();
    Some(match operation {
        0 | 1 => message(id, honest),
        3 => message(feed.pick(IDS), honest),
        4 => {
            let (code, data) = (feed.pick(CODES), odd::value(feed, 3));
            message(id, &format!(r#""error":{{"code":{code},"message":"no","data":{data}}}"#))
        }
        5 => {
            let (token, progress) = (&asked.params["_meta"]["progressToken"], odd::value(feed, 4));
            notification(
                "progress",
                &format!(r#"{{"progressToken":{token},"progress":{progress}}}"#),
            )
        }
        6 => news(feed, id),
        7 => question(feed),
        9 => odd::value(feed, 0),
        15 => {
            let text = "x".repeat(usize::from(feed.next()) * 1024);
            message(id, &format!(r#""result":{{"content":[{{"type":"text","text":"{text}"}}]}}"#))
        }
        16 => listed(feed, asked, id),
        17 => format!("[{}]", message(id, honest)),
        18 => message(id, &format!(r#""result":{}"#, odd::value(feed, 0))),
        // An honest result with one more member, which may be there already.
        19 => {
            let (name, value) = (feed.pick(MEMBERS), odd::value(feed, 1));
            let more = honest.strip_suffix('}').unwrap_or(honest);
            let comma = if more.ends_with('{') { "" } else { "," };
            message(id, &format!(r#"{more}{comma}"{name}":{value}}}"#))
        }
        _ => return None,
    })
}

fn news(feed: &mut Feed, id: &str) -> String {
    let method = feed.pick(NEWS);
    let params = match feed.next() % 4 {
        0 => r#"{"uri":"evil://r"}"#.to_owned(),
        1 => r#"{"level":"error","data":1}"#.to_owned(),
        2 => format!(r#"{{"requestId":{id}}}"#),
        _ => odd::value(feed, 2),
    };
    notification(method, &params)
}

fn question(feed: &mut Feed) -> String {
    let (method, number) = (feed.pick(QUESTIONS), feed.next());
    let params = if number & 1 == 0 { QUESTION.to_owned() } else { odd::value(feed, 2) };
    message(&number.to_string(), &format!(r#""method":"{method}","params":{params}"#))
}

const MEMBERS: &[&str] = &[
    "_meta",
    "nextCursor",
    "instructions",
    "capabilities",
    "serverInfo",
    "protocolVersion",
    "resultType",
    "ttlMs",
    "cacheScope",
    "supportedVersions",
    "inputRequests",
    "requestState",
    "structuredContent",
    "content",
    "task",
    "tools",
    "isError",
];

fn notification(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{params}}}"#)
}

/// A list of odd items and of good ones.
fn listed(feed: &mut Feed, asked: &Asked, id: &str) -> String {
    let member = match asked.method.as_str() {
        "resources/list" => "resources",
        "resources/templates/list" => "resourceTemplates",
        "prompts/list" => "prompts",
        _ => "tools",
    };
    let items = (0..feed.next() % 5).map(|_index| match feed.next() % 3 {
        0 => {
            let (key, value) = (feed.pick(MEMBERS_OF_ITEMS), odd::value(feed, 2));
            format!(
                r#"{{"name":"t","uri":"evil://r","uriTemplate":"evil://{{x}}","inputSchema":{{"type":"object"}},"{key}":{value}}}"#
            )
        }
        1 => odd::value(feed, 1),
        _ => {
            let name = odd::quoted(&String::from_utf8_lossy(&feed.some()));
            format!(r#"{{"name":{name},"uri":{name},"uriTemplate":{name},"inputSchema":{{"type":"object"}}}}"#)
        }
    });
    let items = items.collect::<Vec<_>>().join(",");
    let more = if feed.next() & 7 == 7 { r#","nextCursor":"n""# } else { "" };
    message(
        id,
        &format!(
            r#""result":{{"{member}":[{items}]{more},"resultType":"complete","ttlMs":9,"cacheScope":"public"}}"#
        ),
    )
}

const MEMBERS_OF_ITEMS: &[&str] = &[
    "title",
    "description",
    "outputSchema",
    "annotations",
    "icons",
    "size",
    "mimeType",
    "arguments",
    "execution",
    "_meta",
    "inputSchema",
    "name",
    "uri",
    "uriTemplate",
    "odd",
];
