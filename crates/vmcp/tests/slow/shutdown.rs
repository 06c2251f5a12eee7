//! SIGTERM: nothing that was begun is lost, and the end comes soon.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use http::StatusCode;
use rustix::process::Signal;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::{Duration, Instant},
};
use vmcp_testkit::{
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    modern_client::ModernClient,
    peers,
    process::Process,
    raw::Running,
    redis::RedisServer,
};

use crate::{connect, serve};

/// Time enough for what ends by itself, and less than what an end takes that waits for something in vain.
const SOON: Duration = Duration::from_secs(25);
/// So that nothing is cut for want of time.
const LONG_DRAIN: &str = "sessions: {drainTimeout: 50s}";

async fn fixture(sections: &str) -> (Running, Process) {
    let backend = peers::stateful().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())]).with(sections)).await;
    (backend, process)
}

/// Calls of 2 s, half of them on a stream, from a session each.
fn begin_calls(clients: &[Client]) -> JoinSet<anyhow::Result<String>> {
    let mut calls = JoinSet::new();
    for (number, client) in clients.iter().cloned().enumerate() {
        let meta = if number % 2 == 0 { "" } else { r#","_meta":{"progressToken":1}"# };
        let params = format!(r#"{{"name":"a_slow","arguments":{{"delay_ms":2000}}{meta}}}"#);
        calls.spawn(async move { client.request("1", "tools/call", &params).await?.text() });
    }
    calls
}

async fn under_way(backend: &Running, calls: u64) {
    eventually("the calls are under way", async || {
        (backend.counters().calls("slow") == calls).then_some(())
    })
    .await;
}

#[tokio::test]
async fn calls_under_way_are_answered_and_everything_is_given_back() {
    let (backend, mut process) = fixture(LONG_DRAIN).await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(connect(&process).await);
    }
    let mut get = clients[0].listen(None).await.unwrap();
    let mut calls = begin_calls(&clients);
    under_way(&backend, 10).await;
    let (sessions, deleted) = (backend.sessions().len() as u64, backend.counters().deletes());
    let began = Instant::now();
    process.signal(Signal::TERM).unwrap();
    // Until it no longer listens, it says that it is not ready.
    let ready = process.url_of("/readyz");
    eventually("it is not ready", async || match fetch(&ready).await {
        Ok((StatusCode::OK, _)) => None,
        Ok((status, _)) => {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            Some(())
        }
        Err(_) => Some(()),
    })
    .await;
    while let Some(call) = calls.join_next().await {
        assert_eq!(call.unwrap().unwrap(), "done");
    }
    while get.event().await.unwrap().is_some() {}
    assert!(process.wait().await.unwrap().success(), "{}", process.log());
    let took = began.elapsed();
    assert!((1500..25_000).contains(&took.as_millis()), "{took:?}");
    assert_eq!(
        backend.counters().deletes() - deleted,
        sessions,
        "every backend session is given back"
    );
    assert_eq!(backend.counters().calls("slow"), 10);
}

#[tokio::test]
async fn readiness_ends_before_the_listening_does() {
    let (backend, process) = fixture("").await;
    let clients = [connect(&process).await];
    let mut calls = begin_calls(&clients);
    under_way(&backend, 1).await;
    process.signal(Signal::TERM).unwrap();
    let ready = process.url_of("/readyz");
    let status = eventually("it says that it is not ready", async || match fetch(&ready).await {
        Ok((StatusCode::OK, _)) => None,
        Ok((status, _)) => Some(status),
        Err(error) => panic!("a probe could not connect: {error:#}"),
    })
    .await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(calls.join_next().await.unwrap().unwrap().unwrap(), "done");
}

/// A call under way that needs its client's answer gets it, long after new work is refused.
#[tokio::test]
async fn a_question_can_be_answered_while_everything_ends() {
    let backend = peers::asking().start().await.unwrap();
    let mut process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    let mut stream = client.open_call("1", "a_ask_form", "{}").await.unwrap();
    let question = stream.message().await.unwrap().unwrap();
    process.signal(Signal::TERM).unwrap();
    eventually("new calls are refused", async || {
        let mut refused = client.open_call("2", "a_log", "{}").await.unwrap();
        let status = refused.status();
        refused.answer("2").await.unwrap();
        (status == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    assert_eq!(client.answer(&question, r#"{"action":"accept"}"#).await.unwrap(), 202);
    let answer = stream.answer("1").await.unwrap();
    assert!(answer.result().unwrap().contains("accept"), "{answer:?}");
    assert!(process.wait().await.unwrap().success(), "{}", process.log());
}

/// A proxy keeps connections for requests to come, and may not send again what it has sent on one. Where other
/// replicas serve the same sessions, it finds them if nobody listens here.
#[tokio::test]
async fn what_a_proxy_keeps_is_closed_before_calls_have_ended() {
    let redis = RedisServer::start().await.unwrap();
    let stored = format!(
        "{LONG_DRAIN}\nsessionStorage: {{provider: redis, address: '{}'}}",
        redis.address()
    );
    for (sections, has_others) in [(LONG_DRAIN, false), (&*stored, true)] {
        let (backend, mut process) = fixture(sections).await;
        let client = connect(&process).await;
        let mut calls = JoinSet::new();
        calls
            .spawn(async move { client.call("1", "a_slow", r#"{"delay_ms":8000}"#).await?.text() });
        under_way(&backend, 1).await;
        let address = ("127.0.0.1", process.port());
        let mut kept = TcpStream::connect(address).await.unwrap();
        kept.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 1024];
        assert!(kept.read(&mut answer).await.unwrap() > 0);
        process.signal(Signal::TERM).unwrap();
        assert_eq!(kept.read(&mut answer).await.unwrap(), 0, "it is closed");
        if has_others {
            eventually("nobody listens", async || {
                TcpStream::connect(address).await.is_err().then_some(())
            })
            .await;
        } else {
            TcpStream::connect(address).await.unwrap();
        }
        assert!(calls.try_join_next().is_none(), "nothing of this waits for calls");
        assert_eq!(calls.join_next().await.unwrap().unwrap().unwrap(), "done");
        assert!(process.wait().await.unwrap().success(), "{}", process.log());
    }
}

/// Calls again and again until vmcp no longer takes a call, and counts the answers.
async fn call_until_refused(client: Client, answered: Arc<AtomicU64>) {
    for id in 0_u64.. {
        let answer = client.call(&id.to_string(), "a_count", "{}").await;
        if !answer.is_ok_and(|answer| answer.result().is_ok()) {
            return;
        }
        answered.fetch_add(1, Relaxed);
    }
}

/// Clients that never stop calling: whatever ran was answered, whatever was refused did not run.
#[tokio::test]
async fn under_load_no_call_is_cut() {
    let (backend, mut process) = fixture(LONG_DRAIN).await;
    let answered = Arc::new(AtomicU64::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let client = connect(&process).await;
        let answered = Arc::clone(&answered);
        callers.spawn(call_until_refused(client, answered));
    }
    eventually("there is load", async || (answered.load(Relaxed) > 500).then_some(())).await;
    let began = Instant::now();
    process.signal(Signal::TERM).unwrap();
    assert!(process.wait().await.unwrap().success(), "{}", process.log());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    callers.join_all().await;
    assert_eq!(backend.counters().calls("count"), answered.load(Relaxed));
    assert!(backend.sessions().is_empty(), "every backend session is given back");
}

#[tokio::test]
async fn calls_that_take_too_long_are_cut_with_a_clear_error() {
    let (backend, mut process) = fixture("sessions: {drainTimeout: 1s}").await;
    let client = connect(&process).await;
    let stream = r#"{"name":"a_slow","arguments":{"delay_ms":30000},"_meta":{"progressToken":1}}"#;
    let calls = [r#"{"name":"a_slow","arguments":{"delay_ms":30000}}"#, stream];
    let mut cut = JoinSet::new();
    for (id, params) in calls.into_iter().enumerate() {
        let (client, id) = (client.clone(), id.to_string());
        cut.spawn(async move {
            client.request(&id, "tools/call", params).await.unwrap().error().unwrap().to_owned()
        });
    }
    // A client without sessions is told, too, whether its answer has begun or not.
    let plain = ModernClient::new(&process.url());
    for modern in [plain.clone().meta("progressToken", json!(1)), plain] {
        cut.spawn(async move {
            let arguments = json!({"delay_ms": 30_000});
            let answered = modern.call("a_slow", arguments).await.unwrap();
            answered.error().unwrap().to_string()
        });
    }
    under_way(&backend, 4).await;
    let began = Instant::now();
    process.signal(Signal::TERM).unwrap();
    while let Some(answer) = cut.join_next().await {
        let answer = answer.unwrap();
        assert!(answer.contains("shutting down"), "{answer:?}");
    }
    assert!(process.wait().await.unwrap().success(), "{}", process.log());
    let took = began.elapsed();
    assert!((900..20_000).contains(&took.as_millis()), "{took:?}");
    assert!(backend.sessions().is_empty(), "every backend session is given back");
    // Sessions of clients end with theirs; those that are kept for others need not.
    assert!(backend.counters().requests("notifications/cancelled") >= 2);
}

/// A backend that does not even answer DELETE does not keep the process.
#[tokio::test]
async fn a_dead_backend_does_not_hold_up_the_end() {
    let (backend, mut process) = fixture("sessions: {drainTimeout: 1s}").await;
    let hanging = peers::hanging_at_initialize().start().await.unwrap();
    let other = serve(&Gateway::before(&[("a", backend.url()), ("hang", hanging.url())])).await;
    let client = connect(&process).await;
    client.call("1", "a_count", "{}").await.unwrap().result().unwrap();
    drop(backend);
    let began = Instant::now();
    process.signal(Signal::TERM).unwrap();
    assert!(process.wait().await.unwrap().success());
    assert!(other.terminate().await.unwrap().success());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}
