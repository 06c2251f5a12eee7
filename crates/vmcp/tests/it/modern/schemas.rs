//! Tools whose output is no object, which the modern era knows and the legacy one does not.

use serde_json::{Value, json};
use vmcp_testkit::{
    gateway::Gateway,
    modern::{ModernServer, complete},
};

use super::{Clients, Era, tool};
use crate::serve;

#[tokio::test]
async fn legacy_clients_see_outputs_in_objects_and_modern_ones_as_they_are() {
    let items =
        r##"{"type":"array","items":{"$ref":"#/$defs/n"},"$defs":{"n":{"type":"integer"}}}"##;
    let listing =
        format!(r#"{{"name":"listing","inputSchema":{{"type":"object"}},"outputSchema":{items}}}"#);
    let either = r#"{"name":"either","inputSchema":{"type":"object"},"outputSchema":{"anyOf":[{"type":"object"},{"type":"null"}]}}"#;
    // Only the modern era lets a property's schema be anything.
    let shapeless = r#"{"name":"shapeless","inputSchema":{"type":"object","properties":{"a":[]}}}"#;
    let new = ModernServer::builder()
        .tool(&listing, complete(r#""content":[],"structuredContent":[1,2,3]"#))
        .tool(either, complete(r#""content":[],"structuredContent":{"a":1}"#))
        .tool(&tool("plain"), complete(r#""content":[],"structuredContent":{"a":1}"#))
        .tool(shapeless, complete(r#""content":[]"#))
        .start()
        .await
        .unwrap();
    let process = serve(&Gateway::before(&[("new", new.url())])).await;
    let clients = Clients::of(&process).await;

    let modern = parsed(&clients, Era::Modern).await;
    assert_eq!(modern.len(), 4);
    assert_eq!(modern[0]["outputSchema"], serde_json::from_str::<Value>(items).unwrap());
    let legacy = parsed(&clients, Era::Legacy).await;
    let names: Vec<_> = legacy.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["new_listing", "new_either", "new_plain"]);
    for tool in &legacy[..2] {
        let schema = &tool["outputSchema"];
        assert_eq!((&schema["type"], &schema["required"]), (&json!("object"), &json!(["result"])));
    }
    let result = &legacy[0]["outputSchema"]["properties"]["result"];
    assert_eq!(result["items"]["$ref"], "#/properties/result/$defs/n");

    for (era, tool, expected) in [
        (Era::Modern, "new_listing", json!([1, 2, 3])),
        (Era::Modern, "new_either", json!({"a": 1})),
        (Era::Modern, "new_plain", json!({"a": 1})),
        (Era::Legacy, "new_listing", json!({"result": [1, 2, 3]})),
        (Era::Legacy, "new_either", json!({"result": {"a": 1}})),
        (Era::Legacy, "new_plain", json!({"a": 1})),
    ] {
        let result = clients.call(era, tool, "{}").await.json()["result"].clone();
        assert_eq!(result["structuredContent"], expected, "{era:?} {tool}");
    }
    let hidden = clients.call(Era::Legacy, "new_shapeless", "{}").await;
    assert_eq!(hidden.error_code().unwrap(), -32602);
    let shown = clients.call(Era::Modern, "new_shapeless", "{}").await;
    assert!(shown.result().is_ok());
}

async fn parsed(clients: &Clients, era: Era) -> Vec<Value> {
    let listed = clients.ask(era, "tools/list", "{}").await.json();
    listed["result"]["tools"].as_array().unwrap().clone()
}
