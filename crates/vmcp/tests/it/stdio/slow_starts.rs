//! Programs that take long to start, or never do.

use std::fs;

use vmcp_testkit::gateway::{Gateway, eventually};

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

#[tokio::test]
async fn one_that_is_given_up_has_ended_before_the_next_one_starts() {
    let folder = tempfile::tempdir().unwrap();
    let (program, notes) = (folder.path().join("stubborn.py"), folder.path().join("notes"));
    fs::write(&program, STUBBORN).unwrap();
    let backend = format!(
        "name: a, command: python3, args: ['{}', '{}']",
        program.display(),
        notes.display()
    );
    let gateway = Gateway::before(&[]).backend(&backend);
    let process =
        serve(&gateway.with("sessions: {backendInitTimeout: 1s, initializeWait: 100ms}")).await;
    let noted = eventually("it was started three times", async || {
        let noted = fs::read_to_string(&notes).unwrap_or_default();
        (noted.matches("start").count() >= 3).then_some(noted)
    })
    .await;
    let noted: Vec<_> = noted.lines().take(5).collect();
    assert_eq!(noted, ["start", "end", "start", "end", "start"]);
    process.terminate().await.unwrap();
}
