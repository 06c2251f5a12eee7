//! Backends that speak HTTP+SSE (revision 2024-11-05): the whole fixture behind one.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use vmcp_testkit::{
    SseServer,
    client::fetch,
    conformance::{self, Part},
    gateway::{Gateway, eventually},
    modern_client::ModernClient,
    process::{Process, Program},
};

use crate::{connect, serve};

async fn fixture() -> (SseServer, Process) {
    let server = conformance::start_sse(Part::All, 0).await.unwrap();
    let backend = format!("name: old, url: '{}', transport: sse", server.url());
    let process = serve(&Gateway::before(&[]).backend(&backend)).await;
    (server, process)
}

fn text(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn lists_calls_reads_and_gets() {
    let (_server, process) = fixture().await;
    let client = connect(&process).await;
    let tools = client.request("1", "tools/list", "{}").await.unwrap().json();
    assert!(tools["result"]["tools"].as_array().unwrap().len() > 5, "{tools}");
    let called = client.call("2", "old_test_simple_text", "{}").await.unwrap().json();
    assert!(!text(&called).is_empty(), "{called}");
    let read = r#"{"uri":"test://static-text"}"#;
    let read = client.request("3", "resources/read", read).await.unwrap().json();
    assert!(read["result"]["contents"][0]["text"].is_string(), "{read}");
    let prompt = r#"{"name":"old_test_simple_prompt"}"#;
    let prompt = client.request("4", "prompts/get", prompt).await.unwrap().json();
    assert!(prompt["result"]["messages"][0].is_object(), "{prompt}");
}

#[tokio::test]
async fn progress_logs_and_questions_come_on_the_calls_own_stream() {
    let (_server, process) = fixture().await;
    let client = connect(&process).await;
    client.request("1", "logging/setLevel", r#"{"level":"debug"}"#).await.unwrap();
    let logged = client.call("2", "old_test_tool_with_logging", "{}").await.unwrap();
    let logs = logged.before.iter().filter(|m| m.method().unwrap() == "notifications/message");
    assert_eq!(logs.count(), 3);
    let mut stream = client.open_call("3", "old_test_sampling", r#"{"prompt":"?"}"#).await.unwrap();
    let question = stream.message().await.unwrap().unwrap();
    assert_eq!(question.method().unwrap(), "sampling/createMessage");
    let sample =
        json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "4"}});
    assert_eq!(client.answer(&question, &sample.to_string()).await.unwrap(), 202);
    let answer = stream.answer("3").await.unwrap().json();
    assert!(text(&answer).contains('4'), "{answer}");
}

#[tokio::test]
async fn a_session_whose_stream_broke_goes_on_with_a_new_one() {
    let (server, process) = fixture().await;
    let client = connect(&process).await;
    client.call("1", "old_test_simple_text", "{}").await.unwrap();
    let opened = server.opened();
    server.forget_sessions();
    let again = client.call("2", "old_test_simple_text", "{}").await.unwrap().json();
    assert!(!text(&again).is_empty(), "{again}");
    assert!(server.opened() > opened);
}

#[tokio::test]
async fn streams_end_with_their_sessions_and_with_the_gateway() {
    let (server, process) = fixture().await;
    let watching =
        eventually("the offers are watched", async || Some(server.open()).filter(|n| *n > 0));
    watching.await;
    let client = connect(&process).await;
    client.call("1", "old_test_simple_text", "{}").await.unwrap();
    let open = server.open();
    assert_eq!(client.delete().await.unwrap(), 200);
    eventually("the session's stream is closed", async || (server.open() < open).then_some(()))
        .await;
    assert!(process.terminate().await.unwrap().success());
    eventually("all are closed", async || (server.open() == 0).then_some(())).await;
}

