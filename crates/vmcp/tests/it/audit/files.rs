//! The file at work: renamed, removed and full under load, and what is left of it when vmcp ends, however it does.

use std::{
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use rustix::process::Signal;
use tokio::task::JoinSet;
use vmcp_testkit::peers;

use super::*;

/// Clients that call at once.
const CLIENTS: usize = 4;

/// Clients that call again and again until they are told to stop. Each call has a name of its own.
struct Load {
    clients: JoinSet<()>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

impl Load {
    async fn on(audited: &Audited) -> Self {
        let (mut clients, stop, answered) =
            (JoinSet::new(), Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        for number in 0..CLIENTS {
            let (client, stop, answered) =
                (audited.connect().await, Arc::clone(&stop), Arc::clone(&answered));
            clients.spawn(call_on_and_on(client, number, stop, answered));
        }
        Self { clients, stop, answered }
    }

    /// Waits until so many more have been answered.
    async fn more(&self, count: usize) {
        let until = self.answered.load(Relaxed) + count;
        eventually("calls are answered", async || {
            (self.answered.load(Relaxed) >= until).then_some(())
        })
        .await;
    }

    /// Stops, and gives how many were answered.
    async fn stop(mut self) -> usize {
        self.stop.store(true, Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client.unwrap();
        }
        self.answered.load(Relaxed)
    }
}

/// Calls until it is told to stop, or is answered no more: when vmcp ends, its sessions do before its connections.
async fn call_on_and_on(
    client: Client,
    number: usize,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
) {
    for turn in 0.. {
        let client = client.clone().with_header(NAME, &format!("load {number} {turn}"));
        let answer = client.call("1", "a_fine", "{}").await;
        if !answer.is_ok_and(|answer| answer.result().is_ok()) {
            return;
        }
        answered.fetch_add(1, Relaxed);
        if stop.load(Relaxed) {
            return;
        }
    }
}

async fn audited(keys: &str) -> (raw::Running, Audited) {
    let backend = legacy_server("a").start().await.unwrap();
    let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), keys).await;
    (backend, audited)
}

/// Everything of the load is there once.
fn assert_whole(records: &Records, answered: usize) {
    let name = |record: &Value| record["source"]["extra"]["request_id"].as_str().map(str::to_owned);
    let names: Vec<_> = records.0.iter().filter_map(name).collect();
    let mut calls: Vec<_> = names.iter().filter(|name| name.starts_with("load")).collect();
    assert_eq!(calls.len(), answered, "records of calls");
    calls.sort();
    calls.dedup();
    assert_eq!(calls.len(), answered, "each has another name");
    let mut ids: Vec<_> = records.0.iter().map(|record| record["audit_id"].to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), records.0.len(), "each record has another id");
    assert_eq!(records.by_type().get("audit_gap"), None);
}

#[tokio::test]
async fn a_file_that_is_renamed_under_load_loses_and_doubles_nothing() {
    let (_backend, audited) = audited("").await;
    let load = Load::on(&audited).await;
    let renamed = |turn: usize| audited.directory.path().join(format!("audit.log.{turn}"));
    for turn in 0..3 {
        load.more(100).await;
        eventually("there is a file", async || audited.file().exists().then_some(())).await;
        fs::rename(audited.file(), renamed(turn)).unwrap();
        audited.process.signal(Signal::HUP).unwrap();
        eventually("there is a new one", async || audited.file().exists().then_some(())).await;
    }
    load.more(100).await;
    let answered = load.stop().await;
    let mut records = Vec::new();
    // Whoever renames files may read them then: what comes later goes to the new one.
    for turn in 0..3 {
        let text = fs::read_to_string(renamed(turn)).unwrap();
        assert!(text.ends_with('\n'), "the last line is whole");
        assert!(!text.trim().is_empty());
        records.extend(lines(&text));
    }
    records.extend(audited.end().await.0);
    let records = Records(records);
    assert_whole(&records, answered);
    assert_eq!(records.0.len(), answered + 2 * CLIENTS);
}

