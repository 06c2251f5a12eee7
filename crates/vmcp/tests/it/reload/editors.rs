//! The file of an editor changes while it is served, as editors take up changes of theirs.

use std::{fs, path::Path};

use rustix::process::Signal;
use serde_json::json;
use vmcp_testkit::{
    CHILD, chatting_sse, chatting_sse_at,
    gateway::eventually,
    peers,
    process::{Program, free_port},
};

use super::{named, next, text, tools};
use crate::connect;

fn write(file: &Path, servers: &serde_json::Value) {
    fs::write(file, json!({"mcpServers": servers}).to_string()).unwrap();
}

/// One that is down at the start is asked how it is spoken to when it is there.
#[tokio::test]
async fn a_late_server_is_spoken_to_as_it_asks_for() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mcp.json");
    let port = free_port().unwrap();
    write(&file, &json!({"late": {"url": format!("http://127.0.0.1:{port}/sse")}}));
    let arguments = ["serve", "--mcp-json", file.to_str().unwrap(), "--port", "{port}"];
    let process = Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments).start().await.unwrap();
    let client = connect(&process).await;
    assert!(tools(&client).await.is_empty());
    let _late = chatting_sse_at(port).await.unwrap();
    eventually("it is spoken to", async || (tools(&client).await == ["late_talk"]).then_some(()))
        .await;
    process.logged("the server speaks HTTP+SSE").await;
}

#[tokio::test]
async fn servers_come_and_go_with_their_file() {
    let (stays, new) =
        (peers::stateful().start().await.unwrap(), named("new").start().await.unwrap());
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mcp.json");
    let stateful = json!({"url": stays.url(), "disabledTools": ["slow"]});
    // One of the two cannot be used.
    write(&file, &json!({"a": stateful, "broken": {"command": "${NOT_SET_ANYWHERE}"}}));
    let arguments = ["serve", "--mcp-json", file.to_str().unwrap(), "--port", "{port}"];
    let process = Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments).start().await.unwrap();
    process.logged("mcpServers.broken.command: the environment variable NOT_SET_ANYWHERE").await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    assert_eq!(tools(&client).await, ["a_count"]);
    assert_eq!(text(&client, "a_count").await, "1");

    // One that does not say that it speaks HTTP+SSE, and a program: who writes the file may run what he likes.
    let old = chatting_sse().await.unwrap();
    let program = json!({"command": "python3", "args": [CHILD]});
    write(
        &file,
        &json!({"a": stateful, "b": {"url": new.url()}, "kid": program, "old": {"url": old.url()}}),
    );
    // The program starts when the other has answered.
    let names = eventually("the new servers are there", async || {
        let names = tools(&client).await;
        let has = |prefix: &str| names.iter().any(|name| name.starts_with(prefix));
        (has("kid_") && has("old_")).then_some(names)
    })
    .await;
    assert_eq!(names[..2], ["a_count", "b_new"], "{names:?}");
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    assert_eq!(text(&client, "a_count").await, "2", "its state is as it was");

    fs::write(&file, "{\"mcpServers\": ").unwrap();
    process.logged("what was in use stays in use").await;
    assert_eq!(text(&client, "b_new").await, "new");

    write(&file, &json!({"a": stateful}));
    process.signal(Signal::HUP).unwrap();
    eventually("they are gone", async || (tools(&client).await == ["a_count"]).then_some(())).await;
    assert_eq!(text(&client, "a_count").await, "3");
    assert!(process.terminate().await.unwrap().success());
}
