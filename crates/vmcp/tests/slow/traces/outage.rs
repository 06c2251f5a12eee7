//! A collector that is slow, or away: no call waits for it, what it costs is bounded, and what is lost is counted.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};
use vmcp_backend::Backend;
use vmcp_testkit::{
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    otlp::Receiver,
    peers,
    process::{Process, free_port},
};

use super::{Spans, telemetry, trace_id, traceparent};
use crate::{
    serve,
    support::{call, client_of, session},
};

/// Calls in each of the times that are compared, and how many of them go on at once.
const CALLS: usize = 2_000;
const AT_ONCE: usize = 8;

/// Spans that wait: a full queue, and what is being sent.
const ROOM: u64 = 2_048 + 2 * 512;

/// Memory that a full queue may take. The spans of all calls while nobody takes any would be twice as much.
const MOST_GROWTH: u64 = 8 << 20;

/// How long vmcp waits for a collector when it ends.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long calls took, from the quickest on.
struct Times(Vec<Duration>);

impl Times {
    /// Makes all the calls.
    async fn of(client: &Arc<Backend>) -> Self {
        let mut working = JoinSet::new();
        for _ in 0..AT_ONCE {
            let client = Arc::clone(client);
            working.spawn(async move {
                let session = session(&client).await;
                let mut times = Vec::with_capacity(CALLS / AT_ONCE);
                for _ in 0..CALLS / AT_ONCE {
                    let began = Instant::now();
                    call(&client, &session, "a_count", "{}").await.unwrap();
                    times.push(began.elapsed());
                }
                times
            });
        }
        let mut all = working.join_all().await.concat();
        all.sort_unstable();
        Self(all)
    }

    fn percentile(&self, part: usize) -> Duration {
        self.0[self.0.len() * part / 100]
    }

    /// Checks that these took no longer than those, but for what a busy machine does.
    fn assert_no_slower(&self, what: &str, before: &Self) {
        for part in [50, 95] {
            let (now, before) = (self.percentile(part), before.percentile(part));
            println!("{what}: {part} of 100 calls took {now:?} at most, {before:?} before");
            let most = before * 5 + Duration::from_millis(200);
            assert!(
                now < most,
                "{what}: {part} of 100 calls took {now:?} at most, {before:?} before"
            );
        }
    }
}

/// A counter of what became of spans.
async fn counter(process: &Process, name: &str) -> u64 {
    let (_, text) = fetch(&process.url_of("/metrics")).await.unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    let label = "vmcp_signal=\"traces\"";
    let line = text.lines().find(|line| line.starts_with(name) && line.contains(label));
    let value = line.unwrap_or_else(|| panic!("no {name}: {text}")).rsplit_once(' ').unwrap().1;
    value.parse::<f64>().unwrap() as u64
}

async fn dropped(process: &Process) -> u64 {
    counter(process, "vmcp_otlp_dropped_total").await
}

async fn exported(process: &Process) -> u64 {
    counter(process, "vmcp_otlp_exported_total").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_no_call_and_little_memory() {
    let backend = peers::stateful().start().await.unwrap();
    let program = Receiver::program().port(free_port().unwrap());
    let receiver = Receiver::start_as(&program).await.unwrap();
    let keys = ", enablePrometheusMetricsPath: true";
    let gateway = Gateway::before(&[("a", backend.url())]).with(&telemetry(&receiver, keys));
    let process = serve(&gateway).await;
    let client = client_of(&process.url());
    Times::of(&client).await;
    let before = Times::of(&client).await;
    let all = 2 * 2 * CALLS as u64;
    eventually("all spans are with it", async || {
        (exported(&process).await + dropped(&process).await >= all).then_some(())
    })
    .await;
    let (memory, lost) = (process.memory().unwrap(), dropped(&process).await);

    // It takes requests and does not answer: calls end all the same.
    let held: Vec<_> = (0..1_000).map(|_| r#"{"hold":true}"#).collect();
    receiver.behave(&format!("[{}]", held.join(","))).await;
    let taken = exported(&process).await;
    let slow = Times::of(&client).await;
    slow.assert_no_slower("held", &before);
    let spans = 2 * CALLS as u64;
    let lost_held = dropped(&process).await - lost;
    // What it had taken before is not held.
    let early = exported(&process).await - taken;
    assert!(lost_held + ROOM + early >= spans, "{lost_held} of {spans} spans were lost");

    receiver.kill().await.unwrap();
    let down = Times::of(&client).await;
    down.assert_no_slower("down", &before);
    let lost_down = dropped(&process).await - lost - lost_held;
    assert!(lost_down + 1_024 >= spans, "{lost_down} of {spans} spans were lost");
    let growth = process.memory().unwrap().saturating_sub(memory);
    println!("lost {lost_held} held and {lost_down} down; grown by {} KiB", growth >> 10);
    assert!(growth < MOST_GROWTH, "grown by {growth} bytes");
    let log = process.logged("cannot be reached").await;
    assert!(log.lines().filter(|line| line.contains("telemetry")).count() < 10, "{log}");

    // It is back: what has waited goes, then what is new.
    let receiver = Receiver::start_as(&program).await.unwrap();
    receiver.until("exports go on", |received| received["spans"][0].is_object()).await;
    process.logged("exported again").await;
    let [first, last] = [1, 2].map(trace_id);
    call_in(&process, &first).await;
    receiver.until("a new span", |received| !Spans::of(received).of_trace(&first).is_empty()).await;
    call_in(&process, &last).await;
    assert!(process.terminate().await.unwrap().success());
    let spans = Spans::of(&receiver.received().await);
    spans.pair(&last, "vmcp");
}

/// Calls in a trace.
async fn call_in(process: &Process, trace: &str) {
    let client = Client::connect(&process.url()).await.unwrap();
    let calling = client.with_header("traceparent", &traceparent(trace, "01"));
    calling.call("1", "a_count", "{}").await.unwrap().text().unwrap();
}

/// What is left is sent before vmcp has ended, but a collector that does not take it keeps nobody.
#[tokio::test]
async fn the_end_waits_a_little_for_a_collector_that_does_not_answer() {
    let backend = peers::stateful().start().await.unwrap();
    let receiver = Receiver::start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with(&telemetry(&receiver, ""));
    let process = serve(&gateway).await;
    call_in(&process, &trace_id(1)).await;
    let held: Vec<_> = (0..100).map(|_| r#"{"hold":true}"#).collect();
    receiver.behave(&format!("[{}]", held.join(","))).await;
    let began = Instant::now();
    assert!(process.terminate().await.unwrap().success());
    assert!(began.elapsed() < FAREWELL * 10, "it took {:?}", began.elapsed());
    receiver.release().await;
}
