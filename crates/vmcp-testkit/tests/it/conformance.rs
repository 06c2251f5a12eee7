//! The conformance fixture; the official suite judges it at length, these are the parts it skips.

use std::{collections::BTreeSet, process::Stdio};

use http::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use vmcp_testkit::{
    client::Client,
    conformance::{self, Era, Part},
};

async fn names(part: Part, method: &str, member: &str, key: &str) -> BTreeSet<String> {
    let server = conformance::start(part, 0).await.unwrap();
    let mut client = Client::new(&server.url());
    client.initialize().await.unwrap();
    let list = client.request("1", method, "{}").await.unwrap().json();
    let all = list["result"][member].as_array().unwrap().iter();
    all.map(|one| one[key].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_parts_make_the_whole() {
    for (method, member, key) in [
        ("tools/list", "tools", "name"),
        ("resources/list", "resources", "uri"),
        ("resources/templates/list", "resourceTemplates", "uriTemplate"),
        ("prompts/list", "prompts", "name"),
    ] {
        let all = names(Part::All, method, member, key).await;
        let a = names(Part::A, method, member, key).await;
        let b = names(Part::B, method, member, key).await;
        assert!(a.is_disjoint(&b));
        assert_eq!(&a | &b, all, "{method}");
    }
}

#[tokio::test]
async fn lists_and_the_watched_resource_change_for_every_session() {
    let server = conformance::start(Part::All, 0).await.unwrap();
    let (mut one, mut two) = (Client::new(&server.url()), Client::new(&server.url()));
    one.initialize().await.unwrap();
    two.initialize().await.unwrap();
    let mut stream = one.listen(None).await.unwrap();
    one.request("1", "resources/subscribe", r#"{"uri":"test://watched-resource"}"#).await.unwrap();
    for (tool, note) in [
        ("test_trigger_tool_change", "notifications/tools/list_changed"),
        ("test_trigger_prompt_change", "notifications/prompts/list_changed"),
        ("test_touch_watched_resource", "notifications/resources/updated"),
    ] {
        two.call("2", tool, "{}").await.unwrap().result().unwrap();
        assert_eq!(stream.message().await.unwrap().unwrap().method().unwrap(), note);
    }
    one.call("3", "test_extra_tool", "{}").await.unwrap().result().unwrap();
}

#[tokio::test]
async fn a_closed_stream_is_resumed() {
    let server = conformance::start(Part::All, 0).await.unwrap();
    let mut client = Client::new(&server.url());
    client.initialize().await.unwrap();
    let mut stream = client.open_call("1", "test_reconnection", "{}").await.unwrap();
    let mut last = None;
    while let Some(event) = stream.event().await.unwrap() {
        assert!(event.data.is_empty(), "the stream closes before the answer: {event:?}");
        last = event.id;
    }
    let mut rest = client.listen(last.as_deref()).await.unwrap();
    assert_eq!(rest.status(), StatusCode::OK);
    rest.answer_so_far("1").await.unwrap().result().unwrap();
}

#[tokio::test]
async fn a_fixture_of_one_era_refuses_the_other() {
    let modern = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let discover = async |era: Era| {
        let server = conformance::start_as(Part::All, era, 0).await.unwrap();
        let client = Client::new(&server.url())
            .with_header("mcp-protocol-version", "2026-07-28")
            .with_header("mcp-method", "server/discover");
        let mut response = client.post(modern).await.unwrap();
        let answer = response.answer("1").await.map(|answer| answer.json());
        (response.status(), answer.ok())
    };
    let (status, answer) = discover(Era::Legacy).await;
    assert_eq!((status, answer), (StatusCode::BAD_REQUEST, None));
    for (era, newest) in [(Era::Both, 5), (Era::Modern, 1)] {
        let (status, answer) = discover(era).await;
        assert_eq!(status, StatusCode::OK);
        let versions = answer.unwrap()["result"]["supportedVersions"].clone();
        assert_eq!(versions.as_array().map(Vec::len), Some(newest), "{versions}");
    }

    for (era, accepted) in [(Era::Legacy, true), (Era::Both, true), (Era::Modern, false)] {
        let server = conformance::start_as(Part::All, era, 0).await.unwrap();
        let opened = Client::connect(&server.url()).await;
        assert_eq!(opened.is_ok(), accepted, "{era:?}: {opened:?}");
    }
}

#[tokio::test]
async fn standard_input_is_of_one_era_too() {
    let discover = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#;
    let initialize = r#"{"jsonrpc":"2.0","id":2,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
    let said = async |era: &str, asked: &str| -> Value {
        let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_vmcp-testkit"))
            .args(["conformance", "--transport", "stdio", "--era", era])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let line = format!("{asked}\n");
        child.stdin.as_mut().unwrap().write_all(line.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let answer = lines.next_line().await.unwrap().unwrap();
        child.kill().await.unwrap();
        serde_json::from_str(&answer).unwrap()
    };
    assert_eq!(said("legacy", discover).await["error"]["code"], -32601);
    assert_eq!(said("modern", initialize).await["error"]["code"], -32022);
    assert_eq!(said("both", initialize).await["result"]["protocolVersion"], "2025-11-25");
    let found = said("both", discover).await;
    assert_eq!(found["result"]["resultType"], "complete", "{found}");
}
