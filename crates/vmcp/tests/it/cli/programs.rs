//! Backends that are programs, from the command line to the process and back.

use rustix::process::Signal;
use vmcp_testkit::{CHILD, gateway::eventually, process::Program};

use super::Desk;
use crate::{connect, stdio::processes};

/// What marks the processes of one test among all others.
pub(super) fn tag(test: &str) -> String {
    format!("--of-cli={}-{test}", std::process::id())
}

#[tokio::test]
async fn a_command_is_served() {
    let tag = tag("served");
    let backend = format!("kid=python3 '{CHILD}' 'two words' {tag}");
    let arguments = ["serve", "--backend", &backend, "--port", "{port}"];
    let program = Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments);
    let process = program.start().await.unwrap();
    let client = connect(&process).await;
    let answer = eventually("the program is there", async || {
        let answer = client.call("1", "kid_environment", "{}").await.unwrap().json();
        answer["result"]["content"][0]["text"].as_str().map(str::to_owned)
    })
    .await;
    let told: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(told["argv"], serde_json::json!(["two words", tag]));
    assert!(process.terminate().await.unwrap().success());
    assert!(processes(&tag).is_empty(), "it ends with the gateway");
}

#[tokio::test]
async fn an_editors_program_is_tried_and_leaves_nothing_behind() {
    let tag = tag("tried");
    let json = format!(
        r#"{{"mcpServers": {{
            "kid": {{"command": "python3", "args": ["{CHILD}", "{tag}"], "env": {{"KEY": "${{env:TOKEN}}"}}, "cwd": "/"}},
            "lost": {{"command": "no-such-program", "args": ["s3cret"]}}
        }}}}"#
    );
    let desk = Desk::new().with("mcp.json", &json);
    let (out, error, code) = desk.run(&["call", "mcp.json", "kid_environment", "--json"]).await;
    assert_eq!(code, 0, "{error}");
    assert!(out.contains(r#"\"KEY\": \"s3cret\""#) && out.contains(r#"\"cwd\": \"/\""#), "{out}");
    assert_eq!(error, "");
    let (_, error, _) = desk.run(&["tools", "mcp.json"]).await;
    assert!(error.contains("backend lost is out: ") && !error.contains("s3cret"), "{error}");
    assert!(processes(&tag).is_empty());
    let (out, error, code) = desk.run(&["validate", "--connect", "--mcp-json", "mcp.json"]).await;
    assert_eq!((error.as_str(), code), ("error: 1 of 2 backend(s) failed\n", 1), "{out}");
    assert!(out.contains("  ok      kid   tools "), "{out}");
    assert!(out.contains("  failed  lost  "), "{out}");
    assert!(!out.contains("s3cret"), "{out}");
    assert!(processes(&tag).is_empty());
    let (_, error, code) =
        desk.run(&["call", "mcp.json", "kid_echo", "text=it works", "--log-format", "json"]).await;
    assert_eq!(code, 0, "{error}");
    assert!(error.lines().all(|line| line.starts_with('{')), "{error}");
}

#[tokio::test]
async fn a_program_gets_the_variables_that_are_passed_on() {
    let json =
        format!(r#"{{"mcpServers": {{"kid": {{"command": "python3", "args": ["{CHILD}"]}}}}}}"#);
    let desk = Desk::new().with("mcp.json", &json);
    // What stands beside TOKEN in the test's environment is not passed on.
    let (out, error, code) =
        desk.run(&["init", "--mcp-json", "mcp.json", "--pass-env", "TOKEN", "-o", "a.yaml"]).await;
    assert_eq!(code, 0, "{out}{error}");
    for (file, passed) in [("mcp.json", false), ("a.yaml", true)] {
        let (out, error, code) = desk.run(&["call", file, "kid_environment", "--json"]).await;
        assert_eq!(code, 0, "{error}");
        assert_eq!(out.contains(r#"\"TOKEN\": \"s3cret\""#), passed, "{out}");
    }
}

/// What a program writes before it gives up is the reason, wherever it writes it, and without its secrets.
#[tokio::test]
async fn whoever_tries_a_program_is_told_what_it_said() {
    let json = r#"{"mcpServers": {
        "tells": {"command": "sh", "args": ["-c", "echo no such token: $KEY >&2; exit 2"],
            "env": {"KEY": "opensesame"}},
        "mistyped": {"command": "sh", "args": ["-c", "echo usage: server FOLDER; exit 64"]},
        "silent": {"command": "sh", "args": ["-c", "exit 3"]},
        "waits": {"command": "sh", "args": ["-c", "echo log in at http://a >&2; sleep 60"]}
    }}"#;
    let desk = Desk::new().with("mcp.json", json);
    let check = ["validate", "--connect", "--mcp-json", "mcp.json", "--start-timeout", "1s"];
    let (out, _, code) = desk.run(&check).await;
    assert_eq!(code, 1);
    for line in [
        "  failed  tells     ended (exit status: 2): no such token: ***\n",
        "  failed  mistyped  ended (exit status: 64): usage: server FOLDER\n",
        "  failed  silent    ended (exit status: 3)\n",
        "  failed  waits     did not get ready within 1 s of its start; it said: log in at http://a\n",
    ] {
        assert!(out.contains(line), "{line:?} is not in {out}");
    }
}

/// Without a file there is nothing to reload: the terminal is gone, and what was started ends.
#[tokio::test]
async fn a_hangup_ends_the_programs() {
    let tag = tag("hung-up");
    let backend = format!("kid=python3 '{CHILD}' {tag}");
    let arguments = ["serve", "--backend", &backend, "--port", "{port}"];
    let mut process = Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments).start().await.unwrap();
    let runs = async || {
        eventually("the program runs", async || (!processes(&tag).is_empty()).then_some(())).await;
    };
    runs().await;
    process.signal(Signal::HUP).unwrap();
    assert!(process.wait().await.unwrap().success(), "{}", process.log());
    assert!(processes(&tag).is_empty(), "it ends with the gateway");

    let json = format!(
        r#"{{"mcpServers": {{"kid": {{"command": "python3",
            "args": ["-c", "import time; time.sleep(60)", "{tag}"]}}}}}}"#
    );
    let desk = Desk::new().with("mcp.json", &json);
    let file = desk.path().join("mcp.json");
    let client = Program::new(env!("CARGO_BIN_EXE_vmcp"), &["list", &file.to_string_lossy()]);
    let mut process = client.spawn().unwrap();
    runs().await;
    process.signal(Signal::HUP).unwrap();
    process.wait().await.unwrap();
    process.logged("interrupted").await;
    assert!(processes(&tag).is_empty(), "it ends with the command");
}
