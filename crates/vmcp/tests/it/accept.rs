//! Clients that take one form of answer only: JSON, or a stream of events.

use serde_json::{Value, json};
use vmcp_testkit::{
    client::Client,
    gateway::Gateway,
    modern_client::ModernClient,
    peers,
    process::Process,
    raw::{Form, Running},
};

use crate::serve;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// Before backends that answer with JSON, with events, and with events that ask first.
async fn fixture() -> ([Running; 4], Process) {
    let backends = [
        peers::fidelity().start().await.unwrap(),
        peers::fidelity().form(Form::Sse).start().await.unwrap(),
        peers::slow().form(Form::Sse).start().await.unwrap(),
        peers::asking().start().await.unwrap(),
    ];
    let names = ["json", "sse", "slow", "asking"];
    let named: Vec<_> = names.into_iter().zip(backends.iter().map(Running::url)).collect();
    let process = serve(&Gateway::before(&named)).await;
    (backends, process)
}

#[tokio::test]
async fn an_answer_comes_in_the_form_that_the_client_takes() {
    let (_backends, process) = fixture().await;
    let both = Client::connect(&process.url()).await.unwrap();
    for accept in [JSON, EVENTS] {
        let mut client = Client::new(&process.url()).with_header("accept", accept);
        client.initialize().await.unwrap();
        // A large answer is passed on as it arrives.
        for (method, params) in [
            ("ping", "{}"),
            ("tools/list", "{}"),
            ("tools/call", r#"{"name":"json_order"}"#),
            ("tools/call", r#"{"name":"json_big"}"#),
            ("tools/call", r#"{"name":"sse_order"}"#),
            ("tools/call", r#"{"name":"sse_big"}"#),
            ("tools/call", r#"{"name":"json_failure"}"#),
            ("tools/call", r#"{"name":"no_such_tool"}"#),
            (
                "tools/call",
                r#"{"name":"slow_slow","arguments":{"delay_ms":1},"_meta":{"progressToken":1}}"#,
            ),
        ] {
            let expected = both.request("1", method, params).await.unwrap();
            let mut response = client.open("1", method, params).await.unwrap();
            assert_eq!(response.status(), 200, "{accept} {params}");
            assert_eq!(response.header("content-type"), Some(accept), "{params}");
            let answer = response.answer("1").await.unwrap();
            assert_eq!(answer.bytes, expected.bytes, "{accept} {params}");
        }
    }
}

#[tokio::test]
async fn a_modern_client_is_answered_so_too() {
    let (_backends, process) = fixture().await;
    let both = ModernClient::new(&process.url());
    for accept in [JSON, EVENTS] {
        let client = ModernClient::new(&process.url()).header("accept", accept);
        for tool in ["json_order", "json_big", "sse_order", "sse_big", "slow_slow"] {
            let arguments = json!({"delay_ms": 1});
            let expected = both.call(tool, arguments.clone()).await.unwrap().result().unwrap();
            let params = json!({"name": tool, "arguments": arguments});
            let exchange = client.open("tools/call", params).await.unwrap();
            assert_eq!(exchange.is_stream(), accept == EVENTS, "{tool}");
            let answer = exchange.answer().await.unwrap();
            assert_eq!(answer.result().unwrap(), expected, "{accept} {tool}");
        }
    }
    // A stream of changes is nothing else.
    let client = both.header("accept", JSON);
    let params = json!({"notifications": {"toolsListChanged": true}});
    let refused = client.open("subscriptions/listen", params).await.unwrap();
    assert_eq!(refused.status(), 406);
}

/// What is asked before the answer cannot be told in JSON.
#[tokio::test]
async fn a_question_needs_a_stream() {
    let (_backends, process) = fixture().await;
    let mut client = Client::new(&process.url()).with_header("accept", JSON);
    client.initialize().await.unwrap();
    let mut refused = client.open_call("1", "asking_ask_form", "{}").await.unwrap();
    assert_eq!(refused.status(), 406);
    let told = refused.answer("1").await.unwrap();
    assert!(told.error().unwrap().contains(EVENTS), "{told:?}");
}

#[tokio::test]
async fn a_batch_is_answered_as_one() {
    let (_backends, process) = fixture().await;
    let mut client = Client::new(&process.url()).with_header("accept", JSON);
    client.initialize_as("2025-03-26", "{}").await.unwrap();
    let call = |id: u32, tool: &str| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool}});
    let batch = json!([call(1, "sse_order"), call(2, "json_order"), call(3, "sse_unicode")]);
    let response = client.post(batch.to_string()).await.unwrap();
    assert_eq!(response.header("content-type"), Some(JSON));
    let answers: Vec<Value> = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let mut ids: Vec<_> = answers.iter().map(|answer| answer["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
}
