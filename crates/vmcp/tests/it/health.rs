//! Backends that fail: how that is noticed, what it leads to, and how it ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;
use vmcp_testkit::{
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    peers,
    process::{Process, free_port},
    raw::{Answer, Call, Kind, RawServer, fixed, handler},
};

use crate::{connect, serve};

/// What `/status` says about a backend.
async fn backend(process: &Process, name: &str) -> Value {
    let (_, text) = fetch(&process.url_of("/status")).await.unwrap();
    let status: Value = serde_json::from_slice(&text).unwrap();
    let all = status["backends"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap().clone()
}

/// Waits until a backend is in some state, and says how long that took.
async fn becomes(process: &Process, name: &str, state: &str) -> Duration {
    let began = Instant::now();
    eventually(&format!("{name} becomes {state}"), async || {
        (backend(process, name).await["state"] == state).then_some(())
    })
    .await;
    began.elapsed()
}

fn failing(yaml: &str) -> String {
    format!("operational: {{failureHandling: {{{yaml}}}}}")
}

/// Tool `flaky`: every second call fails, until it is repaired.
fn flaky(broken: &Arc<AtomicBool>) -> RawServer {
    let (broken, calls) = (Arc::clone(broken), Arc::new(AtomicUsize::new(0)));
    let tool = r#"{"name":"flaky","inputSchema":{"type":"object"}}"#;
    RawServer::builder().offer(
        Kind::Tools,
        tool,
        handler(move |_call: Call| {
            let fails = broken.load(Relaxed) && calls.fetch_add(1, Relaxed) % 2 == 1;
            async move {
                let (status, content_type, body) = (502, None, "down".into());
                if fails {
                    Answer::Http { status, content_type, body }
                } else {
                    Answer::text("fine")
                }
            }
        }),
    )
}

/// Calls until the answer says that the backend is left alone.
async fn call_until_left_alone(client: &Client, most: usize) -> Option<usize> {
    for call in 0..most {
        let answer = client.call("1", "a_flaky", "{}").await.unwrap();
        if answer.error().is_ok_and(|error| error.contains("is left alone")) {
            return Some(call);
        }
    }
    None
}

#[tokio::test]
async fn a_backend_that_fails_half_of_its_calls_is_left_alone_and_comes_back() {
    let broken = Arc::new(AtomicBool::new(true));
    let (bad, good) =
        (flaky(&broken).start().await.unwrap(), peers::stateful().start().await.unwrap());
    let breaker = "circuitBreaker: {enabled: true, timeout: 10s}";
    let gateway = Gateway::before(&[("a", bad.url()), ("b", good.url())]).with(&failing(breaker));
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    // The fifth failure is that of the tenth call.
    assert_eq!(call_until_left_alone(&client, 30).await, Some(10));
    let sent = bad.counters().calls("flaky");
    assert_eq!(sent, 10);
    let status = backend(&process, "a").await;
    assert_eq!(status["state"], "unhealthy", "{status}");
    assert_eq!(status["breaker"]["state"], "open", "{status}");
    assert!(status["last_error"].as_str().unwrap().contains("502"), "{status}");
    for count in 1..=20 {
        let refused = client.call("1", "a_flaky", "{}").await.unwrap();
        let told = refused.error().unwrap();
        assert!(told.contains("its circuit breaker is open; tried again in"), "{told}");
        let other = client.call("2", "b_count", "{}").await.unwrap();
        assert_eq!(other.text().unwrap(), count.to_string(), "others are unharmed");
    }
    assert_eq!(bad.counters().calls("flaky"), sent, "nothing was sent");
    broken.store(false, Relaxed);
    becomes(&process, "a", "healthy").await;
    assert_eq!(backend(&process, "a").await["breaker"]["state"], "closed");
    assert_eq!(client.call("3", "a_flaky", "{}").await.unwrap().text().unwrap(), "fine");
    let log = process.logged("the backend is back").await;
    let alone = "left alone for a while: its circuit breaker is open";
    for (line, times) in [(alone, 1), ("again_in_seconds", 1), ("the backend is back", 1)] {
        assert_eq!(log.matches(line).count(), times, "{line}: {log}");
    }
}

#[tokio::test]
async fn the_threshold_and_the_time_are_as_configured() {
    let broken = Arc::new(AtomicBool::new(true));
    let bad = flaky(&broken).start().await.unwrap();
    let breaker = "circuitBreaker: {enabled: true, failureThreshold: 2, timeout: 1h}";
    let process = serve(&Gateway::before(&[("a", bad.url())]).with(&failing(breaker))).await;
    let client = connect(&process).await;
    assert_eq!(call_until_left_alone(&client, 30).await, Some(4));
    let refused = client.call("1", "a_flaky", "{}").await.unwrap();
    assert!(refused.error().unwrap().contains("tried again in 3600 s"), "{refused:?}");
}

#[tokio::test]
async fn a_reload_changes_how_failures_are_handled() {
    let broken = Arc::new(AtomicBool::new(true));
    let bad = flaky(&broken).start().await.unwrap();
    let gateway = Gateway::before(&[("a", bad.url())]);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    assert_eq!(call_until_left_alone(&client, 20).await, None);
    let breaker = "circuitBreaker: {enabled: true, failureThreshold: 2, timeout: 1h}";
    process.write_config(&gateway.clone().with(&failing(breaker)).yaml()).unwrap();
    eventually("there is a breaker", async || {
        backend(&process, "a").await["breaker"].is_object().then_some(())
    })
    .await;
    assert!(call_until_left_alone(&client, 20).await.is_some());
    process.write_config(&gateway.yaml()).unwrap();
    eventually("there is none", async || {
        backend(&process, "a").await["breaker"].is_null().then_some(())
    })
    .await;
    assert_eq!(call_until_left_alone(&client, 20).await, None);
}

#[tokio::test]
async fn a_backend_that_is_left_alone_is_so_after_a_reload() {
    let broken = Arc::new(AtomicBool::new(true));
    let bad = flaky(&broken).start().await.unwrap();
    let gateway = |timeout: &str| {
        Gateway::before(&[("a", bad.url())]).with(&format!(
            "operational:
  timeouts: {{perWorkload: {{a: {timeout}}}}}
  failureHandling: {{circuitBreaker: {{enabled: true, failureThreshold: 2, timeout: 1h}}}}"
        ))
    };
    let process = serve(&gateway("20s")).await;
    let client = connect(&process).await;
    assert!(call_until_left_alone(&client, 20).await.is_some());
    process.write_config(&gateway("25s").yaml()).unwrap();
    eventually("it is reloaded", async || process.log().contains(r#""changed":"a""#).then_some(()))
        .await;
    assert_eq!(call_until_left_alone(&client, 1).await, Some(0));
    let status = backend(&process, "a").await;
    assert_eq!(
        (&status["state"], &status["breaker"]["state"]),
        (&"unhealthy".into(), &"open".into()),
        "{status}"
    );
}

/// What watches a backend neither asks it anything meanwhile nor gives its session up.
#[tokio::test]
async fn a_backend_that_is_left_alone_keeps_its_watch_session() {
    let broken = Arc::new(AtomicBool::new(true));
    let bad = flaky(&broken).start().await.unwrap();
    let breaker = "circuitBreaker: {enabled: true, failureThreshold: 2, timeout: 2s}";
    let process = serve(&Gateway::before(&[("a", bad.url())]).with(&failing(breaker))).await;
    let client = connect(&process).await;
    assert!(call_until_left_alone(&client, 20).await.is_some());
    let watching = || -> Vec<String> {
        let sessions = bad.sessions().into_iter().filter(|one| one.listens());
        sessions.map(|one| one.id().to_owned()).collect()
    };
    let before = watching();
    assert_eq!(before.len(), 1);
    broken.store(false, Relaxed);
    let tool = r#"{"name":"more","inputSchema":{"type":"object"}}"#;
    bad.add(Kind::Tools, tool, fixed(Answer::text("more"))).await;
    eventually("the new tool is there", async || {
        let tools = client.request("2", "tools/list", "{}").await.unwrap();
        tools.keys("tools", "name").unwrap().contains(&"a_more".to_owned()).then_some(())
    })
    .await;
    assert_eq!(watching(), before);
}

#[tokio::test]
async fn a_check_may_take_as_long_as_configured() {
    for (checks, fails) in [
        ("healthCheckInterval: 2s, healthCheckTimeout: 100ms", true),
        ("healthCheckInterval: 2s", false),
    ] {
        let answered = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&answered);
        let slow = handler(move |_call: Call| {
            let answered = Arc::clone(&counting);
            async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                answered.fetch_add(1, Relaxed);
                Answer::from("{}")
            }
        });
        let idle = peers::slow().script("ping", slow).start().await.unwrap();
        let settings = failing(&format!("unhealthyThreshold: 1, {checks}"));
        let process = serve(&Gateway::before(&[("a", idle.url())]).with(&settings)).await;
        if fails {
            process.logged("the backend is unhealthy").await;
            continue;
        }
        // The second check begins when what came of the first is known.
        eventually("it is checked", async || (answered.load(Relaxed) > 1).then_some(())).await;
        let log = process.log();
        assert!(!log.contains("the backend is unhealthy"), "{checks}: {log}");
    }
}

#[tokio::test]
async fn without_a_breaker_every_call_is_sent() {
    let broken = Arc::new(AtomicBool::new(true));
    let bad = flaky(&broken).start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", bad.url())])).await;
    let client = connect(&process).await;
    assert_eq!(call_until_left_alone(&client, 30).await, None);
    assert_eq!(bad.counters().calls("flaky"), 30);
    let status = backend(&process, "a").await;
    assert_eq!(status["breaker"], Value::Null);
    assert_eq!(status["state"], "degraded", "{status}");
}

/// A call that takes too long is dropped above the backend; the breaker hears of it all the same.
#[tokio::test]
async fn calls_that_are_never_answered_open_the_breaker() {
    let hanging = peers::hanging_at_calls().start().await.unwrap();
    let settings = "operational:
  timeouts: {default: 200ms}
  failureHandling: {circuitBreaker: {enabled: true, failureThreshold: 3, timeout: 1h}}";
    let process = serve(&Gateway::before(&[("a", hanging.url())]).with(settings)).await;
    let client = connect(&process).await;
    for _ in 0..3 {
        let late = client.call("1", "a_hang", "{}").await.unwrap();
        assert!(late.error().unwrap().contains("did not answer within"), "{late:?}");
    }
    let refused = client.call("1", "a_hang", "{}").await.unwrap();
    assert!(refused.error().unwrap().contains("is left alone"), "{refused:?}");
}

/// Such answers begin well, in a body or on a stream, and are counted as failed all the same.
#[tokio::test]
async fn calls_whose_answers_break_off_open_the_breaker() {
    for (tool, said) in [("a_cut_off", "broke off"), ("a_close_after_event", "broke off")] {
        let dying = peers::dying().start().await.unwrap();
        let breaker = "circuitBreaker: {enabled: true, failureThreshold: 3, timeout: 1h}";
        let process = serve(&Gateway::before(&[("a", dying.url())]).with(&failing(breaker))).await;
        let client = connect(&process).await;
        for _ in 0..3 {
            let broken = client.call("1", tool, "{}").await.unwrap();
            assert!(broken.error().unwrap().contains(said), "{broken:?}");
        }
        let refused = client.call("1", tool, "{}").await.unwrap();
        assert!(refused.error().unwrap().contains("is left alone"), "{refused:?}");
        assert_eq!(backend(&process, "a").await["failures"], 3);
    }
}

#[tokio::test]
async fn a_dead_backend_that_nobody_uses_is_noticed() {
    let port = free_port().unwrap();
    let idle = peers::slow().port(port).start().await.unwrap();
    let checks = "healthCheckInterval: 400ms, healthCheckTimeout: 200ms, unhealthyThreshold: 2";
    let process = serve(&Gateway::before(&[("a", idle.url())]).with(&failing(checks))).await;
    becomes(&process, "a", "healthy").await;
    let pings = idle.counters().requests("ping");
    eventually("it is checked", async || (idle.counters().requests("ping") > pings).then_some(()))
        .await;
    // It takes what it is sent and says nothing.
    idle.script("ping", fixed(Answer::Hang));
    idle.script("initialize", fixed(Answer::Hang));
    becomes(&process, "a", "unhealthy").await;
    assert!(backend(&process, "a").await["consecutive_failures"].as_u64().unwrap() >= 2);
    drop(idle);
    let restarted =
        eventually("the port is free", async || peers::slow().port(port).start().await.ok());
    let _restarted = restarted.await;
    becomes(&process, "a", "healthy").await;
    let log = process.logged("the backend is back").await;
    assert_eq!(log.matches("the backend is unhealthy").count(), 1, "{log}");
    assert_eq!(log.matches("the backend is back").count(), 1, "{log}");
}

/// One client with other capabilities is another view, and no further check.
#[tokio::test]
async fn many_who_watch_a_backend_check_it_once() {
    let idle = peers::slow().start().await.unwrap();
    let checks = "healthCheckInterval: 500ms";
    let process = serve(&Gateway::before(&[("a", idle.url())]).with(&failing(checks))).await;
    for capabilities in [r#"{"roots":{}}"#, r#"{"sampling":{}}"#, r#"{"elicitation":{}}"#] {
        let mut client = Client::new(&process.url());
        client.initialize_as("2025-06-18", capabilities).await.unwrap();
    }
    let (before, began) = (idle.counters().requests("ping"), Instant::now());
    let pings = || idle.counters().requests("ping") - before;
    eventually("it is checked", async || (pings() > 4).then_some(())).await;
    // Each of four would check it once in an interval.
    let (pings, intervals) = (pings(), began.elapsed().as_millis() as u64 / 500);
    assert!(pings <= intervals + 2, "{pings} checks in {intervals} intervals");
}

#[tokio::test]
async fn one_failed_check_is_enough_if_configured() {
    for (threshold, state) in [(1, "unhealthy"), (1000, "unknown")] {
        let nowhere = format!("http://127.0.0.1:{}/mcp", free_port().unwrap());
        let checks = format!("unhealthyThreshold: {threshold}");
        let process = serve(&Gateway::before(&[("a", nowhere)]).with(&failing(&checks))).await;
        eventually("it has failed", async || {
            let status = backend(&process, "a").await;
            (status["consecutive_failures"].as_u64() > Some(0)).then(|| {
                assert_eq!(status["state"], state, "{status}");
                assert!(status["last_error"].as_str().unwrap().contains("cannot be reached"));
            })
        })
        .await;
    }
}

#[tokio::test]
async fn a_backend_that_refuses_its_credential_is_unauthenticated() {
    let refusal = Answer::Http { status: 401, content_type: None, body: "no".into() };
    let strict = peers::slow().script("initialize", fixed(refusal)).start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", strict.url())])).await;
    becomes(&process, "a", "unauthenticated").await;
    strict.unscript("initialize");
    becomes(&process, "a", "healthy").await;
}

#[tokio::test]
async fn with_fail_nobody_is_shown_a_part_and_sessions_live_on() {
    let port = free_port().unwrap();
    let comes_and_goes = peers::slow().port(port).start().await.unwrap();
    let stays = peers::stateful().start().await.unwrap();
    let settings = failing(
        "partialFailureMode: fail, healthCheckInterval: 400ms, healthCheckTimeout: 200ms, unhealthyThreshold: 2",
    );
    let gateway = Gateway::before(&[("a", comes_and_goes.url()), ("b", stays.url())]);
    let process = serve(&gateway.with(&settings)).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    let names = async || client.request("1", "tools/list", "{}").await.unwrap();
    assert_eq!(names().await.keys("tools", "name").unwrap(), ["a_slow", "b_slow", "b_count"]);
    let mut changed = async || {
        let told = get.message().await.unwrap().unwrap();
        assert_eq!(told.method().unwrap(), "notifications/tools/list_changed");
    };

    drop(comes_and_goes);
    changed().await;
    let refused = names().await;
    let why = refused.error().unwrap();
    assert!(why.contains("cannot be used: a;") && why.contains("best_effort"), "{why}");
    let answer = Client::new(&process.url()).open("1", "initialize", INITIALIZE).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(client.call("2", "b_count", "{}").await.unwrap().text().unwrap(), "1");

    let _back = peers::slow().port(port).start().await.unwrap();
    changed().await;
    assert_eq!(names().await.keys("tools", "name").unwrap(), ["a_slow", "b_slow", "b_count"]);
    connect(&process).await;
    assert_eq!(client.call("3", "b_count", "{}").await.unwrap().text().unwrap(), "2");
}

const INITIALIZE: &str =
    r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#;

#[tokio::test]
async fn with_fail_a_backend_that_has_never_come_is_missed() {
    let nowhere = format!("http://127.0.0.1:{}/mcp", free_port().unwrap());
    let stays = peers::stateful().start().await.unwrap();
    let gateway = Gateway::before(&[("a", nowhere), ("b", stays.url())])
        .with("sessions: {initializeWait: 300ms}");
    let lenient = serve(&gateway).await;
    connect(&lenient).await;
    let called = || stays.sessions().iter().filter(|one| !one.listens()).count();
    let before = called();
    let process = serve(&gateway.with(&failing("partialFailureMode: fail"))).await;
    let answer = Client::new(&process.url()).open("1", "initialize", INITIALIZE).await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(called(), before);
}

/// The backend comes back with another tool, which a session that was there all the time hears of.
#[tokio::test]
async fn recovery_is_seen_by_a_live_session() {
    let port = free_port().unwrap();
    let before = peers::slow().port(port).start().await.unwrap();
    let checks = "healthCheckInterval: 400ms, healthCheckTimeout: 200ms, unhealthyThreshold: 1";
    let gateway = Gateway::before(&[("a", before.url())]).with(&failing(checks));
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    drop(before);
    becomes(&process, "a", "unhealthy").await;
    let _after = peers::stateful().port(port).start().await.unwrap();
    let told = get.message().await.unwrap().unwrap();
    assert_eq!(told.method().unwrap(), "notifications/tools/list_changed");
    assert_eq!(client.call("1", "a_count", "{}").await.unwrap().text().unwrap(), "1");
}

#[tokio::test]
async fn the_summary_comes_as_often_as_configured_and_is_info_when_something_changed() {
    let nowhere = format!("http://127.0.0.1:{}/mcp", free_port().unwrap());
    let good = peers::slow().start().await.unwrap();
    let settings = "operational:
  logLevel: debug
  failureHandling: {statusReportingInterval: 200ms}";
    let gateway = Gateway::before(&[("a", good.url()), ("b", nowhere)]).with(settings);
    let process = serve(&gateway).await;
    eventually("both lines are there", async || {
        let log = process.log();
        let has = |level: &str, text: &str| {
            log.lines().any(|line| line.contains(level) && line.contains(text))
        };
        (has(r#""INFO""#, r#""backends":"a healthy, b unhealthy""#)
            && has(r#""DEBUG""#, "the backends are as they were"))
        .then_some(())
    })
    .await;
}
