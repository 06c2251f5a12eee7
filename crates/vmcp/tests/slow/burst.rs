//! Memory behind a burst.

use tokio::{task::JoinSet, time::Duration};
use vmcp_testkit::{
    gateway::{Gateway, eventually},
    peers,
};

use crate::{connect, serve};

/// Calls at once, and the bytes of each.
const CALLS: usize = 100;
const BYTES: usize = 4 << 20;

/// What was used for a moment is given back though nothing happens afterwards: in a container, what a
/// process holds counts.
#[tokio::test]
async fn memory_is_given_back_behind_a_burst() {
    let backend = peers::slow().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]);
    let process = serve(&gateway.with("limits: {heldRequestBytes: 1GiB}")).await;
    let client = connect(&process).await.with_patience(Duration::from_secs(120));
    client.call("0", "a_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    let before = process.memory().unwrap();
    let padding = "x".repeat(BYTES);
    let mut calls = JoinSet::new();
    for number in 1..=CALLS {
        let client = client.clone();
        let arguments = format!(r#"{{"delay_ms":4000,"padding":"{padding}"}}"#);
        calls.spawn(async move {
            client.call(&number.to_string(), "a_slow", &arguments).await.unwrap().result().unwrap();
        });
    }
    let mut peak = 0;
    while !calls.is_empty() {
        tokio::select! {
            Some(call) = calls.join_next() => call.unwrap(),
            () = tokio::time::sleep(Duration::from_millis(20)) => {
                peak = peak.max(process.memory().unwrap());
            }
        }
    }
    let burst = peak.saturating_sub(before);
    println!(
        "{before} bytes before, {burst} more at the peak, {} behind it",
        process.memory().unwrap()
    );
    assert!(burst > (CALLS * BYTES / 2) as u64, "there was no burst: {burst} bytes");
    let kept = eventually("memory is given back", async || {
        let kept = process.memory().unwrap().saturating_sub(before);
        (kept < burst / 10).then_some(kept)
    })
    .await;
    println!("{kept} bytes are kept");
}
