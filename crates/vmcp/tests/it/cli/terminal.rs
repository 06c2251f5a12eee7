//! What a terminal is shown beyond what a file is.

use std::{
    fs::{File, OpenOptions},
    io::Read as _,
    os::fd::AsFd as _,
    process::Stdio,
    sync::{Arc, Mutex},
};

use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use vmcp_testkit::{CHILD, gateway::eventually, peers, raw::RawServer};

use super::{Desk, PATIENCE, configuration, shop};

/// A command that runs on a terminal of its own.
pub(super) struct Terminal {
    child: Child,
    /// What it has shown so far.
    shown: Arc<Mutex<String>>,
    reader: std::thread::JoinHandle<()>,
    /// What it keeps for its user.
    _state: TempDir,
}

impl Terminal {
    pub(super) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(master.as_fd()).unwrap();
        unlockpt(master.as_fd()).unwrap();
        let name = ptsname(master.as_fd(), Vec::new()).unwrap();
        let open = || OpenOptions::new().read(true).write(true).open(name.to_str().unwrap());
        let end = || Stdio::from(open().unwrap());
        let state = tempfile::tempdir().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_vmcp"))
            .args(arguments)
            .env("TERM", "xterm")
            .env("XDG_STATE_HOME", state.path())
            .env_remove("NO_COLOR")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(end())
            .stderr(end())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let shown = Arc::<Mutex<String>>::default();
        let into = Arc::clone(&shown);
        // Ends with the command, when nobody holds the other end of the terminal any more.
        let reader = std::thread::spawn(move || {
            let (mut master, mut part) = (File::from(master), [0; 4096]);
            while let Ok(length @ 1..) = master.read(&mut part) {
                into.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..length]));
            }
        });
        Self { child, shown, reader, _state: state }
    }

    pub(super) fn shown(&self) -> String {
        self.shown.lock().unwrap().replace("\r\n", "\n")
    }

    pub(super) async fn waits_for(&self, text: &str) {
        eventually(text, async || self.shown().contains(text).then_some(())).await;
    }

    /// Presses Ctrl-C.
    pub(super) fn interrupt(&self) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        kill_process(pid.unwrap(), Signal::INT).unwrap();
    }

    /// Presses Ctrl-C, and gives everything that was shown and the exit status.
    pub(super) async fn end(self) -> (String, Option<i32>) {
        self.interrupt();
        self.ended().await
    }

    /// Waits for the end, and gives everything that was shown and the exit status.
    pub(super) async fn ended(mut self) -> (String, Option<i32>) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        let Self { shown, reader, .. } = self;
        reader.join().unwrap();
        (shown.lock().unwrap().replace("\r\n", "\n"), status.code())
    }
}

