//! The official Rust SDK as the client of backends over all transports, and in both eras. Its siblings
//! in Python and TypeScript have their rounds in `tools/clients`.

use serde_json::{Value, json};
use vmcp_testkit::{
    CHILD, RustClient, RustSubscription,
    conformance::{self, Era, Part},
    gateway::{Gateway, eventually},
    peers,
};

use crate::serve;

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

async fn call(client: &RustClient, tool: &str, arguments: Value) -> Value {
    let params = json!({"name": tool, "arguments": arguments});
    client.ask("tools/call", params).await.unwrap()
}

/// The SDK hands notifications over beside the answer, not before it.
async fn until_heard(client: &RustClient, method: &str, count: usize) {
    eventually(method, async || (client.heard(method) == count).then_some(())).await;
}

/// Everything that the fixture has, under one backend's name.
async fn go_round(client: &RustClient, backend: &str) {
    let named = |name: &str| format!("{backend}_{name}");
    let tools = client.ask("tools/list", json!({})).await.unwrap();
    let tools = tools["tools"].as_array().unwrap();
    assert!(tools.iter().any(|tool| tool["name"] == *named("test_simple_text")), "{tools:?}");
    assert!(text(&call(client, &named("test_simple_text"), json!({})).await).contains("simple"));

    let sampled = call(client, &named("test_sampling"), json!({"prompt": "?"})).await;
    assert!(text(&sampled).contains("sampled by rmcp"), "{sampled}");
    let elicited = call(client, &named("test_elicitation"), json!({"message": "?"})).await;
    assert!(text(&elicited).contains("ann@example.com"), "{elicited}");
    let roots = call(client, &named("test_list_roots"), json!({})).await;
    assert!(text(&roots).contains("file:///work"), "{roots}");

    let heard = client.heard("notifications/progress");
    call(client, &named("test_tool_with_progress"), json!({})).await;
    until_heard(client, "notifications/progress", heard + 3).await;
    client.ask("logging/setLevel", json!({"level": "debug"})).await.unwrap();
    let heard = client.heard("notifications/message");
    call(client, &named("test_tool_with_logging"), json!({})).await;
    until_heard(client, "notifications/message", heard + 3).await;

    let prompt = json!({
        "name": named("test_prompt_with_arguments"),
        "arguments": {"arg1": "one", "arg2": "two"},
    });
    let prompt = client.ask("prompts/get", prompt).await.unwrap();
    assert!(prompt["messages"][0]["content"]["text"].as_str().unwrap().contains("two"), "{prompt}");
    let reference = json!({"type": "ref/prompt", "name": named("test_prompt_with_arguments")});
    let completion = json!({"ref": reference, "argument": {"name": "arg1", "value": "par"}});
    let completed = client.ask("completion/complete", completion).await.unwrap();
    assert_eq!(completed["completion"]["values"], json!(["paris", "park", "party"]));

    let changes = client.heard("notifications/tools/list_changed");
    call(client, &named("test_trigger_tool_change"), json!({})).await;
    eventually("the tools have changed", async || {
        (client.heard("notifications/tools/list_changed") > changes).then_some(())
    })
    .await;
    let extra = named("test_extra_tool");
    assert!(text(&call(client, &extra, json!({})).await).contains("there"));
    client.ask("ping", json!({})).await.unwrap();
}

#[tokio::test]
async fn the_rust_sdk_goes_the_whole_round() {
    let new = conformance::start(Part::All, 0).await.unwrap();
    let old = conformance::start_sse(Part::All, 0).await.unwrap();
    let gateway = Gateway::before(&[("new", new.url())])
        .backend(&format!("name: old, url: '{}', transport: sse", old.url()))
        .backend(&format!("name: kid, command: python3, args: ['{CHILD}']"));
    let process = serve(&gateway).await;
    let client = RustClient::connect(&process.url()).await.unwrap();
    assert_eq!(client.server()["protocolVersion"], "2025-11-25", "{}", client.server());
    for backend in ["new", "old"] {
        go_round(&client, backend).await;
    }
    // A resource is offered once, whoever else has it.
    let watched = json!({"uri": "test://watched-resource"});
    client.ask("resources/subscribe", watched.clone()).await.unwrap();
    call(&client, "new_test_touch_watched_resource", json!({})).await;
    eventually("the resource has changed", async || {
        (client.heard("notifications/resources/updated") > 0).then_some(())
    })
    .await;
    client.ask("resources/unsubscribe", watched).await.unwrap();
    let read =
        client.ask("resources/read", json!({"uri": "test://template/7/data"})).await.unwrap();
    assert!(read["contents"][0]["text"].as_str().unwrap().contains('7'), "{read}");

    let params = json!({"name": "kid_sleep", "arguments": {"ms": 20_000}});
    let sleeping = client.begin("tools/call", params).await.unwrap();
    eventually("it has begun", async || {
        let echoed = call(&client, "kid_count", json!({})).await;
        (text(&echoed) != "0").then_some(())
    })
    .await;
    sleeping.cancel(Some("not needed".to_owned())).await.unwrap();
    eventually("the program knows", async || {
        let cancelled = call(&client, "kid_cancelled", json!({})).await;
        (text(&cancelled) != "[]").then_some(())
    })
    .await;
    client.close().await.unwrap();
}