/// A server that talks as soon as it is spoken to, and takes each message slowly.
#[tokio::test]
async fn a_request_is_sent_whatever_the_backend_says_meanwhile() {
    let server = vmcp_testkit::chatting_sse().await.unwrap();
    let backend = format!("name: old, url: '{}', transport: sse", server.url());
    let process = serve(&Gateway::before(&[]).backend(&backend)).await;
    let client = connect(&process).await;
    for id in ["1", "2", "3"] {
        let called = client.call(id, "old_talk", "{}").await.unwrap().json();
        assert_eq!(text(&called), "said", "{called}");
    }
}

/// The calls of a client of the modern era share a connection, which ends when it is idle.
#[tokio::test]
async fn modern_clients_keep_their_connection_for_a_while() {
    let server = conformance::start_sse(Part::All, 0).await.unwrap();
    let backend = format!("name: old, url: '{}', transport: sse", server.url());
    let gateway = Gateway::before(&[]).backend(&backend).with("bridge: {idle: 500ms}");
    let process = serve(&gateway).await;
    let status = async || -> Value {
        let (_, body) = fetch(&process.url_of("/status")).await.unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()["backends"][0].clone()
    };
    let client = ModernClient::new(&process.url()).capable();
    client.learn_tools().await.unwrap();
    let watching = status().await["links"].as_u64().unwrap();
    let opened = status().await["sessions_opened"].as_u64().unwrap();
    for _ in 0..3 {
        let called = client.call("old_test_simple_text", json!({})).await.unwrap();
        assert!(!called.text().unwrap().is_empty());
    }
    // A question in mid-call ends that call; the connection is kept.
    let asked = client.call("old_test_sampling", json!({"prompt": "?"})).await.unwrap();
    let told = asked.error().unwrap()["message"].as_str().unwrap().to_owned();
    assert!(told.contains("asks for sampling/createMessage in mid-call"), "{told}");
    assert_eq!(status().await["sessions_opened"].as_u64(), Some(opened + 1));
    eventually("it is ended", async || {
        let status = status().await;
        (status["kept_sessions"] == 0 && status["links"].as_u64() == Some(watching)).then_some(())
    })
    .await;
}

/// An editor's entry may not say how its server is spoken to.
#[tokio::test]
async fn an_editors_entry_without_a_type_is_tried_in_both_ways() {
    let (old, new) = (
        conformance::start_sse(Part::All, 0).await.unwrap(),
        vmcp_testkit::peers::slow().start().await.unwrap(),
    );
    let json =
        json!({"mcpServers": {"old": {"url": old.url()}, "new": {"url": new.url()}}}).to_string();
    let arguments = ["serve", "--mcp-json", "{config}", "--port", "{port}"];
    let program = Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments).config(&json);
    let process = program.start().await.unwrap();
    let client = connect(&process).await;
    for (tool, expected) in [("old_test_simple_text", "simple"), ("new_slow", "done")] {
        let answer = eventually("the tool is there", async || {
            let answer = client.call("1", tool, r#"{"delay_ms":1}"#).await.unwrap();
            answer.result().is_ok().then(|| answer.json())
        })
        .await;
        assert!(text(&answer).contains(expected), "{answer}");
    }
    let log = process.log();
    let said = |line: &Value| matches!(line["level"].as_str(), Some("WARN" | "ERROR"));
    let loud = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).find(said);
    assert_eq!(loud, None, "it was tried quietly");
}

#[tokio::test]
async fn a_stream_that_names_no_endpoint_is_told_for_what_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sse", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (mut stream, _peer) = listener.accept().await.unwrap();
            let _asked = stream.read(&mut [0; 4096]).await;
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n";
            let answer = format!("{head}\r\n: hello\n\nevent: message\ndata: {{}}\n\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let backend = format!("name: odd, url: '{url}', transport: sse");
    let process = serve(&Gateway::before(&[]).backend(&backend)).await;
    eventually("the reason is shown", async || {
        let (_, body) = fetch(&process.url_of("/status")).await.unwrap();
        let status: Value = serde_json::from_slice(&body).unwrap();
        let told = status["backends"][0]["offer_problem"].as_str()?.to_owned();
        told.contains("its stream ended and had not begun with an `endpoint` event").then_some(())
    })
    .await;
}
