//! What of all that is recorded: types, data of requests and answers, errors of tools.

use super::*;

const ARGUMENTS: &str = r#"{"text":"Ä \"quoted\"","n":1.10}"#;

async fn calls(keys: &str) -> Records {
    let backend = legacy_server("a").start().await.unwrap();
    let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), keys).await;
    let client = audited.connect().await;
    let named = |name: &str| client.clone().with_header(NAME, name);
    named("fine").call("1", "a_fine", ARGUMENTS).await.unwrap().text().unwrap();
    named("fails").call("2", "a_fails", "{}").await.unwrap().result().unwrap();
    named("wrong").call("3", "a_wrong", "{}").await.unwrap().error().unwrap();
    named("large").call("4", "a_fails_large", "{}").await.unwrap().result().unwrap();
    named("ping").request("5", "ping", "{}").await.unwrap().result().unwrap();
    named("list").request("6", "tools/list", "{}").await.unwrap().result().unwrap();
    audited.end().await
}

#[tokio::test]
async fn types_are_chosen_and_left_out() {
    let types = |records: Records| records.by_type().into_keys().collect::<Vec<_>>();
    let some = calls(", eventTypes: [mcp_ping, mcp_tool_call]").await;
    assert_eq!(types(some), ["mcp_ping", "mcp_tool_call"]);
    let others = calls(", excludeEventTypes: [mcp_tool_call, mcp_tools_list]").await;
    assert_eq!(types(others), ["mcp_initialize", "mcp_notification", "mcp_ping"]);
    let both =
        calls(", eventTypes: [mcp_ping, mcp_tool_call], excludeEventTypes: [mcp_ping]").await;
    assert_eq!(types(both), ["mcp_tool_call"]);
}

#[tokio::test]
async fn what_was_said_is_shown_where_it_is_switched_on() {
    let none = calls("").await;
    assert!(none.0.iter().all(|record| record["data"].is_null()));
    let all =
        calls(", includeRequestData: true, includeResponseData: true, maxDataSize: 200").await;
    let data = |name: &str| &all.whole(name)[0]["data"];
    let params = format!(r#"{{"name":"a_fine","arguments":{ARGUMENTS}}}"#);
    assert_eq!(data("fine")["request"], serde_json::from_str::<Value>(&params).unwrap());
    assert_eq!(data("fine")["response"]["result"]["content"][0]["text"], "fine");
    assert_eq!(data("fine")["truncated"], Value::Null);
    assert_eq!(data("wrong")["response"]["error"]["code"], -7);
    // What does not fit is cut, and a text.
    assert_eq!(data("large")["truncated"], true);
    let cut = data("large")["response"].as_str().unwrap();
    assert!(cut.starts_with(r#"{"jsonrpc":"2.0""#) && (150..=200).contains(&cut.len()), "{cut}");
    let requests = calls(", includeRequestData: true").await;
    let data = &requests.whole("fine")[0]["data"];
    assert!(data["request"].is_object() && data["response"].is_null(), "{data}");
}

#[tokio::test]
async fn errors_of_tools_and_backends_may_count_as_success() {
    let records = calls(", detectApplicationErrors: false").await;
    records.assert_each([
        ("fails", "mcp_tool_call success tools/call tool=a_fails @a 200"),
        ("wrong", "mcp_tool_call success tools/call tool=a_wrong @a code -7 200"),
        ("large", "mcp_tool_call success tools/call tool=a_fails_large @a 200"),
    ]);
}
