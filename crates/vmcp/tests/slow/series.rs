//! Metrics of very many tools, whose backends come and go: they stay bounded, and add up.

use std::collections::BTreeMap;

use rustix::process::Signal;
use tokio::time::{Duration, Instant};
use vmcp_testkit::{
    client::fetch,
    gateway::{Gateway, eventually},
    peers,
    process::Process,
    raw::Running,
};

use crate::{
    serve,
    support::{call, client_of, session},
};

/// Tools of the backend, and how many of them are called under each of its names.
const TOOLS: usize = 2_500;
const CALLED: usize = 500;

/// Series that are counted apart, and what there may be besides: those that stand for all others, of each method
/// and outcome.
const SERIES: usize = 200;
const BESIDE: usize = 200;

/// What the process may take in more when everything has been there that there can be.
const GROWTH: u64 = 24 << 20;

/// How long backends come and go, unless `VMCP_TEST_SERIES` says it in seconds.
const GOING_ON: Duration = Duration::from_secs(25);

/// Rounds after which there is everything that is bounded by number.
const FULL: usize = 4;

/// How long it takes at most until there is everything that is bounded by time: catalogs that nobody has any more.
const SETTLING: Duration = Duration::from_mins(3);

fn gateway(backend: &Running, round: usize) -> Gateway {
    let name = format!("b{round}");
    Gateway::before(&[(&name, backend.url())]).with(&format!(
        "operational: {{reload: {{watchFile: false}}}}\n\
         telemetry: {{enablePrometheusMetricsPath: true, maxSeries: {SERIES}}}"
    ))
}

/// Puts another backend in the place of the one before.
async fn exchange(process: &Process, backend: &Running, round: usize) {
    process.write_config(&gateway(backend, round).yaml()).unwrap();
    process.signal(Signal::HUP).unwrap();
    let wanted = format!("vmcp_configuration_reloads_total {round}");
    eventually("the reload is done", async || {
        metrics(process).await.contains(&wanted).then_some(())
    })
    .await;
}

async fn metrics(process: &Process) -> String {
    let (_, text) = fetch(&process.url_of("/metrics")).await.unwrap();
    String::from_utf8(text.to_vec()).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "for runs by hand")]
fn going_on() -> Duration {
    let wanted = std::env::var("VMCP_TEST_SERIES").ok().and_then(|text| text.parse().ok());
    wanted.map_or(GOING_ON, Duration::from_secs)
}

/// The values of a metric, by their labels.
fn values(text: &str, metric: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| line.starts_with(&format!("{metric}{{")));
    lines
        .map(|line| {
            let (labels, value) = line.rsplit_once(' ').unwrap();
            (labels.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// What is new in counters, as Prometheus takes it: one that has gone down has begun anew, and one that is gone takes
/// along what was read of it.
fn increase(before: &BTreeMap<String, f64>, now: &BTreeMap<String, f64>) -> f64 {
    let since = |(labels, now): (&String, &f64)| {
        let then = before.get(labels).filter(|then| *then <= now);
        now - then.unwrap_or(&0.0)
    };
    now.iter().map(since).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn series_of_very_many_tools_stay_bounded_and_add_up() {
    let settled = Instant::now() + (going_on() / 10).min(SETTLING);
    let until = Instant::now() + going_on();
    let backend = peers::many_tools(TOOLS, 1_000).start().await.unwrap();
    let process = serve(&gateway(&backend, 0)).await;
    let client = client_of(&process.url());
    let (mut round, mut full) = (0, 0);
    let mut before = BTreeMap::new();
    while round < FULL + 2 || Instant::now() < until {
        let session = session(&client).await;
        for number in 0..CALLED {
            let tool = (round * CALLED + number) % TOOLS;
            let name = format!("b{round}_tool_{tool:04}");
            let answer = call(&client, &session, &name, "{}").await.unwrap();
            assert!(answer.result().is_some(), "{name}: {answer:?}");
        }
        client.close(&session).await.unwrap();
        let text = metrics(&process).await;
        let calls = values(&text, "mcp_server_operation_duration_seconds_count");
        assert!(calls.len() <= SERIES + BESIDE, "{} series", calls.len());
        let backends = values(&text, "mcp_client_operation_duration_seconds_count");
        assert!(backends.len() <= SERIES + BESIDE, "{} series of backends", backends.len());
        round += 1;
        assert_eq!(increase(&before, &backends), CALLED as f64, "every call is counted");
        before = backends;
        if round >= FULL && full == 0 && Instant::now() >= settled {
            full = process.memory().unwrap();
        }
        exchange(&process, &backend, round).await;
    }
    let now = process.memory().unwrap();
    println!("{round} backends with {CALLED} tools each: {full} bytes, then {now}");
    assert!(now < full + GROWTH, "{full} bytes, then {now}");
}
