//! The raw server and the client agree on the transport, and neither changes a byte.

use http::StatusCode;
use vmcp_testkit::{
    client::Client,
    modern_client::ModernClient,
    peers,
    raw::{Answer, Form, RawServer, fixed},
};

const TOOL: &str = r#"{"x":1.10,"name":"t","inputSchema":{"type":"object"}}"#;

#[tokio::test]
async fn bytes_arrive_as_they_were_written() {
    let result = r#"{ "z":1E400, "a":12345678901234567890123,"content":[ ] }"#;
    let server = RawServer::builder().tool(TOOL, result).start().await.unwrap();
    for form in [Form::Json, Form::Sse] {
        server.set_form(form);
        let mut client = Client::new(&server.url());
        client.initialize().await.unwrap();
        let list = client.request("1", "tools/list", "{}").await.unwrap();
        assert_eq!(list.result().unwrap(), format!(r#"{{"tools":[{TOOL}]}}"#));
        let answer = client.call(r#""an id""#, "t", r#"{"n":1.50}"#).await.unwrap();
        assert_eq!(answer.result().unwrap(), result);
        let seen = server.seen().pop().unwrap();
        assert!(seen.body.ends_with(br#""arguments":{"n":1.50}}}"#), "{seen:?}");
    }
    assert_eq!(server.counters().calls("t"), 2);
    assert_eq!(server.counters().initializes(), 2);
}

#[tokio::test]
async fn fidelity_echoes_the_parameters() {
    let server = peers::fidelity().start().await.unwrap();
    let mut client = Client::new(&server.url());
    client.initialize().await.unwrap();
    let answer = client.call("1", "echo", r#"{"b":1.0,"a":[1E400]}"#).await.unwrap();
    let echoed = r#""structuredContent":{"name":"echo","arguments":{"b":1.0,"a":[1E400]}}}"#;
    assert!(answer.result().unwrap().ends_with(echoed), "{answer:?}");
    for tool in ["numbers", "order", "unknown", "unicode", "big"] {
        client.call("2", tool, "{}").await.unwrap().result().unwrap();
    }
    assert!(client.call("3", "failure", "{}").await.unwrap().error().unwrap().contains("x-more"));
    let list = client.request("4", "tools/list", "{}").await.unwrap();
    assert!(list.result().unwrap().contains("12345678901234567890123"));
    for (method, params) in [
        ("resources/read", r#"{"uri":"fidelity://one"}"#),
        ("resources/read", r#"{"uri":"fidelity://item/7"}"#),
        ("prompts/get", r#"{"name":"prompt"}"#),
    ] {
        client.request("5", method, params).await.unwrap().result().unwrap();
    }
}

#[tokio::test]
async fn the_transport_is_strict() {
    let server = RawServer::builder().tool(TOOL, "{}").start().await.unwrap();
    let mut client = Client::new(&server.url());
    client.initialize().await.unwrap();
    let status = async |client: Client| client.open("1", "ping", "{}").await.unwrap().status();
    assert_eq!(status(client.clone()).await, StatusCode::OK);
    let bad_type = client.clone().with_header("content-type", "text/plain");
    assert_eq!(status(bad_type).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let only_json = client.clone().with_header("accept", "application/json");
    assert_eq!(status(only_json).await, StatusCode::NOT_ACCEPTABLE);
    let other_version = client.clone().with_header("mcp-protocol-version", "2025-06-18");
    assert_eq!(status(other_version).await, StatusCode::BAD_REQUEST);
    let unknown = client.clone().with_session("nobody", "2025-11-25");
    assert_eq!(status(unknown).await, StatusCode::NOT_FOUND);
    let batch = client.post("[]").await.unwrap();
    assert_eq!(batch.status(), StatusCode::BAD_REQUEST);
    assert_eq!(server.counters().refusals(), 4);
    ModernClient::new(&server.url()).discover().await.unwrap_err();
    assert_eq!(server.counters().refusals(), 4, "whoever asks for the era breaks no rule");
}

#[tokio::test]
async fn delete_ends_the_session_for_good() {
    let server = RawServer::builder().start().await.unwrap();
    let mut client = Client::new(&server.url());
    client.initialize().await.unwrap();
    assert_eq!(server.sessions().len(), 1);
    assert_eq!(client.delete().await.unwrap(), StatusCode::OK);
    assert_eq!(client.delete().await.unwrap(), StatusCode::NOT_FOUND);
    assert_eq!(client.open("1", "ping", "{}").await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!((server.counters().deletes(), server.sessions().len()), (1, 0));
}

#[tokio::test]
async fn scripts_come_before_the_offer() {
    let server = RawServer::builder().tool(TOOL, Answer::text("usual")).start().await.unwrap();
    let mut client = Client::new(&server.url());
    client.initialize().await.unwrap();
    server.script("tools/call", fixed(Answer::text("any tool")));
    server.script("tools/call t", fixed(Answer::text("this tool")));
    assert!(client.call("1", "t", "{}").await.unwrap().result().unwrap().contains("this tool"));
    assert!(client.call("1", "u", "{}").await.unwrap().result().unwrap().contains("any tool"));
    server.unscript("tools/call");
    assert!(client.call("1", "u", "{}").await.unwrap().error().unwrap().contains("-32602"));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = peers::many_tools(1_200, 500).start().await.unwrap();
    let mut client = Client::new(&server.url());
    client.initialize().await.unwrap();
    let (mut names, mut cursor) = (Vec::new(), String::from("{}"));
    loop {
        let page = client.request("1", "tools/list", &cursor).await.unwrap().json();
        let tools = page["result"]["tools"].as_array().unwrap();
        names.extend(tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["result"]["nextCursor"].as_str() else { break };
        cursor = format!(r#"{{"cursor":"{next}"}}"#);
    }
    assert_eq!((names.len(), names[1_199].as_str()), (1_200, "tool_1199"));
    let wrong = client.request("1", "tools/list", r#"{"cursor":"mine"}"#).await.unwrap();
    assert!(wrong.error().unwrap().contains("-32602"));
}
