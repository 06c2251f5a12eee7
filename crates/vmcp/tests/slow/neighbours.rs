//! What one bad backend does to the calls of a good one: nothing that its caller would notice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use vmcp_testkit::{
    gateway::Gateway,
    peers,
    process::Process,
    raw::Form,
    token_endpoint::{Given, TokenEndpoint},
};

use crate::support::{call, client_of, session};

/// How long each measurement takes at least, and how many calls of a caller.
const MEASURE: Duration = Duration::from_secs(3);
const CALLS: usize = 100;
/// How often a bad backend is measured before it is found to harm the good one. Other work on the
/// machine slows some measurements; a harm is there in each.
const TRIES: usize = 5;
/// Callers of the good backend, and of the bad one.
const CALLERS: usize = 4;
/// What the machine may add to the slowest calls of a measurement: the bad backend, its callers and
/// this test share its cores with vmcp, and all of them are built without optimization. Results of
/// 100 MiB that were carried as fast as possible added 84 ms.
const NOISE: Duration = Duration::from_millis(40);
/// The same on a machine that has other work, in times that a call takes there while nothing is bad.
const NOISES: f64 = 9.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_backend_leaves_the_others_alone() {
    let good = peers::stateful().form(Form::Json).start().await.unwrap();
    let hanging = peers::hanging_at_calls().start().await.unwrap();
    let dying = peers::dying().start().await.unwrap();
    let flooding = peers::flooding().start().await.unwrap();
    let huge = peers::huge().start().await.unwrap();
    let endless = peers::endless_headers(0).await.unwrap();
    let tokenless = peers::stateful().start().await.unwrap();
    let source = TokenEndpoint::start().await.unwrap();
    let asked = AtomicUsize::new(0);
    source.set_script(move |_asked| match asked.fetch_add(1, Ordering::Relaxed) % 5 {
        0 => Given::text(200, "application/json", vec![b'['; 10 << 20]),
        1 => Given::redirect("http://127.0.0.1:1/elsewhere"),
        2 => Given::text(200, "text/html", "<html>"),
        3 => Given::error(503, "temporarily_unavailable", "later"),
        _ => Given::nothing().after(Duration::from_secs(5)),
    });
    let vmcp = Gateway::before(&[
        ("good", good.url()),
        ("hanging", hanging.url()),
        ("dying", dying.url()),
        ("flooding", flooding.url()),
        ("huge", huge.url()),
        ("endless", endless.url()),
        ("tokenless", tokenless.url()),
    ])
    .with(
        "operational: {timeouts: {perWorkload: {hanging: 1s, dying: 1s, flooding: 1s, huge: 1s}}}",
    )
    .with(&format!(
        "outgoingAuth: {{backends: {{tokenless: {{type: client_credentials, clientCredentials: {{tokenUrl: '{}', \
         clientId: vmcp, clientSecret: s3cret}}}}}}}}",
        source.url()
    ))
    .start(env!("CARGO_BIN_EXE_vmcp"))
    .await
    .unwrap();
    let url = vmcp.url();
    // The first calls open connections and sessions.
    measure(&url).await;
    for (tool, arguments) in [
        ("hanging_hang", "{}"),
        ("dying_close", "{}"),
        ("dying_cut_off", r#"{"bytes":20}"#),
        ("flooding_flood", "{}"),
        ("huge_huge", "{}"),
        ("tokenless_count", "{}"),
    ] {
        let mut seen = Vec::new();
        let harmless = loop {
            let usual = measure(&url).await;
            let beside = measure_beside(&vmcp, tool, arguments).await;
            println!("{tool}: p99 {usual:?} alone, {beside:?} beside it");
            seen.push((usual, beside));
            let is_harmless = beside <= usual.mul_f64(1.5) + NOISE.max(usual.mul_f64(NOISES));
            if is_harmless || seen.len() == TRIES {
                break is_harmless;
            }
        };
        assert!(harmless, "{tool}, alone and beside it: {seen:?}");
    }
}

/// Measures the good backend while a bad one is called all the time, and what memory that takes.
async fn measure_beside(vmcp: &Process, tool: &'static str, arguments: &'static str) -> Duration {
    let before = vmcp.memory().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = tokio::task::JoinSet::new();
    for _caller in 0..CALLERS {
        callers.spawn(keep_calling(vmcp.url(), tool, arguments, Arc::clone(&stop)));
    }
    let beside = measure(&vmcp.url()).await;
    let grown = vmcp.memory().unwrap().saturating_sub(before) >> 20;
    stop.store(true, Ordering::Relaxed);
    assert!(grown < 128, "{tool}: {grown} MiB more");
    callers.abort_all();
    while callers.join_next().await.is_some() {}
    beside
}

/// Calls the good backend for a while; gives the time that 99 of 100 calls stay under.
async fn measure(url: &str) -> Duration {
    let mut callers = tokio::task::JoinSet::new();
    for _caller in 0..CALLERS {
        let client = client_of(url);
        callers.spawn(async move {
            let session = session(&client).await;
            let end = Instant::now() + MEASURE;
            let mut times = Vec::new();
            while Instant::now() < end || times.len() < CALLS {
                let began = Instant::now();
                let answer = call(&client, &session, "good_count", "{}").await.unwrap();
                times.push(began.elapsed());
                assert!(answer.result().is_some());
            }
            times
        });
    }
    let mut times: Vec<Duration> = callers.join_all().await.into_iter().flatten().collect();
    times.sort();
    times[times.len() * 99 / 100]
}

/// Calls a bad backend until told to stop. What comes of it does not matter, only that it ends.
async fn keep_calling(
    url: String,
    tool: &'static str,
    arguments: &'static str,
    stop: Arc<AtomicBool>,
) {
    let client = client_of(&url);
    let session = session(&client).await;
    while !stop.load(Ordering::Relaxed) {
        let _answer = call(&client, &session, tool, arguments).await;
    }
}
