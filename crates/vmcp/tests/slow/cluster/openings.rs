//! Replicas that open something for one session at the same moment, and backends that only one of
//! them can reach.

use std::sync::atomic::Ordering::Relaxed;

use http::StatusCode;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep},
};
use vmcp_testkit::{
    CHILD,
    client::Client,
    cluster::Caller,
    gateway::{Gateway, eventually},
    raw::Lost,
    redis::RedisServer,
};

use super::{Fixture, over, replicated};

const SESSIONS: usize = 40;

/// Each has one session with the backend by which it watches it.
const REPLICAS: usize = 3;

/// What the same session counts on three replicas at the same moment, in order.
async fn count_at_once(callers: [Caller; REPLICAS]) -> Vec<u64> {
    let mut calling = JoinSet::new();
    for mut caller in callers {
        calling.spawn(async move { caller.call("a_count").await.unwrap().count().unwrap() });
    }
    let mut counts = calling.join_all().await;
    counts.sort_unstable();
    counts
}

#[tokio::test]
async fn replicas_that_open_at_the_same_moment_end_with_one_backend_session() {
    let fixture = Fixture::start(REPLICAS, "").await;
    let mut racing = JoinSet::new();
    for _session in 0..SESSIONS {
        let urls = [0, 1, 2].map(|replica| fixture.cluster.url_of(replica));
        racing.spawn(async move {
            let first = Caller::connect(&urls[0]).await.unwrap();
            count_at_once(urls.map(|url| first.at(&url))).await
        });
    }
    for counts in racing.join_all().await {
        assert_eq!(counts, [1, 2, 3], "all three are of one backend session");
    }
    let opened = fixture.backend.counters().initializes();
    println!("{SESSIONS} sessions on three replicas at once: {opened} backend sessions opened");
    eventually("those that lost are closed", async || {
        (fixture.backend.sessions().len() == SESSIONS + REPLICAS).then_some(())
    })
    .await;
    assert!(opened as usize > SESSIONS + REPLICAS, "nothing was opened twice; nothing was shown");
}

/// A backend that forgets its sessions is told once of each, whichever replicas find out.
#[tokio::test]
async fn replicas_that_find_a_session_lost_open_one_in_its_place() {
    let fixture = Fixture::start(REPLICAS, "").await;
    let mut sessions = Vec::new();
    for _session in 0..SESSIONS {
        let first = Caller::connect(&fixture.cluster.url_of(0)).await.unwrap();
        let mut callers = [0, 1, 2].map(|replica| first.at(&fixture.cluster.url_of(replica)));
        for caller in &mut callers {
            caller.call("a_count").await.unwrap().count().unwrap();
        }
        sessions.push(callers);
    }
    fixture.backend.forget_sessions(Lost::NotFound);
    let mut calling = JoinSet::new();
    sessions.into_iter().for_each(|callers| drop(calling.spawn(count_at_once(callers))));
    for counts in calling.join_all().await {
        assert_eq!(counts, [1, 2, 3], "all three are of one new backend session");
    }
    let counting = fixture.backend.sessions();
    let counting = counting.iter().filter(|session| session.count.load(Relaxed) > 0).count();
    assert_eq!(counting, SESSIONS);
}

/// A process is held by one replica. The others say so, and open a new one when that one is gone.
#[tokio::test]
async fn a_process_belongs_to_one_replica_until_that_one_is_gone() {
    let redis = RedisServer::start().await.unwrap();
    let gateway =
        Gateway::before(&[]).backend(&format!("name: kid, command: python3, args: ['{CHILD}']"));
    let mut cluster = replicated(2, &over(gateway, &redis.address(), "")).await;
    let first = Client::connect(&cluster.url_of(0)).await.unwrap();
    let second = first.at(&cluster.url_of(1));
    for count in ["1", "2"] {
        assert_eq!(first.call("1", "kid_count", "{}").await.unwrap().text().unwrap(), count);
    }
    // An answer like any other: some clients take a status of 503 for the end of the session.
    let mut refused = second.open_call("2", "kid_count", "{}").await.unwrap();
    assert_eq!(refused.status(), StatusCode::OK);
    let why = refused.answer("2").await.unwrap();
    assert!(why.error().unwrap().contains("another replica"), "{why:?}");
    assert_eq!(first.call("3", "kid_count", "{}").await.unwrap().text().unwrap(), "3");
    cluster.kill(0).await.unwrap();
    let killed = Instant::now();
    let answer = loop {
        let answer = second.call("4", "kid_count", "{}").await.unwrap();
        let Ok(why) = answer.error() else { break answer };
        assert!(why.contains("another replica"), "{answer:?}");
        assert!(killed.elapsed() < Duration::from_secs(15), "{answer:?}");
        sleep(Duration::from_millis(100)).await;
    };
    println!("a process of a killed replica was replaced after {:?}", killed.elapsed());
    assert_eq!(answer.text().unwrap(), "1", "what the process knew is lost with it");
    assert_eq!(second.call("5", "kid_count", "{}").await.unwrap().text().unwrap(), "2");
}