#[tokio::test]
async fn a_file_that_is_removed_is_made_again() {
    for hangs_up in [true, false] {
        let (_backend, audited) = audited("").await;
        let load = Load::on(&audited).await;
        load.more(100).await;
        eventually("there are lines", async || (!audited.so_far().0.is_empty()).then_some(()))
            .await;
        let mut removed = fs::File::open(audited.file()).unwrap();
        fs::remove_file(audited.file()).unwrap();
        if hangs_up {
            audited.process.signal(Signal::HUP).unwrap();
        }
        // Without a word it is noticed as well.
        eventually("there is a new one", async || audited.file().exists().then_some(())).await;
        load.more(100).await;
        let answered = load.stop().await;
        let mut text = String::new();
        let process = audited.end().await;
        removed.read_to_string(&mut text).unwrap();
        let records = Records([lines(&text), process.0].concat());
        assert_whole(&records, answered);
    }
}

#[tokio::test]
async fn files_that_are_full_are_kept_aside() {
    let (_backend, audited) = audited(", maxFileBytes: 20KiB, keepFiles: 1000").await;
    let load = Load::on(&audited).await;
    load.more(400).await;
    let answered = load.stop().await;
    let directory = audited.directory.path().to_owned();
    let Audited { process, directory: kept } = audited;
    assert!(process.terminate().await.unwrap().success());
    let mut records = Vec::new();
    let mut files = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(text.len() <= 20 << 10, "{}", text.len());
        records.extend(lines(&text));
        files += 1;
    }
    assert!(files > 5, "{files}");
    assert_whole(&Records(records), answered);
    drop(kept);
}

/// Whoever asks vmcp to end gets everything, whatever was still queued.
#[tokio::test]
async fn an_orderly_end_writes_all() {
    let (_backend, audited) = audited("").await;
    let load = Load::on(&audited).await;
    load.more(300).await;
    let Audited { process, directory } = audited;
    assert!(process.terminate().await.unwrap().success());
    let answered = load.stop().await;
    let text = fs::read_to_string(directory.path().join("audit.log")).unwrap();
    let records = Records(lines(&text));
    let told = "mcp_tool_call success tools/call tool=a_fine @a 200";
    let calls = records.0.iter().filter(|record| super::told(record) == told).count();
    // Some are recorded whose client did not get to hear of it.
    assert!((answered..=answered + CLIENTS).contains(&calls), "{calls} of {answered}");
    assert_eq!(records.by_type().get("audit_gap"), None);
}

/// What was queued is lost, and what is being made to be; nothing else, and no line is left in halves.
#[tokio::test]
async fn a_crash_loses_what_was_queued_and_no_more() {
    const QUEUE: usize = 20;
    let (_backend, audited) = audited(&format!(", queue: {QUEUE}, onOverflow: block")).await;
    let load = Load::on(&audited).await;
    load.more(500).await;
    let Audited { process, directory } = audited;
    process.kill().await.unwrap();
    let answered = load.stop().await;
    let text = fs::read_to_string(directory.path().join("audit.log")).unwrap();
    assert!(text.ends_with('\n'));
    let calls = Records(lines(&text)).by_type()["mcp_tool_call"];
    assert!(calls + QUEUE + CLIENTS >= answered, "{calls} of {answered}");
    assert!(calls <= answered + CLIENTS, "{calls} of {answered}");
}

/// Where no file is named it is standard output, between what else is there.
#[tokio::test]
async fn without_a_file_records_are_on_standard_output() {
    let backend = peers::stateful().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())]).with("audit: {}")).await;
    let mut client = Client::new(&process.url()).with_header(NAME, "hello");
    client.initialize().await.unwrap();
    let client = client.with_header(NAME, "call");
    for id in ["1", "2", "3"] {
        client.call(id, "a_count", "{}").await.unwrap().text().unwrap();
    }
    let log = eventually("all are there", async || {
        let log = process.log();
        (log.matches("mcp_tool_call").count() == 3).then_some(log)
    })
    .await;
    let audit = log.lines().filter(|line| line.contains("\"AUDIT\""));
    let records = Records(audit.map(|line| serde_json::from_str(line).unwrap()).collect());
    let told = "mcp_tool_call success tools/call tool=a_count @a 200";
    assert_eq!(records.of("call"), [told, told, told]);
}
