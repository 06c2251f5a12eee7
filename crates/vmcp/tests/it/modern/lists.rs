//! Lists: what they cost backends, for how long they may be kept, and what is said of backends that are
//! missing.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use vmcp_testkit::{
    gateway::{Gateway, eventually},
    modern::{self, Running},
    modern_client::ModernClient,
    process::free_port,
    raw::{Answer, Kind},
};

use super::{Clients, ERAS, Peers, modern_client, modern_peer, tool};
use crate::{connect, serve};

const LISTS: [&str; 4] =
    ["tools/list", "resources/list", "resources/templates/list", "prompts/list"];

async fn result(client: &ModernClient, method: &str) -> Value {
    client.request(method, json!({})).await.unwrap().result().unwrap()
}

/// Everything that a backend was asked for the sake of lists.
fn asked(peer: &Running) -> u64 {
    let discover = peer.counters().requests("server/discover");
    discover + LISTS.iter().map(|method| peer.counters().requests(method)).sum::<u64>()
}

/// However many lists are shown to however many clients, backends are asked once for each kind of client.
#[tokio::test]
async fn lists_that_are_fresh_cost_backends_nothing() {
    let peers = Peers::start().await;
    let process = serve(&peers.gateway()).await;
    let clients = Clients::of(&process).await;
    for era in ERAS {
        clients.ask(era, "tools/list", "{}").await.result().unwrap();
    }
    eventually("both sides are watched", async || (asked(&peers.both) >= 14).then_some(())).await;
    let of_old = || LISTS.iter().map(|method| peers.old.counters().requests(method)).sum::<u64>();
    let before =
        (asked(&peers.new), asked(&peers.both), of_old(), peers.old.counters().initializes());
    for _ in 0..10 {
        let (modern, legacy) = (modern_client(&process), connect(&process).await);
        for method in LISTS {
            modern.request(method, json!({})).await.unwrap().result().unwrap();
            legacy.request("1", method, "{}").await.unwrap().result().unwrap();
        }
        modern.discover().await.unwrap().result().unwrap();
    }
    let after =
        (asked(&peers.new), asked(&peers.both), of_old(), peers.old.counters().initializes());
    assert_eq!(before, after);
}

/// The shortest time of all, and private if any is.
#[tokio::test]
async fn lists_may_be_kept_as_long_as_every_backend_says() {
    let (a, b) = (modern_peer("a").start().await.unwrap(), modern_peer("b").start().await.unwrap());
    b.set_cache("tools/list", 5_000, "private");
    b.set_cache("prompts/list", 120_000, "public");
    b.set_cache("resources/read", 7_000, "private");
    let process = serve(&Gateway::before(&[("a", a.url()), ("b", b.url())])).await;
    let client = modern_client(&process);
    for (method, longest, scope) in [
        ("tools/list", 5_000, "private"),
        ("prompts/list", 60_000, "public"),
        ("resources/list", 60_000, "public"),
        ("resources/templates/list", 60_000, "public"),
        ("server/discover", 5_000, "private"),
    ] {
        let kept = result(&client, method).await;
        assert_eq!(kept["cacheScope"], scope, "{method}: {kept}");
        let ttl = kept["ttlMs"].as_u64().unwrap();
        assert!(ttl <= longest && ttl > longest / 2, "{method}: {kept}");
        let later = result(&client, method).await["ttlMs"].as_u64().unwrap();
        assert!(later <= ttl, "it grows old: {ttl}, then {later}");
    }
    // What is read is its own server's to say.
    for (uri, ttl, scope) in [("a://one", 60_000, "public"), ("b://one", 7_000, "private")] {
        let read = client.read(uri).await.unwrap().result().unwrap();
        assert_eq!((&read["ttlMs"], &read["cacheScope"]), (&json!(ttl), &json!(scope)));
    }
    // A legacy backend says nothing, so nothing may be kept that it has a part in.
    let old = super::legacy_peer("old").start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", a.url()), ("old", old.url())])).await;
    for method in LISTS {
        let kept = result(&modern_client(&process), method).await;
        assert_eq!((&kept["ttlMs"], &kept["cacheScope"]), (&json!(0), &json!("private")));
    }
}