/// Calls, gets or reads, and answers what is asked on the way.
async fn settle(client: &RustClient, tool: &str, arguments: Value) -> String {
    let params = json!({"name": tool, "arguments": arguments});
    text(&client.settle("tools/call", params).await.unwrap()).to_owned()
}

/// Waits for a notification of a subscription. Changes are announced together, so it may not be the
/// next one.
async fn until_told(subscription: &mut RustSubscription, method: &str) -> Value {
    loop {
        let notification = subscription.next().await.unwrap().expect("the subscription goes on");
        if notification["method"] == method {
            return notification;
        }
    }
}

async fn changes(client: &RustClient) {
    let watched = "test://watched-resource";
    let filter = json!({"toolsListChanged": true, "resourceSubscriptions": [watched]});
    let mut subscription = client.listen(filter.clone()).await.unwrap();
    assert_eq!(subscription.granted(), filter);
    settle(client, "new_test_touch_watched_resource", json!({})).await;
    let updated = until_told(&mut subscription, "notifications/resources/updated").await;
    assert_eq!(updated["params"]["uri"], watched);
    settle(client, "new_test_trigger_tool_change", json!({})).await;
    until_told(&mut subscription, "notifications/tools/list_changed").await;
    assert!(settle(client, "new_test_extra_tool", json!({})).await.contains("there"));
}

#[tokio::test]
async fn the_rust_sdk_goes_the_whole_round_of_the_modern_era() {
    let new = conformance::start_as(Part::All, Era::Modern, 0).await.unwrap();
    let old = conformance::start_as(Part::All, Era::Legacy, 0).await.unwrap();
    let strict = peers::modern().start().await.unwrap();
    let gateway =
        Gateway::before(&[("new", new.url()), ("old", old.url()), ("strict", strict.url())]);
    let process = serve(&gateway).await;
    let client = RustClient::connect_modern(&process.url()).await.unwrap();

    let tools = client.ask("tools/list", json!({})).await.unwrap();
    let tools = tools["tools"].as_array().unwrap();
    for backend in ["new", "old"] {
        let simple = format!("{backend}_test_simple_text");
        assert!(tools.iter().any(|tool| tool["name"] == *simple), "{tools:?}");
        assert!(settle(&client, &simple, json!({})).await.contains("simple"));
        let heard = client.heard("notifications/progress");
        settle(&client, &format!("{backend}_test_tool_with_progress"), json!({})).await;
        until_heard(&client, "notifications/progress", heard + 3).await;
    }

    let asked_for = json!({"io.modelcontextprotocol/logLevel": "debug"});
    let logging = json!({"name": "new_test_logging_tool", "_meta": asked_for});
    client.settle("tools/call", logging).await.unwrap();
    until_heard(&client, "notifications/message", 3).await;

    let sampled = settle(&client, "new_test_sampling", json!({"prompt": "?"})).await;
    assert!(sampled.contains("sampled by rmcp"), "{sampled}");
    let elicited = settle(&client, "new_test_elicitation", json!({"message": "?"})).await;
    assert!(elicited.contains("ann@example.com"), "{elicited}");
    let roots = settle(&client, "new_test_list_roots", json!({})).await;
    assert!(roots.contains("file:///work"), "{roots}");
    for tool in ["ask", "ask_everything", "ask_twice", "ask_nothing"] {
        let params = json!({"name": format!("strict_{tool}")});
        let done = client.settle("tools/call", params).await.unwrap();
        assert!(done["structuredContent"]["requestState"].is_string(), "{tool}: {done}");
    }

    let prompt = client.settle("prompts/get", json!({"name": "strict_asking"})).await.unwrap();
    assert_eq!(prompt["messages"][0]["content"]["text"], "ann");
    let read = json!({"uri": "test://template/7/data"});
    let read = client.settle("resources/read", read).await.unwrap();
    assert!(read["contents"][0]["text"].as_str().unwrap().contains('7'), "{read}");
    let reference = json!({"type": "ref/prompt", "name": "new_test_prompt_with_arguments"});
    let completion = json!({"ref": reference, "argument": {"name": "arg1", "value": "par"}});
    let completed = client.ask("completion/complete", completion).await.unwrap();
    assert_eq!(completed["completion"]["values"], json!(["paris", "park", "party"]));

    changes(&client).await;

    let slow = json!({"name": "strict_slow", "arguments": {"delay_ms": 20_000}});
    let slow = client.begin("tools/call", slow).await.unwrap();
    eventually("it has begun", async || (strict.counters().executions("slow") > 0).then_some(()))
        .await;
    slow.cancel(None).await.unwrap();
    strict.counters().until_abandoned(1).await.unwrap();
    assert_eq!(strict.refusals(), Vec::<String>::new());
    client.close().await.unwrap();
}
