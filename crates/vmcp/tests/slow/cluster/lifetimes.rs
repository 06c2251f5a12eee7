//! How long sessions live, and who clears away what is left, when replicas come and go.

use http::StatusCode;
use tokio::time::{Duration, Instant, sleep};
use vmcp_testkit::{
    client::Client,
    cluster::{Caller, Relay, Silent},
    gateway::{Gateway, eventually},
    peers,
    redis::RedisServer,
};

use super::{COMMAND, of_each, over, replicated, watched};

/// A session that is used on one replica does not expire because another one has forgotten it.
#[tokio::test]
async fn use_on_any_replica_keeps_a_session() {
    let backend = peers::stateful().start().await.unwrap();
    let redis = RedisServer::start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("sessions: {ttl: 2s}");
    let cluster = replicated(3, &over(gateway, &redis.address(), "")).await;
    let mut first = Caller::connect(&cluster.url_of(0)).await.unwrap();
    assert_eq!(first.call("a_count").await.unwrap().count().unwrap(), 1);
    let mut second = first.at(&cluster.url_of(1));
    let (began, mut count) = (Instant::now(), 1);
    while began.elapsed() < Duration::from_secs(6) {
        count += 1;
        assert_eq!(second.call("a_count").await.unwrap().count().unwrap(), count);
        sleep(Duration::from_millis(300)).await;
    }
    for replica in [0, 2] {
        count += 1;
        let mut there = first.at(&cluster.url_of(replica));
        assert_eq!(there.call("a_count").await.unwrap().count().unwrap(), count);
    }
    // Nobody uses it any more.
    sleep(Duration::from_secs(4)).await;
    for replica in 0..3 {
        let answer = first.at(&cluster.url_of(replica)).list().await.unwrap();
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
    }
    eventually("its backend session is closed, once", async || {
        (backend.counters().deletes() == 1).then_some(())
    })
    .await;
    eventually("nothing of it is left in Redis", async || {
        let left = redis.say("KEYS thv:vmcp:session:s:*").await.unwrap();
        let index = redis.say("ZCARD thv:vmcp:session:due").await.unwrap();
        (!left.contains("session:s:") && index == ":0").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_a_killed_replica_leaves_is_cleared_away_by_others() {
    let backend = peers::stateful().start().await.unwrap();
    let redis = RedisServer::start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("sessions: {ttl: 2s}");
    let mut cluster = replicated(2, &over(gateway, &redis.address(), "")).await;
    watched(&backend, 2).await;
    for _session in 0..20 {
        let mut caller = Caller::connect(&cluster.url_of(0)).await.unwrap();
        assert_eq!(caller.call("a_count").await.unwrap().count().unwrap(), 1);
    }
    assert_eq!(backend.sessions().len(), 2 + 20, "and one of each replica");
    cluster.kill(0).await.unwrap();
    eventually("their backend sessions are closed by a replica that never saw them", async || {
        (backend.counters().deletes() == 20).then_some(())
    })
    .await;
}

/// A replica that has never reached a backend serves what the session was given.
#[tokio::test]
async fn a_new_replica_knows_a_sessions_tools_while_the_backend_is_away() {
    let backend = peers::many_tools(40, 10).start().await.unwrap();
    let redis = RedisServer::start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]);
    let mut cluster = replicated(2, &over(gateway, &redis.address(), "")).await;
    let first = Client::connect(&cluster.url_of(0)).await.unwrap();
    let tools = first.request("1", "tools/list", "{}").await.unwrap();
    assert_eq!(tools.keys("tools", "name").unwrap().len(), 40);
    drop(backend);
    for replica in 0..2 {
        cluster.kill(replica).await.unwrap();
        cluster.restart(replica).await.unwrap();
    }
    for replica in 0..2 {
        let there = first.at(&cluster.url_of(replica));
        let same = there.request("1", "tools/list", "{}").await.unwrap();
        assert_eq!(same.bytes, tools.bytes);
    }
}

/// A replica that Redis cannot reach serves what it knows; once it is back, what ended meanwhile has
/// ended there too, and stays so.
#[tokio::test]
async fn a_replica_that_was_cut_off_revives_nothing() {
    let backend = peers::stateful().start().await.unwrap();
    let redis = RedisServer::start().await.unwrap();
    let relay = Relay::to(redis.port()).await.unwrap();
    let configurations = [redis.address(), relay.address()].map(|address| {
        let gateway = Gateway::before(&[("a", backend.url())]).with("sessions: {ttl: 4s}");
        over(gateway, &address, "").yaml()
    });
    let cluster = of_each(configurations).await;
    let mut ended = Caller::connect(&cluster.url_of(0)).await.unwrap();
    let mut kept = Caller::connect(&cluster.url_of(0)).await.unwrap();
    let mut there = (ended.at(&cluster.url_of(1)), kept.at(&cluster.url_of(1)));
    for caller in [&mut ended, &mut kept, &mut there.0, &mut there.1] {
        caller.call("a_count").await.unwrap().count().unwrap();
    }
    relay.silence(Silent::Everything);
    assert_eq!(ended.delete().await.unwrap().status, StatusCode::OK);
    eventually("its backend session is closed", async || {
        (backend.counters().deletes() == 1).then_some(())
    })
    .await;
    // Long enough for deadlines to be refreshed in vain.
    let (cut, mut count) = (Instant::now(), 2);
    while cut.elapsed() < COMMAND * 3 {
        // It is listed, and its backend session is gone: nothing is opened in its place.
        let answer = there.0.list().await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let answer = there.0.call("a_count").await.unwrap();
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        count += 1;
        assert_eq!(there.1.call("a_count").await.unwrap().count().unwrap(), count);
        sleep(Duration::from_millis(100)).await;
    }
    relay.silence(Silent::Nothing);
    let healed = Instant::now();
    eventually("it has ended there, too", async || {
        let answer = there.0.list().await.unwrap();
        (answer.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    println!("cut off for {:?}: an end was noticed {:?} after it", COMMAND * 3, healed.elapsed());
    assert_eq!(there.1.call("a_count").await.unwrap().count().unwrap(), count + 1);
    assert_eq!(kept.call("a_count").await.unwrap().count().unwrap(), count + 2);
    assert_eq!(ended.list().await.unwrap().status, StatusCode::NOT_FOUND);
    let left = redis.say("KEYS thv:vmcp:session:s:*").await.unwrap();
    assert_eq!(left.matches("session:s:").count(), 1, "{left}");
}
