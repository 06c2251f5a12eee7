//! Batches: a thing of revision 2025-03-26 alone.

use std::collections::BTreeMap;

use serde_json::Value;
use vmcp_testkit::{
    client::{Client, Response},
    gateway::Gateway,
    peers,
};

use crate::serve;

/// Every message of a response by its id, whether they came as an array or as events.
async fn messages(mut response: Response) -> BTreeMap<String, Value> {
    assert_eq!(response.status(), 200);
    let mut bodies = Vec::new();
    if response.is_stream() {
        while let Some(event) = response.event().await.unwrap() {
            if !event.data.is_empty() {
                bodies.push(event.data);
            }
        }
    } else {
        bodies.push(response.bytes().await.unwrap());
    }
    let mut all = BTreeMap::new();
    for body in bodies {
        let body: Value = serde_json::from_slice(&body).unwrap();
        let several = body.as_array().cloned().unwrap_or_else(|| vec![body]);
        for message in several {
            let id = message["id"].to_string();
            assert!(all.insert(id, message).is_none(), "an answer came twice");
        }
    }
    all
}

const BATCH: &str = r#"[
    {"jsonrpc":"2.0","id":1,"method":"ping"},
    {"jsonrpc":"2.0","method":"notifications/initialized"},
    {"jsonrpc":"2.0","id":"two","method":"tools/call","params":{"name":"a_count"}},
    {"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"a_nothing"}},
    {"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"a_slow","arguments":{"delay_ms":20},"_meta":{"progressToken":9}}}
]"#;

#[tokio::test]
async fn a_batch_is_answered_on_the_revision_that_has_them() {
    let backend = peers::stateful().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let mut client = Client::new(&process.url());
    client.initialize_as("2025-03-26", "{}").await.unwrap();
    let mut answers = messages(client.post(BATCH).await.unwrap()).await;
    // The progress of the slow call has no id.
    if let Some(progress) = answers.remove("null") {
        assert_eq!(progress["method"], "notifications/progress");
    }
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["\"two\"", "1", "3", "4"]);
    assert_eq!(answers["1"]["result"], serde_json::json!({}));
    assert_eq!(answers["\"two\""]["result"]["content"][0]["text"], "1");
    assert_eq!(answers["3"]["error"]["code"], -32602);
    assert_eq!(answers["4"]["result"]["content"][0]["text"], "done");

    let notes = r#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#;
    assert_eq!(client.post(notes).await.unwrap().status(), 202);
    assert_eq!(client.post("[]").await.unwrap().status(), 400);
    let nested = r#"[[{"jsonrpc":"2.0","id":1,"method":"ping"}]]"#;
    assert_eq!(client.post(nested).await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_batch_is_refused_on_every_other_revision() {
    let backend = peers::stateful().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    for version in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        let mut client = Client::new(&process.url());
        client.initialize_as(version, "{}").await.unwrap();
        let refused = client.post(BATCH).await.unwrap();
        assert_eq!(refused.status(), 400, "{version}");
        let body: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
        assert_eq!(body["error"]["code"], -32600);
    }
    assert_eq!(backend.counters().calls("count"), 0);
}
