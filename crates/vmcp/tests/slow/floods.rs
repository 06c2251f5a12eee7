//! Floods of every kind on every transport: what a neighbour's calls take meanwhile, and what vmcp does.
//!
//! `cargo test -p vmcp --test slow floods -- --nocapture` prints the table. `VMCP_UNDER_TEST` names another
//! binary to measure, such as a release build; with it nothing is asserted.

use std::{fs, time::Duration};

use serde_json::json;
use tokio::{task::JoinSet, time::Instant};
use vmcp_testkit::{
    gateway::Gateway,
    literal::{Literal, Way},
    peers,
    process::Process,
    raw::Form,
};

use crate::support::{call, client_of, session};

/// How long each measurement takes, and how often it is repeated before a harm is believed: other work
/// on the machine slows some.
const MEASURE: Duration = Duration::from_secs(2);
const TRIES: usize = 4;
/// Calls that are flooded at once.
const FLOODS: usize = 8;
/// What the machine may add: the floods are made in this process, on the cores that vmcp runs on, and
/// all of them are built without optimization.
const NOISE: Duration = Duration::from_millis(10);
/// What a flood may make vmcp hold: an event of 4 MiB for each call, and room to grow.
const HELD: u64 = 128 << 20;

/// Where, what is said first, and what again and again.
const TABLE: [(Way, &str, &str); 18] = [
    (Way::Sse, "", ":\n"),
    (Way::Sse, "", "\n"),
    (Way::Sse, "", "a\n"),
    (Way::Sse, "", ": a comment of some length, as no heartbeat is, on and on and on\n"),
    (Way::Sse, "", "retry: 5\n"),
    (Way::Sse, "", "id: 1\n\n"),
    (Way::Sse, "", "event: ping\ndata: x\n\n"),
    (Way::Sse, "", "data: ping\n\n"),
    (Way::Sse, "data: ", "x"),
    (Way::Get, "", ":\n"),
    (Way::Get, "", "\n"),
    (Way::Get, "", "data: {}\n\n"),
    (Way::HttpSse, "", ":\n"),
    (Way::HttpSse, "", "data: ping\n\n"),
    (Way::Stdio, "", "\n"),
    (Way::Stdio, "", "noise\n"),
    (Way::Stdio, "", "x"),
    (Way::Json, r#"{"jsonrpc":"2.0","#, " "),
];

/// What was measured.
#[derive(Debug, Clone, Copy)]
struct Figures {
    p50: Duration,
    p99: Duration,
    /// Cores that vmcp used.
    cores: f64,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_flood_takes_the_time_of_a_neighbours_calls() {
    println!("| where | what | p50 alone | beside | p99 alone | beside | cores | MiB |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut harms = Vec::new();
    for (way, before, fill) in TABLE {
        let arguments = json!({"before": before, "fill": fill}).to_string();
        harms.extend(flood(way, fill, &arguments).await);
    }
    let arguments = json!({"fill": "x\n", "stderr": true}).to_string();
    harms.extend(flood(Way::Stdio, "standard error", &arguments).await);
    assert!(harms.is_empty() || binary().is_some(), "{}", harms.join("\n"));
}

#[expect(clippy::disallowed_methods, reason = "whoever measures by hand says what")]
fn binary() -> Option<String> {
    std::env::var("VMCP_UNDER_TEST").ok()
}

/// Measures a neighbour alone and beside a flood. What is wrong with it, if it is more than once.
async fn flood(way: Way, what: &str, arguments: &str) -> Option<String> {
    let good = peers::stateful().form(Form::Json).start().await.unwrap();
    let bad = Literal::start(way).await.unwrap();
    let gateway = Gateway::before(&[("good", good.url())]).backend(&bad.backend("bad"));
    let gateway = gateway.with("limits: {eventBytes: 4MiB}");
    let binary = binary().unwrap_or_else(|| env!("CARGO_BIN_EXE_vmcp").to_owned());
    let vmcp = gateway.start(binary).await.unwrap();
    // The first calls open connections and sessions.
    measure(&vmcp, MEASURE / 4).await;
    let memory = vmcp.memory().unwrap();
    let mut seen = Vec::new();
    let tries = if self::binary().is_some() { 1 } else { TRIES };
    for _try in 0..tries {
        let alone = measure(&vmcp, MEASURE).await;
        let mut floods = JoinSet::new();
        for _flood in 0..FLOODS {
            floods.spawn(keep_flooding(vmcp.url(), way, arguments.to_owned()));
        }
        tokio::time::sleep(MEASURE / 4).await;
        let beside = measure(&vmcp, MEASURE).await;
        let held = vmcp.memory().unwrap().saturating_sub(memory);
        floods.shutdown().await;
        println!(
            "| {way:?} | `{}` | {:.2?} | {:.2?} | {:.2?} | {:.2?} | {:.2} | {} |",
            what.escape_debug(),
            alone.p50,
            beside.p50,
            alone.p99,
            beside.p99,
            beside.cores,
            held >> 20
        );
        // What stands between the tokens of JSON, and an event that does not end, are looked at byte by byte, here
        // without optimization.
        let noise = match (way, what) {
            (Way::Json, _) => 10 * NOISE,
            (Way::Sse, "x") => 3 * NOISE,
            _ => NOISE,
        };
        if beside.p50 <= alone.p50.mul_f64(1.5) + noise && held < HELD {
            return None;
        }
        seen.push((alone, beside, held));
    }
    Some(format!("{what:?} on {way:?}: {seen:?}"))
}

/// Calls the good backend for a while.
async fn measure(vmcp: &Process, time: Duration) -> Figures {
    let client = client_of(&vmcp.url());
    let session = session(&client).await;
    let (began, before) = (Instant::now(), processor_time(vmcp));
    let mut times = Vec::new();
    while began.elapsed() < time || times.len() < 20 {
        let asked = Instant::now();
        let answer = call(&client, &session, "good_count", "{}").await.unwrap();
        times.push(asked.elapsed());
        assert!(answer.result().is_some());
    }
    let cores = (processor_time(vmcp) - before).div_duration_f64(began.elapsed());
    times.sort();
    Figures { p50: times[times.len() / 2], p99: times[times.len() * 99 / 100], cores }
}

/// The processor time that a process has used (proc(5): ticks of a hundredth of a second).
fn processor_time(vmcp: &Process) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", vmcp.pid())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_ascii_whitespace().skip(11).take(2);
    Duration::from_millis(10 * ticks.map(|field| field.parse::<u64>().unwrap()).sum::<u64>())
}

/// Has the bad backend pour, and begins again when that has ended.
async fn keep_flooding(url: String, way: Way, arguments: String) {
    let client = client_of(&url);
    let session = session(&client).await;
    let _listening = match way {
        Way::Get => client.listen(&session).await.unwrap(),
        Way::Json | Way::Sse | Way::HttpSse | Way::Stdio => None,
    };
    loop {
        let _answer = call(&client, &session, "bad_say", &arguments).await;
        if way == Way::Get {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