/// What has changed without a word is found when the time is over, and not sooner.
#[tokio::test]
async fn lists_are_read_again_when_their_time_is_over() {
    let peer = modern_peer("a").cache("", 1_500, "public").start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let client = modern_client(&process);
    let count = async || result(&client, "tools/list").await["tools"].as_array().unwrap().len();
    assert_eq!(count().await, 2);
    let (before, began) = (asked(&peer), Instant::now());
    peer.put(Kind::Tools, &tool("more"), modern::fixed(modern::text("more")));
    let (shown, asked_since) = (count().await, asked(&peer) - before);
    // On a machine that is very busy its time may be over already.
    if began.elapsed() < Duration::from_millis(700) {
        assert_eq!((shown, asked_since), (2, 0), "it is fresh");
    }
    eventually("it is read again", async || (count().await == 3).then_some(())).await;
    let asked = asked(&peer) - before;
    assert!(asked <= 10, "it was read again and again: {asked}");
    let ttl = result(&client, "tools/list").await["ttlMs"].as_u64().unwrap();
    assert!(ttl <= 1_500);
}

/// A server that takes connections and never answers, for now.
async fn hanging(name: &str) -> Running {
    let peer = modern_peer(name).start().await.unwrap();
    peer.next("*", &Answer::Hang, 10_000);
    peer
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let peer = modern_peer("a").start().await.unwrap();
    let dead = free_port().unwrap();
    let dead_url = format!("http://127.0.0.1:{dead}/mcp");
    let process = serve(&Gateway::before(&[("a", peer.url()), ("dead", dead_url)])).await;
    let client = modern_client(&process);
    for method in LISTS.iter().chain(&["server/discover"]) {
        let shown = result(&client, method).await;
        assert_eq!(shown["_meta"]["vmcp/missing"], json!(["dead"]), "{method}: {shown}");
        assert_eq!(shown["ttlMs"], 0, "what is not whole is not to be kept");
    }
    assert_eq!(
        client.call("a_echo", json!({})).await.unwrap().result().unwrap()["isError"],
        Value::Null
    );
    let mut listening = client.listen(json!({"toolsListChanged": true})).await.unwrap();
    let revived = modern_peer("dead").port(dead).start().await.unwrap();
    listening.next().await.unwrap();
    let shown = result(&client, "tools/list").await;
    assert_eq!(shown["_meta"]["vmcp/missing"], Value::Null, "{shown}");
    assert_eq!(shown["tools"].as_array().unwrap().len(), 4);
    assert!(shown["ttlMs"].as_u64().unwrap() > 0, "{shown}");
    // It goes again: what it offered last stays, and nobody is told that it is gone but by calls.
    drop(revived);
    let shown = result(&client, "tools/list").await;
    assert_eq!(shown["tools"].as_array().unwrap().len(), 4);
    let gone = client.call("dead_echo", json!({})).await.unwrap().error().unwrap();
    assert_eq!((&gone["code"], &gone["data"]["backend"]), (&json!(-32603), &json!("dead")));
}

/// One that hangs is waited for once, by those who ask for lists, and by nobody who calls another.
#[tokio::test]
async fn a_backend_that_hangs_delays_a_list_once() {
    const WAIT: Duration = Duration::from_secs(3);
    let (peer, hanging) = (modern_peer("a").start().await.unwrap(), hanging("h").await);
    let gateway = Gateway::before(&[("a", peer.url()), ("h", hanging.url())])
        .with("sessions: {initializeWait: 3s}");
    let process = serve(&gateway).await;
    let client = modern_client(&process);
    let began = Instant::now();
    client.call("a_echo", json!({})).await.unwrap().result().unwrap();
    assert!(began.elapsed() < WAIT, "a call waits for its own backend only");
    let shown = result(&client, "tools/list").await;
    let waited = began.elapsed();
    assert!(waited > WAIT / 2, "{waited:?}");
    assert_eq!(shown["_meta"]["vmcp/missing"], json!(["h"]));
    let again = Instant::now();
    for method in LISTS.iter().chain(&["server/discover"]) {
        assert_eq!(result(&client, method).await["_meta"]["vmcp/missing"], json!(["h"]));
    }
    client.call("h_echo", json!({})).await.unwrap().error().unwrap();
    client.listen(json!({"toolsListChanged": true})).await.unwrap();
    assert!(again.elapsed() < WAIT, "nobody waits a second time: {:?}", again.elapsed());
}

