//! Programs are started, watched and ended. The program here is the testkit's own binary.

use std::time::Duration;

use rustix::process::Signal;
use vmcp_testkit::{client::Client, process::Program};

fn program() -> Program {
    let arguments = ["stateful", "--port", "{port}"];
    // A raw server refuses a GET without a session; that it answers at all is not readiness,
    // so these tests wait for the port themselves.
    Program::new(env!("CARGO_BIN_EXE_vmcp-testkit"), &arguments)
}

#[tokio::test]
async fn a_process_is_watched_and_ended() {
    let process = program().spawn().unwrap();
    let mut client = Client::new(&process.url());
    while client.initialize().await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.call("1", "count", "{}").await.unwrap();
    assert!(process.log().starts_with("listening on http://127.0.0.1:"), "{}", process.log());
    assert!(process.memory().unwrap() > 1024 * 1024);
    assert!(process.descriptors().unwrap() > 3);
    assert!(process.cpu_time().unwrap() < Duration::from_secs(10));
    assert!(!process.terminate().await.unwrap().success());
}

#[tokio::test]
async fn a_process_can_be_paused() {
    let mut process = program().spawn().unwrap();
    process.signal(Signal::STOP).unwrap();
    process.signal(Signal::CONT).unwrap();
    assert!(process.is_running());
    process.kill().await.unwrap();
}

#[tokio::test]
async fn a_process_that_fails_to_start_shows_its_log() {
    let failure = Program::new(env!("CARGO_BIN_EXE_vmcp-testkit"), &["no-such-peer"]).start().await;
    assert!(format!("{:?}", failure.unwrap_err()).contains("no-such-peer"));
}

#[tokio::test]
async fn a_dropped_process_is_gone() {
    let process = program().spawn().unwrap();
    let stat = format!("/proc/{}/stat", process.pid());
    drop(process);
    // Killed at once; reaped when the runtime gets to it.
    while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z")) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
