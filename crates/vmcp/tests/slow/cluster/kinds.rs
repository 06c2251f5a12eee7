//! What a backend offers to a kind of client only is offered to it by every replica.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use tokio::time::{Duration, Instant, sleep, timeout};
use vmcp_testkit::{
    client::Client,
    gateway::{Gateway, eventually},
    raw::{Answer, Call, RawServer, Running, handler},
    redis::RedisServer,
};

use super::{over, replicated};

const SHOWN: [&str; 2] = ["a_plain", "a_sampler"];

/// How long everybody's list takes once it is slow, and that of clients that can be asked for samples.
const SLOW: Duration = Duration::from_millis(500);
const SLOWER: Duration = Duration::from_secs(2);

/// What the server does from now on.
#[derive(Debug, Default)]
struct Knobs {
    slow: AtomicBool,
    /// There is one tool more for those who can be asked.
    more: AtomicBool,
}

/// A server that shows more to clients that can be asked for samples.
async fn telling_apart() -> (Running, Arc<Knobs>) {
    let tool = |name: &str| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
    let knobs: Arc<Knobs> = Arc::default();
    let of_server = Arc::clone(&knobs);
    let list = handler(move |call: Call| {
        let knobs = Arc::clone(&of_server);
        async move {
            let can = String::from_utf8_lossy(call.session.initialize()).contains("sampling");
            if knobs.slow.load(Relaxed) {
                sleep(if can { SLOWER } else { SLOW }).await;
            }
            let mut tools = vec![tool("plain")];
            tools.extend(can.then(|| tool("sampler")));
            tools.extend((can && knobs.more.load(Relaxed)).then(|| tool("more")));
            Answer::from(format!(r#"{{"tools":[{}]}}"#, tools.join(",")))
        }
    });
    let server = RawServer::builder()
        .tool(&tool("plain"), Answer::text("here"))
        .tool(&tool("sampler"), Answer::text("here"))
        .script("tools/list", list);
    (server.start().await.unwrap(), knobs)
}

async fn tools(client: &Client) -> Vec<String> {
    client.request("1", "tools/list", "{}").await.unwrap().keys("tools", "name").unwrap()
}

/// A replica that takes its first session of a kind over knows what everybody is offered before it
/// knows what this kind is.
#[tokio::test]
async fn a_replica_that_has_just_started_takes_nothing_from_a_kind_of_client() {
    let (backend, knobs) = telling_apart().await;
    let redis = RedisServer::start().await.unwrap();
    let gateway = over(Gateway::before(&[("a", backend.url())]), &redis.address(), "");
    let mut cluster = replicated(2, &gateway).await;
    let mut first = Client::new(&cluster.url_of(0));
    first.initialize_as("2025-06-18", r#"{"sampling":{}}"#).await.unwrap().result().unwrap();
    eventually("it is shown", async || (tools(&first).await == SHOWN).then_some(())).await;
    knobs.slow.store(true, Relaxed);
    cluster.restart(1).await.unwrap();
    let second = first.at(&cluster.url_of(1));
    let mut get = second.listen(None).await.unwrap();
    let end = Instant::now() + SLOW + SLOWER + Duration::from_secs(1);
    while Instant::now() < end {
        assert_eq!(tools(&second).await, SHOWN);
        second.call("2", "a_sampler", "{}").await.unwrap().text().unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    let told = timeout(Duration::from_millis(1), get.message()).await;
    assert!(told.is_err(), "nothing has changed: {told:?}");

    knobs.slow.store(false, Relaxed);
    knobs.more.store(true, Relaxed);
    backend.notify_all("notifications/tools/list_changed", "{}").await;
    let shown = ["a_plain", "a_sampler", "a_more"];
    eventually("what is new", async || (tools(&second).await == shown).then_some(())).await;
}