/// With `partialFailureMode: fail` nothing is shown while anything is missing.
#[tokio::test]
async fn nothing_is_shown_where_the_whole_is_wanted() {
    let peer = modern_peer("a").start().await.unwrap();
    let dead = format!("http://127.0.0.1:{}/mcp", free_port().unwrap());
    let gateway = Gateway::before(&[("a", peer.url()), ("dead", dead)])
        .with("operational: {failureHandling: {partialFailureMode: fail}}");
    let process = serve(&gateway).await;
    let client = modern_client(&process);
    for method in LISTS.iter().chain(&["server/discover"]) {
        let refused = client.request(method, json!({})).await.unwrap();
        assert_eq!((refused.status().as_u16(), refused.error_code().unwrap()), (503, -32603));
        assert!(refused.headers().contains_key("retry-after"));
        assert!(refused.error().unwrap()["message"].as_str().unwrap().contains("dead"));
    }
}

/// What names nothing that is known is nobody's as long as not everything is known: it may be meant for
/// a backend that has not said yet what it has.
#[tokio::test]
async fn what_is_unknown_does_not_go_to_the_backend_that_answered_first() {
    let (peer, hanging) = (modern_peer("a").start().await.unwrap(), hanging("h").await);
    let gateway = Gateway::before(&[("a", peer.url()), ("h", hanging.url())])
        .with("sessions: {initializeWait: 100ms}");
    let process = serve(&gateway).await;
    let clients = Clients::of(&process).await;
    for era in ERAS {
        let read = clients.ask(era, "resources/read", r#"{"uri":"nobody://one"}"#).await;
        assert!(read.error_code().is_ok(), "{era:?}: {read:?}");
        let other = clients.ask(era, "no/such", "{}").await;
        assert_eq!(other.error_code().unwrap(), -32601, "{era:?}");
    }
    for method in ["resources/read", "no/such"] {
        assert_eq!(peer.counters().requests(method), 0, "{method} was not meant for it");
    }
}

/// A name that several have belongs to one of them, and not to whoever is known first.
#[tokio::test]
async fn a_contested_name_does_not_go_to_whoever_answered_first() {
    let (first, late) =
        (modern_peer("a").start().await.unwrap(), modern_peer("a").start().await.unwrap());
    let opening = late.clone();
    late.script(
        "tools/list",
        modern::handler(move |_| {
            let opening = opening.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                opening.unscript("tools/list");
                let tools = ["echo", "talk"].map(tool).join(",");
                modern::complete(&format!(r#""tools":[{tools}],"ttlMs":0,"cacheScope":"public""#))
            }
        }),
    );
    let backends = [("first", first.url()), ("late", late.url())];
    let process = serve(&Gateway::before(&backends).priority(&["late", "first"])).await;
    let client = modern_client(&process);
    client.call("echo", json!({})).await.unwrap().result().unwrap();
    client.read("a://one").await.unwrap().result().unwrap();
    let executions = |peer: &Running, name| peer.counters().executions(name);
    assert_eq!((executions(&first, "echo"), executions(&late, "echo")), (0, 1));
    assert_eq!((executions(&first, "a://one"), executions(&late, "a://one")), (0, 1));
}

/// Each set of capabilities makes vmcp ask every backend anew, so one client has not any number of them.
#[tokio::test]
async fn a_client_has_only_so_many_capabilities() {
    let peer = modern_peer("a").start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let known = modern_client(&process);
    known.discover().await.unwrap().result().unwrap();
    let mut refused = None;
    for number in 0..200 {
        let other = ModernClient::new(&process.url());
        let other = other.capabilities(json!({"experimental": {format!("x{number}"): {}}}));
        let answer = other.request("tools/list", json!({})).await.unwrap();
        if answer.error().is_ok() {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("there is a bound");
    assert!(matches!(refused.status().as_u16(), 429 | 503), "{refused:?}");
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refused.error_code().unwrap(), -32603);
    known.discover().await.unwrap().result().unwrap();
    known.call("a_echo", json!({})).await.unwrap().result().unwrap();
}
