//! The table of methods × ways to end, in both eras, before backends of both.

use super::*;

/// A request and what its record says, in which `{b}` stands for the backend and its prefix.
struct Row {
    name: &'static str,
    method: &'static str,
    params: fn(&str) -> Value,
    /// Of a legacy and of a modern client. Empty if the era does not have it.
    legacy: &'static str,
    modern: &'static str,
}

const fn row(
    name: &'static str,
    method: &'static str,
    params: fn(&str) -> Value,
    told: &'static str,
) -> Row {
    Row { name, method, params, legacy: told, modern: told }
}

impl Row {
    fn told(&self, era: &str) -> &'static str {
        if era == "legacy" { self.legacy } else { self.modern }
    }

    const fn modern(self, modern: &'static str) -> Self {
        Self { modern, ..self }
    }
}

fn none(_backend: &str) -> Value {
    json!({})
}

macro_rules! of_tool {
    ($name:literal) => {
        |backend| named(&format!("{backend}_{}", $name))
    };
}

/// What leads to a backend.
const AT_BACKENDS: &[Row] = &[
    row(
        "call",
        "tools/call",
        of_tool!("fine"),
        "mcp_tool_call success tools/call tool={b}_fine @{b} 200",
    ),
    row(
        "tool error",
        "tools/call",
        of_tool!("fails"),
        "mcp_tool_call application_error tools/call tool={b}_fails @{b} 200",
    ),
    row(
        "large tool error",
        "tools/call",
        of_tool!("fails_large"),
        "mcp_tool_call application_error tools/call tool={b}_fails_large @{b} 200",
    ),
    row(
        "error of the backend",
        "tools/call",
        of_tool!("wrong"),
        "mcp_tool_call application_error tools/call tool={b}_wrong @{b} code -7 200",
    ),
    row(
        "too late",
        "tools/call",
        of_tool!("hang"),
        "mcp_tool_call error tools/call tool={b}_hang @{b} timeout code -32603 200",
    ),
    row(
        "broken off",
        "tools/call",
        of_tool!("close"),
        "mcp_tool_call error tools/call tool={b}_close @{b} backend code -32603 200",
    ),
    row(
        "read",
        "resources/read",
        |backend| uri(&format!("{backend}://one")),
        "mcp_resource_read success resources/read resource={b}://one @{b} 200",
    ),
    row(
        "bad resource",
        "resources/read",
        |backend| uri(&format!("{backend}://bad")),
        "mcp_resource_read application_error resources/read resource={b}://bad @{b} code -9 200",
    ),
    row(
        "prompt",
        "prompts/get",
        of_tool!("fine"),
        "mcp_prompt_get success prompts/get prompt={b}_fine @{b} 200",
    ),
    row(
        "bad prompt",
        "prompts/get",
        of_tool!("bad"),
        "mcp_prompt_get application_error prompts/get prompt={b}_bad @{b} code -8 200",
    ),
    row(
        "completion",
        "completion/complete",
        |backend| {
            let prompt = json!({"type": "ref/prompt", "name": format!("{backend}_fine")});
            json!({"ref": prompt, "argument": {"name": "key", "value": ""}})
        },
        "mcp_completion success completion/complete ={b}_fine @{b} 200",
    ),
];

/// What vmcp answers itself.
const OWN: &[Row] = &[
    row("tools", "tools/list", none, "mcp_tools_list success tools/list tool= 200"),
    row(
        "resources",
        "resources/list",
        none,
        "mcp_resources_list success resources/list resource= 200",
    ),
    row("prompts", "prompts/list", none, "mcp_prompts_list success prompts/list prompt= 200"),
    row(
        "templates",
        "resources/templates/list",
        none,
        "mcp_request success resources/templates/list 200",
    ),
    row("ping", "ping", none, "mcp_ping success ping 200")
        .modern("mcp_ping failure ping invalid code -32601 404"),
    row(
        "level",
        "logging/setLevel",
        |_| json!({"level": "info"}),
        "mcp_logging success logging/setLevel 200",
    )
    .modern("mcp_logging failure logging/setLevel invalid code -32601 404"),
    row(
        "discover",
        "server/discover",
        none,
        "mcp_request failure server/discover invalid code -32601 200",
    )
    .modern("mcp_request success server/discover 200"),
    row(
        "unknown tool",
        "tools/call",
        |_| named("nothing"),
        "mcp_tool_call failure tools/call tool=nothing invalid code -32602 200",
    )
    .modern("mcp_tool_call failure tools/call tool=nothing invalid code -32602 400"),
    row(
        "unknown prompt",
        "prompts/get",
        |_| named("nothing"),
        "mcp_prompt_get failure prompts/get prompt=nothing invalid code -32602 200",
    )
    .modern("mcp_prompt_get failure prompts/get prompt=nothing invalid code -32602 400"),
    row(
        "unknown resource",
        "resources/read",
        |_| uri("none:x"),
        "mcp_resource_read failure resources/read resource=none:x invalid code -32002 200",
    )
    .modern("mcp_resource_read failure resources/read resource=none:x invalid code -32602 400"),
    row("unknown method", "no/such", none, "mcp_request failure no/such invalid code -32601 200")
        .modern("mcp_request failure no/such invalid code -32601 404"),
    row(
        "no name",
        "tools/call",
        none,
        "mcp_tool_call failure tools/call tool= invalid code -32602 200",
    )
    .modern("mcp_tool_call failure tools/call tool= invalid code -32020 400"),
];

#[tokio::test]
async fn each_method_has_one_record_however_it_ends() {
    let (old, new) =
        (legacy_server("old").start().await.unwrap(), modern_server("new").start().await.unwrap());
    let gateway = Gateway::before(&[("old", old.url()), ("new", new.url())])
        .with("operational: {timeouts: {default: 1500ms}}");
    let audited = Audited::start(&gateway, "").await;
    let mut expected = Vec::new();
    let mut answers = Vec::new();
    for (era, asker) in Asker::both(&audited).await {
        let backends = [("old", AT_BACKENDS), ("new", AT_BACKENDS), ("", OWN)];
        for (backend, rows) in backends {
            for row in rows {
                let name = format!("{era} {backend} {}", row.name);
                let answered = asker.ask(&name, row.method, (row.params)(backend)).await;
                answers.push((name.clone(), answered));
                expected.push((name, row.told(era).replace("{b}", backend)));
            }
        }
    }
    let records = audited.end().await;
    let expected: Vec<_> = expected.iter().map(|(name, told)| (&**name, &**told)).collect();
    records.assert_each(expected.iter().copied());
    // What is recorded is what the client was told.
    for (name, (status, code)) in answers {
        let extra = &records.whole(&name)[0]["metadata"]["extra"];
        let recorded = (extra["http_status"].as_u64(), extra["jsonrpc_error_code"].as_i64());
        assert_eq!(recorded, (Some(status.into()), code), "{name}");
    }
    // And nothing more: a session was opened, and that was told.
    assert_eq!(records.0.len(), expected.len() + 2, "{:?}", records.by_type());
}