#[tokio::test]
async fn serving_shows_each_backend_and_how_to_connect() {
    let server = shop().start().await.unwrap();
    let backend = format!("shop={}", server.url());
    let arguments =
        ["serve", "--port", "0", "--backend", &backend, "--backend", "dead=http://127.0.0.1:1/"];
    let terminal = Terminal::run(&arguments, &[]);
    terminal.waits_for("To look around: vmcp list http://127.0.0.1:").await;
    let (shown, code) = terminal.end().await;
    assert_eq!(code, Some(0), "{shown}");
    for part in [
        "\u{1b}[32mok\u{1b}[0m      shop  tools 4, resources 2, templates 1, prompts 1",
        "\u{1b}[1m\u{1b}[31mfailed\u{1b}[0m  dead  cannot be reached: nothing listens",
        "Serving at \u{1b}[1mhttp://127.0.0.1:",
        "{\"mcpServers\":{\"vmcp\":{\"type\":\"http\",\"url\":\"http://127.0.0.1:",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[tokio::test]
async fn a_terminal_without_colour_stays_without() {
    let server = shop().start().await.unwrap();
    let backend = format!("shop={}", server.url());
    let arguments = ["serve", "--port", "0", "--backend", &backend];
    let terminal = Terminal::run(&arguments, &[("NO_COLOR", "1")]);
    terminal.waits_for("To look around: vmcp list http://127.0.0.1:").await;
    let (shown, code) = terminal.end().await;
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
}

#[tokio::test]
async fn whoever_loses_patience_leaves_nothing_behind() {
    let server = peers::slow().start().await.unwrap();
    let url = server.url();
    let yaml = configuration(&format!("  - {{name: slow, url: '{url}'}}\n"));
    let desk = Desk::new().with("vmcp.yaml", &yaml);
    let file = desk.path().join("vmcp.yaml");
    for target in [&*url, file.to_str().unwrap()] {
        let tool = if target == url { "slow" } else { "slow_slow" };
        let calls = server.counters().calls("slow");
        let terminal = Terminal::run(&["call", target, tool, "delay_ms=20000"], &[]);
        eventually("the call", async || (server.counters().calls("slow") > calls).then_some(()))
            .await;
        let (shown, code) = terminal.end().await;
        assert_eq!(code, Some(1), "{shown}");
        assert!(shown.contains("error:\u{1b}[0m interrupted"), "{shown}");
    }
    eventually("every session is ended", async || server.sessions().is_empty().then_some(())).await;
}

/// What controls a terminal, turns text around, or ends a line.
const HOSTILE: &str = "\u{1b}]0;title\u{7}\u{9b}2J\r\u{7f}\u{202e}\u{2066}\u{200f}\n";

/// JSON as hostile as it may be: what need not be escaped is not.
fn hostile(json: &str) -> String {
    let text = serde_json::Value::from(HOSTILE).to_string();
    json.replace("HOSTILE", text.trim_matches('"'))
}

fn is_hostile(c: char) -> bool {
    c != '\n' && !c.is_ascii_graphic() && HOSTILE.contains(c)
}

#[tokio::test]
async fn nothing_that_a_server_says_steers_the_terminal() {
    let tool = |name: &str| {
        hostile(&format!(
            r#"{{"name":"{name}","description":"Does xHOSTILE","inputSchema":{{"type":"object","properties":{{"HOSTILE":{{}}}}}}}}"#
        ))
    };
    let answer = |rest: &str| hostile(&format!(r#"{{"content":[{rest}}}"#));
    let server = RawServer::builder()
        .tool(&tool("nameHOSTILE"), answer("]"))
        .tool(&tool("text"), answer(r#"{"type":"text","text":"HOSTILE"},{"type":"HOSTILE"}]"#))
        .tool(&tool("odd"), answer(r#"{"text":"HOSTILE"}]"#))
        .tool(&tool("structured"), answer(r#"],"structuredContent":{"HOSTILE":"HOSTILE"}"#))
        .tool(&tool("failing"), answer(r#"{"type":"text","text":"HOSTILE"}],"isError":true"#));
    let server = server.start().await.unwrap();
    let url = server.url();
    let yaml = configuration(&format!("  - {{name: a, url: '{url}'}}\n"));
    let desk = Desk::new().with("vmcp.yaml", &yaml);
    let file = desk.path().join("vmcp.yaml").display().to_string();
    for arguments in [
        &["tools", &url][..],
        &["tools", &url, "--json"],
        &["call", &url, "text"],
        &["call", &url, "text", "--json"],
        &["call", &url, "odd"],
        &["call", &url, "structured"],
        &["call", &url, "structured", "--json"],
        &["call", &url, "failing"],
        &["validate", "--connect", "--config", &file],
        &["validate", "--connect", "--json", "--config", &file],
    ] {
        let (shown, _code) = Terminal::run(arguments, &[]).ended().await;
        assert!(shown.contains("title"), "{arguments:?}: {shown:?}");
        // vmcp's own colours.
        let theirs = ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m"]
            .iter()
            .fold(shown.clone(), |shown, own| shown.replace(own, ""));
        assert!(!theirs.contains(is_hostile), "{arguments:?}: {theirs:?}");
    }
    let (shown, _code) = Terminal::run(&["tools", &url], &[]).ended().await;
    assert!(shown.contains(r"\u{200f}\n"), "a name stays on its line: {shown}");
}

#[tokio::test]
async fn what_a_program_says_is_one_line_of_the_log() {
    let json = r#"{"mcpServers": {"kid": {"command": "python3", "args": ["-c",
        "import sys; sys.stderr.write('\\u001b]0;title\\u0007\\u009b2J\\rerror: \\u202eno')"]}}}"#;
    let desk = Desk::new().with("mcp.json", json);
    let (_, text, _) = desk.run(&["tools", "mcp.json", "--debug", "--log-format", "text"]).await;
    assert!(text.contains(r"\u{1b}]0;title\u{7}\u{9b}2J\rerror: \u{202e}no"), "{text:?}");
    assert!(!text.contains(is_hostile), "{text:?}");
    let (_, json, _) = desk.run(&["tools", "mcp.json", "--debug", "--log-format", "json"]).await;
    assert!(json.contains(r"\u001b]0;title\u0007\u009b2J\rerror: \u202eno"), "{json:?}");
}

/// What a call has said of itself so far, and after that how long it takes.
#[tokio::test]
async fn a_call_shows_how_far_it_has_come() {
    let json =
        format!(r#"{{"mcpServers": {{"kid": {{"command": "python3", "args": ["{CHILD}"]}}}}}}"#);
    let desk = Desk::new().with("mcp.json", &json);
    let file = desk.path().join("mcp.json").display().to_string();
    let terminal = Terminal::run(&["call", &file, "kid_progress", "steps=3"], &[]);
    let (shown, code) = terminal.ended().await;
    assert_eq!(code, Some(0), "{shown}");
    for step in 0..3 {
        assert!(shown.contains(&format!("\rkid_progress: {step}   ")), "{shown:?}");
    }
    assert!(shown.ends_with("   \rdone\n"), "the line is gone: {shown:?}");
    let terminal = Terminal::run(&["call", &file, "kid_sleep", "ms=600000"], &[]);
    terminal.waits_for("\rkid_sleep: still waiting, ").await;
    let (shown, code) = terminal.end().await;
    assert!(shown.contains("interrupted") && code == Some(1), "{shown}");
    let (out, error, code) = desk.run(&["call", "mcp.json", "kid_echo", "text=done"]).await;
    assert_eq!(
        (out.as_str(), error.as_str(), code),
        ("done\n", "", 0),
        "who does not watch is told nothing"
    );
}

#[tokio::test]
async fn whom_a_command_waits_for_is_shown() {
    let server = shop().start().await.unwrap();
    let url = server.url();
    let slow = "  - {name: slow, command: sh, args: ['-c', 'cat > /dev/null']}\n";
    let yaml = configuration(&format!("  - {{name: shop, url: '{url}'}}\n{slow}"));
    let desk = Desk::new().with("vmcp.yaml", &yaml);
    let file = desk.path().join("vmcp.yaml").display().to_string();
    for command in [&["tools", &file][..], &["validate", "--connect", "-c", &file]] {
        let terminal = Terminal::run(command, &[("NO_COLOR", "1")]);
        terminal.waits_for("\rwaiting for slow, ").await;
        let (shown, code) = terminal.end().await;
        assert!(shown.ends_with("   \rerror: interrupted\n") && code == Some(1), "{shown:?}");
    }
}
