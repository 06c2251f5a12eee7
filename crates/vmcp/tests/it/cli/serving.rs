//! `vmcp serve` as who has typed it sees it.

use std::{fs, path::Path};

use bytes::Bytes;
use http::Method;
use tokio::task::JoinSet;
use vmcp_testkit::{
    CHILD,
    client::{Client, fetch},
    gateway::eventually,
    process::Program,
};

use super::{Desk, configuration, programs::tag, shop, terminal::Terminal};
use crate::stdio::processes;

/// The command of a program that writes to its standard error and waits until a file is there before it
/// becomes a server that greets on its standard output.
fn slow(gate: &Path, tag: &str) -> String {
    let gate = gate.display();
    format!(
        "sh -c 'echo a banner >&2; until [ -e {gate} ]; do sleep 0.05; done; \
         exec python3 {CHILD} --greet {tag}'"
    )
}

/// The URL that a terminal was shown.
fn url(shown: &str) -> String {
    let (_, after) = shown.split_once("To look around: vmcp list ").unwrap();
    after.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_terminal_is_shown_a_line_for_each_backend() {
    let desk = Desk::new();
    let gate = desk.path().join("gate");
    let slow = format!("slow={}", slow(&gate, "--of-lines"));
    let dead = "dead=sh -c 'echo no such token >&2; exit 3'";
    let arguments = ["serve", "--port", "0", "--backend", &slow, "--backend", dead];
    let terminal = Terminal::run(&arguments, &[("NO_COLOR", "1")]);
    terminal.waits_for("wait    slow  still starting, ").await;
    terminal.waits_for("To look around").await;
    assert!(!terminal.shown().contains("ready"), "{}", terminal.shown());
    fs::write(&gate, "").unwrap();
    terminal.waits_for("The catalog is ready: tools ").await;
    let (shown, code) = terminal.end().await;
    assert_eq!(code, Some(0), "{shown}");
    for line in ["  ok      slow  tools 2", "  failed  dead  "] {
        assert_eq!(shown.matches(line).count(), 1, "{line}: {shown}");
    }
    // Neither the log nor what programs write stands between those lines.
    for noise in ["INFO", "info:", "WARN", "warning:", "a banner", "Welcome", "Z "] {
        assert!(!shown.contains(noise), "{noise}: {shown}");
    }
}

#[tokio::test]
async fn a_terminal_is_shown_what_a_reload_has_changed() {
    let server = shop().start().await.unwrap();
    let url = server.url();
    let with = |name: &str| configuration(&format!("  - {{name: {name}, url: '{url}'}}\n"));
    let desk = Desk::new().with("vmcp.yaml", &with("old"));
    let file = desk.path().join("vmcp.yaml");
    let arguments = ["serve", file.to_str().unwrap(), "--port", "0"];
    let terminal = Terminal::run(&arguments, &[("NO_COLOR", "1")]);
    terminal.waits_for("To look around: ").await;
    fs::write(&file, with("new")).unwrap();
    terminal.waits_for("  gone    old\n").await;
    terminal.waits_for("  ok      new  tools 4").await;
    let (shown, code) = terminal.end().await;
    assert_eq!(code, Some(0), "{shown}");
}

/// Only whoever starts vmcp, and sees it, is told.
#[tokio::test]
async fn a_terminal_is_shown_the_token_of_operators() {
    let server = shop().start().await.unwrap();
    let yaml = configuration(&format!("  - {{name: shop, url: '{}'}}\n", server.url()));
    let yaml = format!("{yaml}\nadmin: {{auth: {{type: token}}}}\n");
    let desk = Desk::new().with("vmcp.yaml", &yaml);
    let file = desk.path().join("vmcp.yaml");
    let arguments = ["serve", file.to_str().unwrap(), "--port", "0"];
    let terminal = Terminal::run(&arguments, &[("NO_COLOR", "1")]);
    terminal.waits_for("To look around").await;
    let shown = terminal.shown();
    let (_, token) = shown.split_once("The token for /status, until vmcp ends: ").unwrap();
    let token = token.split_whitespace().next().unwrap();
    let client = Client::new(&url(&shown).replace("/mcp", "/status"));
    let asked = async |token: &str| {
        let header = format!("Bearer {token}");
        let headers = [("authorization", &*header)];
        client.send(Method::GET, &headers, Bytes::new()).await.unwrap().status().as_u16()
    };
    assert_eq!(asked(token).await, 200);
    assert_eq!(asked("0123456789abcdef").await, 401);
    let (shown, code) = terminal.end().await;
    assert_eq!(code, Some(0), "{shown}");
}

#[tokio::test]
async fn what_programs_write_is_shown_to_who_asks_for_it() {
    let backend = format!("kid=sh -c 'echo a banner >&2; exec python3 {CHILD} --greet'");
    let arguments = ["serve", "--port", "0", "--debug", "--backend", &backend];
    let terminal = Terminal::run(&arguments, &[]);
    terminal.waits_for("\u{1b}[2mkid | a banner\u{1b}[0m\n").await;
    terminal.waits_for("Welcome to this server!").await;
    let (shown, code) = terminal.end().await;
    assert_eq!(code, Some(0), "{shown}");
}

#[tokio::test]
async fn the_log_says_that_the_catalog_is_ready_when_it_is() {
    let desk = Desk::new();
    let gate = desk.path().join("gate");
    let backend = format!("slow={}", slow(&gate, "--of-log"));
    let arguments = ["serve", "--port", "{port}", "--log-format", "text", "--backend", &backend];
    let process = Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments);
    let state = desk.path().display().to_string();
    let process = process.environment("XDG_STATE_HOME", &state).start().await.unwrap();
    let log = process.logged("still starting").await;
    assert!(log.contains("still starting backends=slow seconds="), "{log}");
    assert!(log.contains("backend=slow stderr=\"a banner\""), "{log}");
    assert!(!log.contains("the catalog is ready"), "{log}");
    fs::write(&gate, "").unwrap();
    let log = process.logged("the catalog is ready").await;
    assert!(!log.contains("missing="), "{log}");
    assert!(process.terminate().await.unwrap().success());
}

