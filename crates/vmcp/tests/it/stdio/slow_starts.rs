//! Programs that take long to start, or never do.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use vmcp_testkit::{
    CHILD,
    client::Client,
    gateway::{Gateway, eventually},
    process::Program,
};

use crate::serve;

/// A program that notes when it starts and ends, resists SIGTERM, and never answers.
const STUBBORN: &str = r#"
import os, signal, sys, time
def note(what):
    with open(sys.argv[1], "a") as notes:
        notes.write(what + "\n")
def end(*_):
    time.sleep(1)
    note("end")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
note("start")
while True:
    time.sleep(60)
"#;

/// That program, and where it notes what it does.
fn stubborn(folder: &TempDir) -> (PathBuf, PathBuf) {
    let (program, notes) = (folder.path().join("stubborn.py"), folder.path().join("notes"));
    fs::write(&program, STUBBORN).unwrap();
    (program, notes)
}

/// Waits until it was started so often, and gives what it has noted.
async fn started(times: usize, notes: &Path) -> String {
    eventually(&format!("it was started {times} times"), async || {
        let noted = fs::read_to_string(notes).unwrap_or_default();
        (noted.matches("start").count() >= times).then_some(noted)
    })
    .await
}

/// However many of them there are, they wait and slow nobody down.
#[tokio::test]
async fn those_that_never_answer_keep_the_others_from_nothing() {
    let mut gateway = Gateway::before(&[]);
    for number in 0..24 {
        // It ends with its input.
        let mute = format!("name: mute{number}, command: sh, args: ['-c', 'cat > /dev/null']");
        gateway = gateway.backend(&mute);
    }
    for number in 0..2 {
        let backend = format!("name: good{number}, command: python3, args: ['{CHILD}']");
        gateway = gateway.backend(&backend);
    }
    let process = serve(&gateway).await;
    let client = Client::connect(&process.url()).await.unwrap();
    let listed = eventually("the others are listed", async || {
        let list = client.request("1", "tools/list", "{}").await.unwrap();
        let names = list.keys("tools", "name").unwrap();
        ["good0_echo", "good1_echo"]
            .iter()
            .all(|name| names.contains(&name.to_string()))
            .then_some(())
    });
    // Each of the mute ones may start for two minutes, some at a time.
    tokio::time::timeout(Duration::from_secs(30), listed).await.unwrap();
}

#[tokio::test]
async fn the_command_line_says_how_long_a_program_may_take() {
    let folder = tempfile::tempdir().unwrap();
    let (program, notes) = stubborn(&folder);
    let backend = format!("a=python3 {} {}", program.display(), notes.display());
    let arguments = ["serve", "--backend", &backend, "--start-timeout", "1s", "--port", "{port}"];
    let process = Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments)
        .environment("XDG_STATE_HOME", folder.path().to_str().unwrap())
        .start()
        .await
        .unwrap();
    started(2, &notes).await;
    process.terminate().await.unwrap();
}

#[tokio::test]
async fn one_that_is_given_up_has_ended_before_the_next_one_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (program, notes) = stubborn(&folder);
    let backend = format!(
        "name: a, command: python3, args: ['{}', '{}']",
        program.display(),
        notes.display()
    );
    let gateway = Gateway::before(&[]).backend(&backend);
    let process =
        serve(&gateway.with("sessions: {backendInitTimeout: 1s, initializeWait: 100ms}")).await;
    let noted = started(3, &notes).await;
    let noted: Vec<_> = noted.lines().take(5).collect();
    assert_eq!(noted, ["start", "end", "start", "end", "start"]);
    process.terminate().await.unwrap();
}
