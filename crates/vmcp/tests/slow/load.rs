//! Much data and little memory.

use tokio::time::{Duration, Instant};
use vmcp_testkit::{gateway::Gateway, peers, process::Process};

use crate::{connect, serve};

const MOST: u64 = 64 << 20;
const HUGE: usize = 100 << 20;
/// What calls would take that wait for the end of what drowns them.
const FLOOD: Duration = Duration::from_secs(20);

fn assert_small(process: &Process, before: u64) {
    let growth = process.memory().unwrap().saturating_sub(before);
    assert!(growth < MOST, "grown by {} MiB", growth >> 20);
}

#[tokio::test]
async fn a_huge_result_passes_through_little_memory() {
    let huge = peers::huge().start().await.unwrap();
    let gateway = Gateway::before(&[("a", huge.url())]).with("limits: {responseBytes: 200MiB}");
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let before = process.memory().unwrap();
    let mut response = client.open_call("1", "a_huge", "{}").await.unwrap();
    let (mut received, mut since) = (0, 0);
    while let Some(chunk) = response.chunk().await.unwrap() {
        (received, since) = (received + chunk.len(), since + chunk.len());
        if since > 1 << 20 {
            since = 0;
            assert_small(&process, before);
        }
    }
    assert!(received > HUGE, "{received}");
}

/// Clients that ask for much and read nothing hold their backend back, and nobody else.
#[tokio::test]
async fn huge_results_that_nobody_reads_wait_where_they_are() {
    let huge = peers::huge().start().await.unwrap();
    let good = peers::stateful().start().await.unwrap();
    let gateway = Gateway::before(&[("a", huge.url()), ("good", good.url())]);
    let process = serve(&gateway.with("limits: {responseBytes: 200MiB}")).await;
    let client = connect(&process).await;
    let before = process.memory().unwrap();
    let mut unread = Vec::new();
    for id in 0..8 {
        unread.push(client.open_call(&id.to_string(), "a_huge", "{}").await.unwrap());
    }
    for _ in 0..200 {
        client.call(r#""n""#, "good_count", "{}").await.unwrap().result().unwrap();
    }
    assert_small(&process, before);
}

#[tokio::test]
async fn a_flood_drowns_nobody_else() {
    let flooding = peers::flooding().start().await.unwrap();
    let good = peers::stateful().start().await.unwrap();
    let gateway = Gateway::before(&[("flood", flooding.url()), ("good", good.url())]);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let before = process.memory().unwrap();
    // One stream is read, the others are not, and one is left in mid-flood.
    let _unread = client.listen(None).await.unwrap();
    let mut read = client.open_call("1", "flood_flood", "{}").await.unwrap();
    let _also_unread = client.open_call("2", "flood_flood", "{}").await.unwrap();
    drop(client.open_call("3", "flood_flood", "{}").await.unwrap());
    let until = Instant::now() + Duration::from_secs(4);
    let mut id = 10;
    while Instant::now() < until {
        id += 1;
        let began = Instant::now();
        for tool in ["good_count", "flood_quiet"] {
            client.call(&id.to_string(), tool, "{}").await.unwrap().result().unwrap();
        }
        assert!(began.elapsed() < FLOOD, "{:?}", began.elapsed());
        for _ in 0..100 {
            read.message().await.unwrap().unwrap();
        }
        assert_small(&process, before);
    }
    assert_eq!(client.delete().await.unwrap(), 200);
}
