//! What different kinds of clients are offered: the same, at once, until it is known to differ.

use std::{sync::Arc, time::Duration};

use vmcp_testkit::{
    CHILD,
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    modern_client::ModernClient,
    peers,
    process::Process,
    raw::{Answer, Call, Handler, RawServer, Running, fixed, handler},
};

use crate::serve;

const KINDS: [&str; 5] = [
    "{}",
    r#"{"roots":{"listChanged":true}}"#,
    r#"{"sampling":{},"roots":{}}"#,
    r#"{"elicitation":{}}"#,
    r#"{"sampling":{},"elicitation":{},"roots":{}}"#,
];

fn tool(name: &str) -> String {
    format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#)
}

async fn client(process: &Process, capabilities: &str) -> Client {
    let mut client = Client::new(&process.url());
    client.initialize_as("2025-06-18", capabilities).await.unwrap().result().unwrap();
    client
}

async fn tools(client: &Client) -> Vec<String> {
    client.request("1", "tools/list", "{}").await.unwrap().keys("tools", "name").unwrap()
}

/// Waits until the gateway has asked a backend what it offers.
async fn warm(process: &Process, tools_there: usize) {
    eventually("it is warm", async || {
        let client = client(process, "{}").await;
        (tools(&client).await.len() == tools_there).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_new_kind_of_client_is_shown_at_once_what_is_known() {
    let raw = RawServer::builder().tool(&tool("t"), Answer::text("here")).start().await.unwrap();
    let gateway = Gateway::before(&[("a", raw.url())]).with("sessions: {initializeWait: 200ms}");
    let process = serve(&gateway).await;
    warm(&process, 1).await;
    // From now on nobody gets a session.
    raw.script("initialize", fixed(Answer::Hang));
    for kind in KINDS {
        assert_eq!(tools(&client(&process, kind).await).await, ["a_t"], "{kind}");
    }
    let modern = ModernClient::new(&process.url());
    assert_eq!(modern.list("tools/list", "tools").await.unwrap().len(), 1);
}

/// A server that shows more to clients that can be asked for samples.
fn by_capability(delay: Duration) -> Handler {
    handler(move |call: Call| async move {
        tokio::time::sleep(delay).await;
        let can = String::from_utf8_lossy(call.session.initialize()).contains("sampling");
        let both = format!(r#"{{"tools":[{},{}]}}"#, tool("plain"), tool("sampler"));
        let one = format!(r#"{{"tools":[{}]}}"#, tool("plain"));
        Answer::from(if can { both } else { one })
    })
}

async fn telling_apart() -> Running {
    RawServer::builder()
        .tool(&tool("plain"), Answer::text("here"))
        .tool(&tool("sampler"), Answer::text("here"))
        .script("tools/list", by_capability(Duration::ZERO))
        .start()
        .await
        .unwrap()
}

#[tokio::test]
async fn what_a_server_shows_to_some_kinds_only_is_shown_to_those() {
    let raw = telling_apart().await;
    let gateway = Gateway::before(&[("a", raw.url())]).with("sessions: {offerMaxAge: 1h}");
    let process = serve(&gateway).await;
    warm(&process, 1).await;
    for round in 0..2 {
        for kind in KINDS {
            let can = kind.contains("sampling");
            let expected: &[&str] = if can { &["a_plain", "a_sampler"] } else { &["a_plain"] };
            let client = client(&process, kind).await;
            assert_eq!(tools(&client).await, expected, "{kind} {round}");
            if can {
                client.call("2", "a_sampler", "{}").await.unwrap().result().unwrap();
            }
        }
    }
    // One watches, one each of the four kinds that can do something was read; those that call have a
    // session.
    assert_eq!(raw.counters().requests("initialize"), 1 + 4 + 4, "a kind is read once");
    let watching = raw.sessions().iter().filter(|one| one.listens()).count();
    assert_eq!(watching, 1, "nobody watches for a kind of client");
}

#[tokio::test]
async fn what_does_not_answer_keeps_no_kind_from_what_others_show_to_it() {
    let raw = telling_apart().await;
    let hangs = RawServer::builder().tool(&tool("t"), Answer::text("here")).start().await.unwrap();
    hangs.script("tools/list", fixed(Answer::Hang));
    let gateway = Gateway::before(&[("a", raw.url()), ("b", hangs.url())]);
    let process = serve(&gateway.with("sessions: {initializeWait: 6s}")).await;
    let client = client(&process, r#"{"sampling":{}}"#).await;
    assert_eq!(tools(&client).await, ["a_plain", "a_sampler"]);
}

/// What was found again is no reason to look again.
#[tokio::test]
async fn kinds_are_not_read_over_and_over() {
    let raw = telling_apart().await;
    // By the time one kind has been read, what is known of the other is old.
    raw.script("tools/list", by_capability(Duration::from_millis(100)));
    let gateway = Gateway::before(&[("a", raw.url())]).with("sessions: {offerMaxAge: 50ms}");
    let process = serve(&gateway).await;
    warm(&process, 1).await;
    let one = client(&process, r#"{"sampling":{}}"#).await;
    let other = client(&process, r#"{"sampling":{},"roots":{}}"#).await;
    for client in [&one, &other] {
        assert_eq!(tools(client).await, ["a_plain", "a_sampler"]);
    }
    let before = raw.counters().initializes();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let more = raw.counters().initializes() - before;
    assert!(more <= 4, "read {more} times while nobody asked");
}

/// Expects of each kind of client, and again of another of each, that its first list has just what the
/// backend, `a`, shows to it.
async fn expect_each_kinds_own(process: &Process) {
    for round in 0..2 {
        for kind in KINDS {
            let can = kind.contains("sampling");
            let client = client(process, kind).await;
            let shown = tools(&client).await;
            assert_eq!(shown.contains(&"a_sampler".to_owned()), can, "{kind} {round}: {shown:?}");
            if can {
                client.call("2", "a_sampler", "{}").await.unwrap().result().unwrap();
            }
            assert_eq!(client.delete().await.unwrap(), 200);
        }
    }
}

/// How many sessions the backend has been opened.
async fn opened(process: &Process) -> u64 {
    let (_, body) = fetch(&process.url_of("/status")).await.unwrap();
    let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
    status["backends"][0]["sessions_opened"].as_u64().unwrap()
}

#[tokio::test]
async fn what_a_program_shows_to_some_kinds_only_is_shown_to_those() {
    let backend = format!("name: a, command: python3, args: ['{CHILD}', '--by-kind']");
    let gateway = Gateway::before(&[]).backend(&backend);
    // One that is read for one kind after the other is not started again because time passes.
    let gateway = gateway.with("sessions: {offerMaxAge: 1ms, initializeWait: 30s}");
    let process = serve(&gateway).await;
    expect_each_kinds_own(&process).await;
    // The watch's, one each for the four kinds that can do something, and for those that call.
    assert_eq!(opened(&process).await, 1 + 4 + 4, "a kind is read once");
}

#[tokio::test]
async fn what_a_server_over_sse_shows_to_some_kinds_only_is_shown_to_those() {
    let server = peers::by_kind_sse(0).await.unwrap();
    let backend = format!("name: a, url: '{}', transport: sse", server.url());
    let gateway = Gateway::before(&[]).backend(&backend).with("sessions: {initializeWait: 30s}");
    let process = serve(&gateway).await;
    expect_each_kinds_own(&process).await;
    eventually("only the watch is connected", async || (server.open() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_watch_can_do_nothing_that_nobody_stands_behind() {
    let raw = RawServer::builder().tool(&tool("t"), Answer::text("here")).start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", raw.url())])).await;
    for kind in KINDS {
        client(&process, kind).await;
    }
    let watches: Vec<_> = raw.sessions().into_iter().filter(|one| one.listens()).collect();
    for watch in watches {
        let said = String::from_utf8_lossy(watch.initialize()).into_owned();
        assert!(said.contains(r#""capabilities":{}"#), "{said}");
    }
}

/// Many servers say that they announce changes, and do not.
#[tokio::test]
async fn what_changes_without_a_word_is_seen_by_new_sessions() {
    for capabilities in [r#"{"tools":{"listChanged":true}}"#, r#"{"tools":{}}"#] {
        let raw = RawServer::builder()
            .capabilities(capabilities)
            .tool(&tool("t"), Answer::text("here"))
            .start()
            .await
            .unwrap();
        let gateway = Gateway::before(&[("a", raw.url())]).with("sessions: {offerMaxAge: 300ms}");
        let process = serve(&gateway).await;
        warm(&process, 1).await;
        let more = format!(r#"{{"tools":[{},{}]}}"#, tool("t"), tool("grown"));
        raw.script("tools/list", fixed(more));
        eventually("a new session sees it", async || {
            let client = client(&process, "{}").await;
            (tools(&client).await == ["a_t", "a_grown"]).then_some(())
        })
        .await;
    }
}

/// A server whose sessions go on listing what they listed first.
#[tokio::test]
async fn what_only_new_sessions_of_a_backend_list_is_seen_too() {
    let added = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = Arc::clone(&added);
    let lists = handler(move |call: Call| {
        let now = u64::from(seen.load(std::sync::atomic::Ordering::SeqCst)) + 1;
        let count = &call.session.count;
        let relaxed = std::sync::atomic::Ordering::SeqCst;
        let first =
            count.compare_exchange(0, now, relaxed, relaxed).map_or_else(|had| had, |_| now);
        let answer = match first {
            1 => format!(r#"{{"tools":[{}]}}"#, tool("t")),
            _ => format!(r#"{{"tools":[{},{}]}}"#, tool("t"), tool("grown")),
        };
        async move { Answer::from(answer) }
    });
    let raw = RawServer::builder()
        .tool(&tool("t"), Answer::text("here"))
        .script("tools/list", lists)
        .start()
        .await
        .unwrap();
    let gateway = Gateway::before(&[("a", raw.url())]).with("sessions: {offerMaxAge: 300ms}");
    let process = serve(&gateway).await;
    warm(&process, 1).await;
    added.store(true, std::sync::atomic::Ordering::SeqCst);
    // A session of its own lists it, which is told on that session.
    let one = client(&process, "{}").await;
    one.call("2", "a_t", "{}").await.unwrap().result().unwrap();
    let get = one.listen(None).await.unwrap();
    eventually("its own session is listened to, beside the watch", async || {
        (raw.sessions().iter().filter(|one| one.listens()).count() == 2).then_some(())
    })
    .await;
    raw.notify_all("notifications/tools/list_changed", "{}").await;
    eventually("a new session sees it", async || {
        let client = client(&process, "{}").await;
        (tools(&client).await == ["a_t", "a_grown"]).then_some(())
    })
    .await;
    drop(get);
}
