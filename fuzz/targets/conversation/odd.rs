//! JSON made from a script: values as a careless or hostile server has them.

use crate::script::Feed;

/// Members that mean something to some reader.
const NAMES: &[&str] = &[
    "name",
    "uri",
    "uriTemplate",
    "title",
    "description",
    "inputSchema",
    "outputSchema",
    "type",
    "properties",
    "annotations",
    "_meta",
    "content",
    "structuredContent",
    "isError",
    "text",
    "tools",
    "resources",
    "resourceTemplates",
    "prompts",
    "nextCursor",
    "contents",
    "messages",
    "role",
    "capabilities",
    "protocolVersion",
    "serverInfo",
    "version",
    "instructions",
    "listChanged",
    "subscribe",
    "tasks",
    "experimental",
    "extensions",
    "logging",
    "completions",
    "resultType",
    "ttlMs",
    "cacheScope",
    "supportedVersions",
    "inputRequests",
    "requestState",
    "task",
    "taskId",
    "status",
    "icons",
    "size",
    "mimeType",
    "arguments",
    "required",
    "execution",
    "taskSupport",
    "$ref",
    "$defs",
    "x-mcp-header",
    "jsonrpc",
    "id",
    "method",
    "params",
    "result",
    "error",
    "code",
    "message",
    "data",
    "requestId",
    "progressToken",
    "progress",
    "level",
    "notifications",
    "io.modelcontextprotocol/serverInfo",
    "io.modelcontextprotocol/subscriptionId",
    "",
];

/// Values as they stand.
const VALUES: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1e400",
    "12345678901234567890123",
    "1.0",
    "{}",
    "[]",
    "\"\"",
    "\"t\"",
    "\"object\"",
    "\"string\"",
    "\"complete\"",
    "\"input_required\"",
    "\"2025-06-18\"",
    "\"2025-11-25\"",
    "\"2026-07-28\"",
    "\"public\"",
    "\"evil://r\"",
    "\"evil://{x}\"",
    "\"\\ud800\"",
    "\"a\\u0000b\"",
    "\"good_echo\"",
    "\"../..\"",
    "{\"type\":\"object\"}",
    "[{}]",
    "[null]",
    "{\"listChanged\":true}",
    "\"#/$defs/a\"",
    "60000",
    "{\"type\":\"text\",\"text\":\"x\"}",
    "[\"2026-07-28\"]",
    "\"user\"",
    "\"error\"",
];

/// A JSON text, or nearly one.
pub fn value(feed: &mut Feed, depth: usize) -> String {
    let choice = feed.next();
    match choice {
        _ if depth > 5 => "7".to_owned(),
        0..=95 => feed.pick(VALUES).to_owned(),
        96..=175 => {
            let members = (0..choice % 8).map(|_index| {
                let name = feed.pick(NAMES);
                format!("{}:{}", quoted(name), value(feed, depth + 1))
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        176..=215 => {
            let elements = (0..choice % 5).map(|_index| value(feed, depth + 1));
            format!("[{}]", elements.collect::<Vec<_>>().join(","))
        }
        216..=235 => quoted(&String::from_utf8_lossy(&feed.some())),
        236..=243 => {
            let depth = usize::from(feed.next()) * 8;
            format!("{}{}", "[".repeat(depth), "]".repeat(depth))
        }
        244..=249 => quoted(&"x".repeat(usize::from(feed.next()) * 400)),
        250..=253 => format!("1{}", "0".repeat(usize::from(feed.next()) * 4)),
        254..=255 => String::from_utf8_lossy(&feed.some()).into_owned(),
    }
}

pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
