//! What a backend lists to one session is shown to that session by every replica.

use tokio::time::{Duration, Instant, sleep, timeout};
use vmcp_testkit::{
    CHILD,
    client::{Client, Response},
    cluster::Cluster,
    gateway::{Gateway, eventually},
    peers,
    raw::Running,
    redis::RedisServer,
};

use super::{over, replicated};

const PLAIN: [&str; 2] = ["a_unlock", "a_lock"];
const UNLOCKED: [&str; 3] = ["a_unlock", "a_lock", "a_secret"];

/// Three replicas before a backend, `a`, that unlocks things.
struct Three {
    backend: Running,
    cluster: Cluster,
    redis: RedisServer,
}

async fn three(keys: &str, sections: &str) -> Three {
    let (backend, redis) =
        (peers::unlocking().0.start().await.unwrap(), RedisServer::start().await.unwrap());
    let gateway = Gateway::before(&[("a", backend.url())]).with(sections);
    let cluster = replicated(3, &over(gateway, &redis.address(), keys)).await;
    Three { backend, cluster, redis }
}

async fn tools(client: &Client) -> Vec<String> {
    client.request("1", "tools/list", "{}").await.unwrap().keys("tools", "name").unwrap()
}

async fn text(client: &Client, tool: &str) -> String {
    client.call("2", tool, "{}").await.unwrap().text().unwrap()
}

/// The next notification, long waited for.
async fn next(stream: &mut Response) -> String {
    let message = timeout(Duration::from_secs(30), stream.message()).await;
    message.expect("a notification").unwrap().unwrap().method().unwrap()
}

async fn until(client: &Client, expected: &[&str]) {
    let what = format!("the tools are {expected:?}");
    eventually(&what, async || (tools(client).await == expected).then_some(())).await;
}

#[tokio::test]
async fn what_is_unlocked_on_one_replica_is_shown_on_all() {
    let mut three = three("", "").await;
    let first = Client::connect(&three.cluster.url_of(0)).await.unwrap();
    let [second, third] = [1, 2].map(|replica| first.at(&three.cluster.url_of(replica)));
    let other = Client::connect(&three.cluster.url_of(1)).await.unwrap();
    // It is live on the second, on which its client listens, and unknown to the third.
    assert_eq!(tools(&second).await, PLAIN);
    let mut get = second.listen(None).await.unwrap();
    assert_eq!(text(&first, "a_unlock").await, "done");
    assert_eq!(tools(&first).await, UNLOCKED);
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    assert_eq!(tools(&second).await, UNLOCKED);
    let opened = three.backend.counters().initializes();
    assert_eq!(tools(&third).await, UNLOCKED, "from the record, at once");
    for client in [&first, &second, &third] {
        assert_eq!(text(client, "a_secret").await, "the secret");
    }
    assert_eq!(tools(&other).await, PLAIN);

    // Nobody is left who has read it.
    for replica in 0..3 {
        three.cluster.kill(replica).await.unwrap();
    }
    for replica in 0..3 {
        three.cluster.restart(replica).await.unwrap();
    }
    let [first, second, third] = [0, 1, 2].map(|replica| first.at(&three.cluster.url_of(replica)));
    assert_eq!(tools(&first).await, UNLOCKED);
    assert_eq!(text(&second, "a_secret").await, "the secret");
    // Each of those that have just started has one session to watch the backend with.
    assert!(three.backend.counters().initializes() <= opened + 6);

    let mut get = third.listen(None).await.unwrap();
    assert_eq!(text(&first, "a_lock").await, "done");
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    for client in [&first, &second, &third] {
        until(client, &PLAIN).await;
    }
}

/// What a record is made of lives as long as it, though nothing but other calls is heard of it.
#[tokio::test]
async fn what_is_unlocked_is_kept_as_long_as_its_session() {
    let mut three = three("", "sessions: {ttl: 2s}").await;
    let client = Client::connect(&three.cluster.url_of(0)).await.unwrap();
    assert_eq!(text(&client, "a_unlock").await, "done");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(7) {
        assert_eq!(text(&client, "a_secret").await, "the secret");
        sleep(Duration::from_millis(200)).await;
    }
    for replica in 0..3 {
        three.cluster.kill(replica).await.unwrap();
    }
    three.cluster.restart(1).await.unwrap();
    let client = client.at(&three.cluster.url_of(1));
    assert_eq!(tools(&client).await, UNLOCKED);
    assert_eq!(text(&client, "a_secret").await, "the secret");
    // Nothing that a backend has said to one session is readable.
    let names = three.redis.say("KEYS *").await.unwrap();
    for name in names.lines() {
        let held = three.redis.say(&format!("DUMP {name}")).await.unwrap();
        assert!(!held.contains("a_secret") && !held.contains("\"secret\""), "{name}");
    }
}

/// A program belongs to one replica. The others show what it has unlocked while it lives; the one
/// that starts it anew finds that it is gone.
#[tokio::test]
async fn what_a_program_has_unlocked_is_gone_with_it() {
    let redis = RedisServer::start().await.unwrap();
    let gateway =
        Gateway::before(&[]).backend(&format!("name: kid, command: python3, args: ['{CHILD}']"));
    let mut cluster = replicated(2, &over(gateway, &redis.address(), "")).await;
    let first = Client::connect(&cluster.url_of(0)).await.unwrap();
    assert_eq!(text(&first, "kid_change").await, "changed");
    let has = async |client: &Client| tools(client).await.contains(&"kid_extra".to_owned());
    eventually("it is listed", async || has(&first).await.then_some(())).await;
    let second = first.at(&cluster.url_of(1));
    assert!(has(&second).await, "it is shown what it was shown");
    cluster.kill(0).await.unwrap();
    // The replica counts as alive for a while.
    let replaced = async {
        while second.call("4", "kid_count", "{}").await.unwrap().text().is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(60), replaced).await.expect("the process is replaced");
    eventually("it is gone", async || (!has(&second).await).then_some(())).await;
}
