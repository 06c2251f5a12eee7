//! What rmcp says in the modern era passes before the strict client and before the strict server.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use vmcp_testkit::{
    RustClient,
    client::Client,
    conformance::{self, Era, Part},
    modern_client::ModernClient,
    peers,
};

#[tokio::test]
async fn rmcp_passes_before_the_client() {
    let server = conformance::start_as(Part::All, Era::Modern, 0).await.unwrap();
    let client = ModernClient::new(&server.url()).capable();
    client.discover().await.unwrap().result().unwrap();
    client.learn_tools().await.unwrap();
    for (method, member) in [
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
        ("prompts/list", "prompts"),
    ] {
        assert!(!client.list(method, member).await.unwrap().is_empty(), "{method}");
    }
    let arguments = json!({"region": "Zürich", "place": {"zone": " a"}});
    let mirrored = client.call("test_custom_header", arguments).await.unwrap();
    assert!(mirrored.text().unwrap().contains("Zürich"));
    client.read("test://template/7/data").await.unwrap().result().unwrap();
    let logged = client.clone().log_level("info").call("test_logging_tool", json!({})).await;
    assert_eq!(logged.unwrap().notifications().len(), 3);
    let progress = client.clone().meta("progressToken", json!(7));
    let progress = progress.call("test_tool_with_progress", json!({})).await.unwrap();
    assert_eq!(progress.notifications().len(), 3);

    let asked = client.call("test_input_required_result_multi_round", json!({})).await.unwrap();
    let name = json!({"step1": {"action": "accept", "content": {"name": "Ada"}}});
    let again = client.answer(&asked, name).await.unwrap();
    let color = json!({"step2": {"action": "accept", "content": {"color": "blue"}}});
    let done = client.answer(&again, color).await.unwrap();
    assert_eq!(done.text().unwrap(), "Ada likes blue");
    let asked = client.prompt("test_input_required_result_prompt", json!({})).await.unwrap();
    assert_eq!(asked.questions().unwrap().len(), 1);
}

#[tokio::test]
async fn each_part_has_something_of_everything() {
    let names = async |part: Part, method: &str, member: &str| -> BTreeSet<String> {
        let server = conformance::start_as(part, Era::Modern, 0).await.unwrap();
        let all = ModernClient::new(&server.url()).list(method, member).await.unwrap();
        all.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    for (method, member) in
        [("tools/list", "tools"), ("resources/list", "resources"), ("prompts/list", "prompts")]
    {
        let a = names(Part::A, method, member).await;
        let b = names(Part::B, method, member).await;
        assert!(!a.is_empty() && !b.is_empty() && a.is_disjoint(&b), "{method}");
        assert_eq!(&a | &b, names(Part::All, method, member).await, "{method}");
    }
}

#[tokio::test]
async fn rmcps_subscriptions_pass_before_the_client() {
    let server = conformance::start(Part::All, 0).await.unwrap();
    let client = ModernClient::new(&server.url());
    let watched = "test://watched-resource";
    let filter = json!({"toolsListChanged": true, "resourceSubscriptions": [watched]});
    let mut listening = client.listen(filter).await.unwrap();
    let mut session = Client::connect(&server.url()).await.unwrap();
    let mut stream = session.listen(None).await.unwrap();
    client.call("test_trigger_prompt_change", json!({})).await.unwrap().text().unwrap();
    client.call("test_trigger_tool_change", json!({})).await.unwrap().text().unwrap();
    assert_eq!(listening.next().await.unwrap()["method"], "notifications/tools/list_changed");
    session.call("1", "test_touch_watched_resource", "{}").await.unwrap().result().unwrap();
    assert_eq!(listening.next().await.unwrap()["params"]["uri"], watched);
    for method in ["notifications/prompts/list_changed", "notifications/tools/list_changed"] {
        assert_eq!(stream.message().await.unwrap().unwrap().method().unwrap(), method);
    }
    session = session.with_header("x", "y");
    session.delete().await.unwrap();
}

#[tokio::test]
async fn rmcps_tasks_pass_before_the_client() {
    let server = conformance::start(Part::All, 0).await.unwrap();
    let tasks = json!({"elicitation": {}, "extensions": {"io.modelcontextprotocol/tasks": {}}});
    let without = ModernClient::new(&server.url());
    let refused = without.call("failing_job", json!({})).await.unwrap();
    assert_eq!(refused.error_code().unwrap(), -32021);
    // rmcp acknowledges without saying who it is.
    let client = without.capabilities(tasks).tolerant();
    let begun = client.call("confirm_delete", json!({"filename": "f"})).await.unwrap();
    assert_eq!(begun.result_type().unwrap(), "task");
    let task = begun.result().unwrap()["taskId"].clone();
    let status = async |wanted: &str| -> Value {
        loop {
            let task = client.request("tasks/get", json!({"taskId": task})).await.unwrap();
            let task = task.result().unwrap();
            if task["status"] == wanted {
                return task;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let asking = status("input_required").await;
    assert_eq!(asking["inputRequests"]["confirm"]["method"], "elicitation/create");
    let answer = json!({"confirm": {"action": "accept", "content": {"confirm": true}}});
    let params = json!({"taskId": task, "inputResponses": answer});
    client.request("tasks/update", params).await.unwrap().result().unwrap();
    let done = status("completed").await;
    assert_eq!(done["result"]["content"][0]["text"], "f: true");
}

#[tokio::test]
async fn rmcps_client_passes_before_the_server() {
    let server = peers::modern().start().await.unwrap();
    let client = RustClient::connect_modern(&server.url()).await.unwrap();
    let tools = client.ask("tools/list", json!({})).await.unwrap();
    assert_eq!(tools["tools"].as_array().map(Vec::len), Some(13), "{tools}");
    client.settle("resources/read", json!({"uri": "modern://one"})).await.unwrap();
    let arguments = json!({"region": "Z\u{fc}rich", "level": 7, "place": {"zone": " a"}});
    let params = json!({"name": "region", "arguments": arguments});
    client.settle("tools/call", params).await.unwrap();
    let seen = server.last("tools/call").unwrap();
    assert_eq!(seen.header("mcp-param-region"), Some("=?base64?WsO8cmljaA==?="));
    for tool in ["ask", "ask_everything", "ask_twice", "ask_nothing"] {
        let done = client.settle("tools/call", json!({"name": tool})).await.unwrap();
        assert!(done["structuredContent"]["requestState"].is_string(), "{tool}: {done}");
    }
    let prompt = client.settle("prompts/get", json!({"name": "asking"})).await.unwrap();
    assert_eq!(prompt["messages"][0]["content"]["text"], "ann");

    let filter = json!({"toolsListChanged": true, "resourceSubscriptions": ["modern://one"]});
    let mut listening = client.listen(filter.clone()).await.unwrap();
    assert_eq!(listening.granted(), filter);
    client.settle("tools/call", json!({"name": "grow"})).await.unwrap();
    let touch = json!({"name": "touch", "arguments": {"uri": "modern://one"}});
    client.settle("tools/call", touch).await.unwrap();
    for method in ["notifications/tools/list_changed", "notifications/resources/updated"] {
        assert_eq!(listening.next().await.unwrap().unwrap()["method"], method);
    }
    server.end_subscriptions();
    assert_eq!(listening.next().await.unwrap(), None);
    assert_eq!(server.refusals(), Vec::<String>::new());
}
