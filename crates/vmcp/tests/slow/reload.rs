//! The configuration changes all the time while clients are at work.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use rustix::process::Signal;
use serde_json::Value;
use tokio::task::JoinSet;
use vmcp_backend::{Backend, Session};
use vmcp_testkit::{
    client::fetch,
    gateway::{Gateway, eventually},
    peers,
    process::Process,
};

use crate::{
    serve,
    support::{call, client_of, session},
};

const RELOADS: u64 = 100;
const SESSIONS: usize = 16;
const MOST_GROWTH: u64 = 16 << 20;

async fn reloads(process: &Process) -> Value {
    let (_, text) = fetch(&process.url_of("/status")).await.unwrap();
    let status: Value = serde_json::from_slice(&text).unwrap();
    status["reload"].clone()
}

/// Reloads, and waits until that is done.
async fn reload(process: &Process, gateway: &Gateway, attempt: u64) {
    process.write_config(&gateway.yaml()).unwrap();
    process.signal(Signal::HUP).unwrap();
    eventually("the reload is done", async || {
        let reload = reloads(process).await;
        assert_ne!(reload["succeeded"], false, "{reload}");
        (reload["attempts"].as_u64() == Some(attempt)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reloads_under_load_fail_no_call_and_lose_no_session() {
    let stays = peers::stateful().start().await.unwrap();
    let (one, two) = (peers::slow().start().await.unwrap(), peers::slow().start().await.unwrap());
    let comes = peers::slow().start().await.unwrap();
    let patient = peers::stateful().start().await.unwrap();
    // One stays, one changes each time, one comes and goes, and one gets other timeouts only.
    let variant = |backends: &[(&str, String)], timeout: &str| {
        let (stays, patient) = (("a", stays.url()), ("d", patient.url()));
        Gateway::before(&[&[stays, patient], backends].concat()).with(&format!(
            "operational: {{reload: {{watchFile: false}}, timeouts: {{perWorkload: {{d: {timeout}}}}}}}"
        ))
    };
    let variants = [
        variant(&[("b", one.url())], "20s"),
        variant(&[("b", two.url()), ("c", comes.url())], "25s"),
    ];
    let process = serve(&variants[0]).await;
    let unused = process.descriptors().unwrap();
    let client = client_of(&process.url());
    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut working = JoinSet::new();
    for _ in 0..SESSIONS {
        let (client, stop, calls) = (Arc::clone(&client), Arc::clone(&stop), Arc::clone(&calls));
        working.spawn(async move {
            let session = session(&client).await;
            let mut count = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                count += 1;
                work(&client, &session, count).await;
                calls.fetch_add(3, Ordering::Relaxed);
            }
        });
    }
    // Warm, so that what is kept once is not taken for growth.
    for attempt in 1..=10 {
        reload(&process, &variants[attempt as usize % 2], attempt).await;
    }
    let before = process.memory().unwrap();
    for attempt in 11..=10 + RELOADS {
        reload(&process, &variants[attempt as usize % 2], attempt).await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(worked) = working.join_next().await {
        worked.unwrap();
    }
    let growth = process.memory().unwrap().saturating_sub(before);
    println!(
        "{RELOADS} reloads, {} calls in {SESSIONS} sessions, grown by {} KiB",
        calls.load(Ordering::Relaxed),
        growth >> 10
    );
    assert!(growth < MOST_GROWTH, "grown by {} KiB", growth >> 10);
    // The last calls on what was retired end with the drain at the latest.
    for retired in [&two, &comes] {
        eventually("no session is left behind", async || {
            retired.sessions().is_empty().then_some(())
        })
        .await;
    }
    // Their connections are closed when nobody looks after their calls any more. What may stay is
    // each session's own, and those that both workers have to the four backends.
    eventually("no connection is left behind", async || {
        (process.descriptors().unwrap() <= unused + SESSIONS * 9).then_some(())
    })
    .await;
    for used in [&one, &patient] {
        // Those that clients have, one that watches, and one more that is on its way.
        eventually("no session is left behind where there are some", async || {
            (used.sessions().len() <= SESSIONS + 2).then_some(())
        })
        .await;
    }
}

/// Counts on those that stay, and calls the one that changes.
async fn work(client: &Arc<Backend>, session: &Session, count: u64) {
    for (tool, said) in [
        ("a_count", format!(r#""text":"{count}""#)),
        ("d_count", format!(r#""text":"{count}""#)),
        ("b_slow", "done".to_owned()),
    ] {
        let answer = call(client, session, tool, r#"{"delay_ms":5}"#).await.unwrap();
        let text = String::from_utf8_lossy(answer.text()).into_owned();
        assert!(text.contains(&said), "{tool} {count}: {text}");
    }
}
