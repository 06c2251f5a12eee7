//! Programs in numbers, and programs that write without end.

use std::{fs, sync::Arc, time::Duration};

use serde_json::Value;
use tokio::time::Instant;
use vmcp_testkit::{
    CHILD,
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    process::Process,
};

const SESSIONS: usize = 200;

fn gateway() -> Gateway {
    let backend = format!("name: kid, command: python3, args: ['{CHILD}']");
    Gateway::before(&[]).backend(&backend)
}

async fn start(gateway: &Gateway) -> Process {
    gateway.start(env!("CARGO_BIN_EXE_vmcp")).await.unwrap()
}

/// A process that another one has started.
pub(super) struct Child {
    pub(super) pid: i32,
    is_zombie: bool,
}

/// The children of a process.
pub(super) fn children_of(parent: i32) -> Vec<Child> {
    let children = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let stat = fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        let (pid, fields) = (stat.split_once(' ')?.0.parse().ok()?, stat.rsplit_once(')')?.1);
        let mut fields = fields.split_whitespace();
        let is_zombie = fields.next()? == "Z";
        (fields.next()?.parse() == Ok(parent)).then_some(Child { pid, is_zombie })
    });
    children.collect()
}

/// The children of a process, and how many of them are zombies.
fn children(parent: i32) -> (usize, usize) {
    let children = children_of(parent);
    (children.len(), children.iter().filter(|child| child.is_zombie).count())
}

async fn connect_and_count(process: &Process) -> Client {
    let client = Client::connect(&process.url()).await.unwrap();
    let answer = client.call("1", "kid_count", "{}").await.unwrap().json();
    assert_eq!(answer["result"]["content"][0]["text"], "1", "{answer}");
    client
}

async fn links(process: &Process) -> u64 {
    let (_, body) = fetch(&process.url_of("/status")).await.unwrap();
    let status: Value = serde_json::from_slice(&body).unwrap();
    status["backends"][0]["links"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn much_on_standard_error_costs_next_to_nothing() {
    // The gateway's patience with a silent call is not what this is about.
    let process = start(&gateway().with("operational: {timeouts: {default: 5m}}")).await;
    let client = Client::connect(&process.url()).await.unwrap();
    client.call("1", "kid_echo", "{}").await.unwrap();
    let before = process.memory().unwrap();
    let began = Instant::now();
    let patient = client.with_patience(Duration::from_secs(300));
    let answer = patient.call("2", "kid_noise", r#"{"bytes":134217728}"#).await.unwrap().json();
    assert_eq!(answer["result"]["content"][0]["text"], "made", "{answer}");
    let (more, log) = (process.memory().unwrap().saturating_sub(before), process.log().len());
    println!(
        "128 MiB of standard error: {:?}, {more} bytes more, {log} bytes of log",
        began.elapsed()
    );
    assert!(more < 32 << 20, "{more}");
    assert!(log < 2 << 20, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_sessions_leave_no_process() {
    let gateway = gateway().with("sessions: {ttl: 5s}");
    let process = Arc::new(start(&gateway).await);
    connect_and_count(&process).await.delete().await.unwrap();
    let before = process.memory().unwrap();
    let mut opening = tokio::task::JoinSet::new();
    for number in 0..SESSIONS {
        let process = Arc::clone(&process);
        opening.spawn(async move {
            let client = connect_and_count(&process).await;
            // Half of them say goodbye.
            if number % 2 == 0 {
                assert_eq!(client.delete().await.unwrap(), 200);
            }
        });
        if opening.len() >= 8 {
            opening.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(opened) = opening.join_next().await {
        opened.unwrap();
    }
    let pid = process.pid();
    let deadline = Instant::now() + Duration::from_secs(180);
    // What is left watches for changes: one for each kind of client.
    while children(pid).0 > 2 {
        assert!(Instant::now() < deadline, "{:?}", children(pid));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(children(pid).1, 0, "zombies");
    assert!(links(&process).await <= 2);
    let more = process.memory().unwrap().saturating_sub(before);
    println!("{SESSIONS} sessions, each with a program: {more} bytes more at the end");
    assert!(more < 16 << 20, "{more}");
    let process = Arc::into_inner(process).unwrap();
    assert!(process.terminate().await.unwrap().success());
    eventually("no child is left", async || (children(pid).0 == 0).then_some(())).await;
}
