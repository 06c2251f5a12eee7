//! The tool `vmcp_status`, of vmcp's own, and what `/status` counts of calls.

use serde_json::{Value, json};
use vmcp_testkit::{
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    modern_client::ModernClient,
    peers,
    process::{Process, free_port},
    raw::{Answer, RawServer, Running},
};

use crate::{connect, serve};

const TOOL: &str = "vmcp_status";

const AGGREGATION: &str = "conflictResolution: prefix\nconflictResolutionConfig: {prefixFormat: '{workload}_'}\nstatusTool: true";

async fn status(process: &Process) -> Value {
    let (_, text) = fetch(&process.url_of("/status")).await.unwrap();
    serde_json::from_slice(&text).unwrap()
}

async fn names(client: &Client) -> Vec<String> {
    client.request("1", "tools/list", "{}").await.unwrap().keys("tools", "name").unwrap()
}

/// A backend that is there and one that is not.
async fn gateway() -> (Running, Gateway) {
    let server = peers::stateful().start().await.unwrap();
    let away = format!("http://127.0.0.1:{}/mcp", free_port().unwrap());
    let backends = [("here", server.url()), ("away", away)];
    let gateway = Gateway::before(&backends)
        .aggregation(AGGREGATION)
        .with("sessions: {initializeWait: 500ms}");
    (server, gateway)
}

#[tokio::test]
async fn clients_of_both_eras_are_told_how_the_backends_fare() {
    let (_server, gateway) = gateway().await;
    let process = serve(&gateway).await;
    let legacy = connect(&process).await;
    let modern = ModernClient::new(&process.url());
    assert_eq!(names(&legacy).await, ["here_slow", "here_count", TOOL]);
    let listed = modern.learn_tools().await.unwrap();
    assert_eq!(listed.last().unwrap()["name"], TOOL);
    let told = [
        legacy.call("2", TOOL, "{}").await.unwrap().json()["result"].clone(),
        modern.call(TOOL, json!({})).await.unwrap().result().unwrap(),
    ];
    for result in &told {
        let content = &result["structuredContent"];
        assert_eq!(content["missing"], json!(["away"]), "{result}");
        let [away, here] = content["servers"].as_array().unwrap().as_slice() else {
            panic!("{result}");
        };
        assert_eq!((&away["name"], &here["name"]), (&json!("away"), &json!("here")));
        assert_eq!((&away["tools"], &here["tools"]), (&json!(0), &json!(2)));
        assert_eq!(here["state"], "healthy", "{result}");
        assert!(away["problem"].as_str().unwrap().contains("refused"), "{result}");
        assert!(here.get("problem").is_none(), "{result}");
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("here: healthy, 2 tools"), "{text}");
        assert!(text.contains("missing from the lists: away"), "{text}");
    }
    assert_eq!(told[1]["resultType"], "complete");
    let refused = legacy.call("3", TOOL, r#"{"which":"here"}"#).await.unwrap().json();
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let counted = &status(&process).await["own_tools"][TOOL];
    assert_eq!((&counted["calls"], &counted["errors"]), (&json!(3), &json!(1)), "{counted}");
}

/// Whoever has it switched on relies on it, so its name is nobody else's.
#[tokio::test]
async fn no_backend_can_take_its_name() {
    let tool = r#"{"name":"status","inputSchema":{"type":"object"}}"#;
    let server = RawServer::builder().tool(tool, "{}").start().await.unwrap();
    let gateway = Gateway::before(&[("vmcp", server.url())]).aggregation(AGGREGATION);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    assert_eq!(names(&client).await, [TOOL]);
    let answer = client.call("2", TOOL, "{}").await.unwrap().json();
    assert_eq!(answer["result"]["structuredContent"]["servers"][0]["name"], "vmcp");
    let dropped = status(&process).await["dropped"].to_string();
    assert!(dropped.contains("vmcp_status"), "{dropped}");
}

#[tokio::test]
async fn it_comes_and_goes_with_the_configuration() {
    let (_server, gateway) = gateway().await;
    let plain = gateway.clone().aggregation(&AGGREGATION.replace("\nstatusTool: true", ""));
    let process = serve(&plain).await;
    let client = connect(&process).await;
    assert_eq!(names(&client).await, ["here_slow", "here_count"]);
    let unknown = client.call("2", TOOL, "{}").await.unwrap().json();
    assert_eq!(unknown["error"]["message"], format!("unknown tool: {TOOL}"));
    let mut stream = client.listen(None).await.unwrap();
    process.write_config(&gateway.yaml()).unwrap();
    process.signal(rustix::process::Signal::HUP).unwrap();
    let told = stream.message().await.unwrap().unwrap();
    assert_eq!(told.method().unwrap(), "notifications/tools/list_changed");
    assert_eq!(names(&client).await, ["here_slow", "here_count", TOOL]);
    assert!(client.call("3", TOOL, "{}").await.unwrap().json()["result"].is_object());
}

/// By backend and method, in both eras, errors apart.
#[tokio::test]
async fn calls_are_counted_by_backend_and_method() {
    let fails = r#"{"name":"fails","inputSchema":{"type":"object"}}"#;
    let server = peers::stateful().tool(fails, Answer::error(-32000, "no")).start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    let legacy = connect(&process).await;
    let modern = ModernClient::new(&process.url());
    for id in ["1", "2", "3"] {
        legacy.call(id, "a_count", "{}").await.unwrap().text().unwrap();
    }
    modern.call("a_count", json!({})).await.unwrap().result().unwrap();
    assert!(legacy.call("4", "a_fails", "{}").await.unwrap().json()["error"].is_object());
    let counted = eventually("all are counted", async || {
        let status = status(&process).await;
        let counted = status["backends"][0]["methods"]["tools/call"].clone();
        (counted["calls"] == 5).then_some(counted)
    });
    let counted = counted.await;
    assert_eq!((&counted["errors"], &counted["abandoned"]), (&json!(1), &json!(0)));
    assert_eq!(counted["latency"]["calls"], 5, "{counted}");
    assert!(counted["latency"]["p99_ms"].as_f64().unwrap() > 0.0, "{counted}");
}