/// The first Ctrl-C waits for what is under way, the second for nothing.
#[tokio::test]
async fn a_second_interrupt_stops_at_once() {
    let tag = tag("hurried");
    let backend =
        format!("  - {{name: kid, command: python3, args: ['{CHILD}', --stubborn, '{tag}']}}\n");
    let yaml = configuration(&backend) + "sessions: {drainTimeout: 10m}\n";
    let desk = Desk::new().with("vmcp.yaml", &yaml);
    let file = desk.path().join("vmcp.yaml").display().to_string();
    let terminal = Terminal::run(&["serve", "--config", &file, "--port", "0"], &[]);
    terminal.waits_for("To look around: ").await;
    let client = Client::connect(&url(&terminal.shown())).await.unwrap();
    let mut calls = JoinSet::new();
    calls.spawn(
        async move { client.call("1", "kid_sleep", r#"{"ms":600000}"#).await.unwrap().json() },
    );
    let status = url(&terminal.shown()).replace("/mcp", "/status");
    eventually("the call is under way", async || {
        let (_, body) = fetch(&status).await.unwrap();
        let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
        (status["calls_in_flight"] == 1).then_some(())
    })
    .await;
    terminal.interrupt();
    terminal.waits_for("waiting for 1 call (600 s); Ctrl-C again to stop now").await;
    assert!(!processes(&tag).is_empty(), "it goes on");
    // What follows at once is the same interrupt, passed on by some other program.
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    let (shown, code) = terminal.end().await;
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("stopped at once: 1 call cut off"), "{shown}");
    assert!(processes(&tag).is_empty(), "no program is left");
    let told = calls.join_next().await.unwrap().unwrap()["error"]["message"].to_string();
    assert!(told.contains("vmcp is shutting down, and the call was cut off"), "{told}");
}
