//! What streamed answers hold in memory, whether their clients read them or not.

use tokio::{task::JoinSet, time::Duration};
use vmcp_testkit::{
    client::Client,
    gateway::Gateway,
    modern_client::ModernClient,
    peers,
    process::Process,
    raw::{Form, Running},
};

use crate::{connect, serve};

/// All that may be held.
const HELD: u64 = 32 << 20;

/// What a process holds besides: what is put together at one moment, and what its allocator keeps.
const BESIDE: u64 = 192 << 20;

async fn fixture() -> (Running, Process) {
    let backend = peers::huge().form(Form::Sse).start().await.unwrap();
    let limits = format!("limits: {{heldBytes: {}MiB}}", HELD >> 20);
    let process = serve(&Gateway::before(&[("a", backend.url())]).with(&limits)).await;
    (backend, process)
}

/// Notes the memory that is used while something is done.
async fn most(process: &Process, doing: impl Future<Output = ()>) -> u64 {
    let mut most = 0;
    tokio::pin!(doing);
    loop {
        tokio::select! {
            () = &mut doing => return most,
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                most = most.max(process.memory().unwrap());
            }
        }
    }
}

/// 384 MiB, of which every session could resume its last eight streams. So many read at once that all of
/// them have room.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_were_read_are_let_go() {
    let (_backend, process) = fixture().await;
    let before = process.memory().unwrap();
    let reading = async {
        let mut kept = Vec::new();
        for _round in 0..2 {
            let mut reading = JoinSet::new();
            for _session in 0..6 {
                let client = connect(&process).await.with_patience(Duration::from_secs(120));
                reading.spawn(eight_answers(client));
            }
            kept.extend(reading.join_all().await);
        }
    };
    let used = most(&process, reading).await.saturating_sub(before);
    println!("{used} bytes for answers that were read");
    assert!(used < HELD + BESIDE, "{used} bytes");
}

async fn eight_answers(client: Client) -> Client {
    for id in ["0", "1", "2", "3", "4", "5", "6", "7"] {
        let read = client.call(id, "a_huge", r#"{"bytes":4194304}"#).await.unwrap();
        read.result().unwrap();
    }
    client
}

/// Who reads nothing is told in the end, and others are served meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_are_bounded_and_keep_nothing_from_others() {
    let (_backend, process) = fixture().await;
    let other = connect(&process).await;
    let arguments = r#"{"bytes":12582912}"#;
    let before = process.memory().unwrap();
    let mut unread = Vec::new();
    let calling = async {
        for _client in 0..30 {
            let client = connect(&process).await;
            unread.push(client.open_call("1", "a_huge", arguments).await.unwrap());
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        // Large enough to need room, which those that do not read must not keep.
        let served = other.call("2", "a_huge", r#"{"bytes":1048576}"#).await.unwrap();
        served.result().unwrap();
    };
    let used = most(&process, calling).await.saturating_sub(before);
    println!("{used} bytes for answers that nobody reads");
    assert!(used < HELD + BESIDE, "{used} bytes");
    process.logged("limits.heldBytes").await;
}

/// The same without sessions.
#[tokio::test(flavor = "multi_thread")]
async fn modern_answers_that_nobody_reads_are_bounded() {
    let (_backend, process) = fixture().await;
    let client = ModernClient::new(&process.url());
    let before = process.memory().unwrap();
    let mut unread = Vec::new();
    let calling = async {
        for _client in 0..30 {
            let params = serde_json::json!({"name": "a_huge", "arguments": {"bytes": 12_582_912}});
            unread.push(client.open("tools/call", params).await.unwrap());
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
    };
    let used = most(&process, calling).await.saturating_sub(before);
    println!("{used} bytes for modern answers that nobody reads");
    assert!(used < HELD + BESIDE, "{used} bytes");
}
