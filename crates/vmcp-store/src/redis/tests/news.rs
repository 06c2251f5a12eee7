//! The bus between replicas.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use redis::Msg;
use tokio::time::Instant;
use tokio_stream::StreamExt as _;
use vmcp_model::Digest;
use vmcp_testkit::redis::{RedisServer, redis_cluster};

use super::{
    super::{Servers, Settings, Validation},
    address, for_server, reached, ring, settings, until,
};
use crate::{News, SessionKey, Store};

const CHANNEL: &str = "test:0:bus";

/// A store that hears the others.
async fn listening(settings: Settings) -> Arc<dyn Store> {
    let store = reached(settings).await;
    let confidence = store.confidence();
    until("it listens", || confidence.generation().is_some()).await;
    store
}

fn changed(number: u32) -> News {
    News::Changed(SessionKey::of(&number.to_string()))
}

#[tokio::test]
async fn news_come_in_order() {
    let server = RedisServer::start().await.unwrap();
    come_in_order(for_server(&server)).await;
}

#[tokio::test]
async fn news_come_in_order_in_a_cluster() {
    let nodes = redis_cluster().await.unwrap();
    // Whichever node a replica asks first, all use the same one.
    let servers = |at: usize| Servers::Cluster(vec![address(&nodes[at])]);
    let (one, other) =
        (listening(settings(servers(0))).await, listening(settings(servers(2))).await);
    let mut heard = other.subscribe();
    one.publish(changed(1)).await.unwrap();
    assert_eq!(heard.next().await, Some(changed(1)));
    come_in_order(settings(servers(1))).await;
}

async fn come_in_order(settings: Settings) {
    let (one, other) = (listening(settings.clone()).await, listening(settings).await);
    let (mut heard, mut own) = (other.subscribe(), one.subscribe());
    let key = SessionKey::of("a");
    let kinds = [
        News::Ended(key),
        News::Changed(key),
        News::Cancelled { key, text: Bytes::from_static(b"{}") },
        News::Answered { key, question: Digest::of(b"question") },
    ];
    for news in &kinds {
        one.publish(news.clone()).await.unwrap();
    }
    for number in 0..500 {
        one.publish(changed(number)).await.unwrap();
    }
    for news in kinds {
        assert_eq!(heard.next().await, Some(news));
    }
    for number in 0..500 {
        assert_eq!(heard.next().await, Some(changed(number)));
    }
    other.publish(changed(1)).await.unwrap();
    assert_eq!(own.next().await, Some(changed(1)), "one's own are not told to oneself");
}

#[tokio::test]
async fn what_somebody_else_says_is_not_heard() {
    let server = RedisServer::start().await.unwrap();
    let usual = for_server(&server);
    let (one, other) = (listening(usual.clone()).await, listening(usual.clone()).await);
    let mut heard = other.subscribe();
    let client = redis::Client::open(format!("redis://{}/", server.address())).unwrap();
    let mut by_hand = client.get_multiplexed_async_connection().await.unwrap();
    let mut say = async |message: &[u8]| {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(CHANNEL).arg(message).query_async::<()>(&mut by_hand).await.unwrap();
    };
    let mut listener = client.get_async_pubsub().await.unwrap();
    listener.subscribe(CHANNEL).await.unwrap();
    let mut messages = listener.into_on_message();

    one.publish(changed(1)).await.unwrap();
    assert_eq!(heard.next().await, Some(changed(1)));
    for junk in [&b""[..], b"\0", &[0; 20], &[0xff; 1000], "ended".as_bytes()] {
        say(junk).await;
    }
    // A replica with other keys, in the same place.
    let stranger = listening(Settings { keys: Some(ring(&[9])), ..usual }).await;
    stranger.publish(changed(2)).await.unwrap();
    // What was said already, as it was, and changed by a bit.
    let said: Vec<Msg> = (&mut messages).take(12).collect().await;
    for message in said {
        let payload = message.get_payload_bytes();
        say(payload).await;
        let mut flipped = payload.to_vec();
        if let Some(byte) = flipped.get_mut(30) {
            *byte ^= 1;
        }
        say(&flipped).await;
    }
    one.publish(changed(3)).await.unwrap();
    assert_eq!(heard.next().await, Some(changed(3)), "and nothing before it");
}

#[tokio::test]
async fn heartbeats_keep_what_is_known_good() {
    let server = RedisServer::start().await.unwrap();
    // Its heartbeats come several times in it, on a busy machine too.
    let max_staleness = Duration::from_secs(4);
    let validation = Validation::Bus { max_staleness };
    let store = listening(Settings { validation, ..for_server(&server) }).await;
    let confidence = store.confidence();
    let generation = confidence.generation();
    let end = Instant::now() + max_staleness * 2;
    while Instant::now() < end {
        assert_eq!(confidence.generation(), generation);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // A silence, in which something may have been said.
    server.pause().unwrap();
    let began = Instant::now();
    until("it is in doubt", || confidence.generation().is_none()).await;
    assert!(began.elapsed() <= max_staleness * 2, "{:?}", began.elapsed());
    tokio::time::sleep(max_staleness).await;
    assert_eq!(confidence.generation(), None);
    server.resume().unwrap();
    until("it hears again", || confidence.generation().is_some()).await;
}

#[tokio::test]
async fn who_was_away_knows_that_something_may_be_missed() {
    let mut server = RedisServer::start().await.unwrap();
    let store = listening(for_server(&server)).await;
    let confidence = store.confidence();
    let generation = confidence.generation().unwrap();
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    let is_new = || confidence.generation().is_some_and(|present| present > generation);
    until("it is another generation", is_new).await;

    // The same after the subscription alone was cut off.
    let generation = confidence.generation().unwrap();
    server.say("CLIENT KILL TYPE pubsub").await.unwrap();
    let is_new = || confidence.generation().is_some_and(|present| present > generation);
    until("it is another generation", is_new).await;
}

/// Another replica that falls silent may have said something before.
#[tokio::test]
async fn a_replica_that_falls_silent_raises_doubts() {
    let server = RedisServer::start().await.unwrap();
    let max_staleness = Duration::from_millis(400);
    let usual = Settings { validation: Validation::Bus { max_staleness }, ..for_server(&server) };
    let store = listening(usual.clone()).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let other = super::super::Redis::start(usual, &tokio_util::task::TaskTracker::new(), &stop);
    let theirs = other.confidence();
    until("it listens", || theirs.generation().is_some()).await;
    let mut heard = store.subscribe();
    other.publish(changed(1)).await.unwrap();
    heard.next().await;
    let confidence = store.confidence();
    let generation = confidence.generation().unwrap();
    stop.cancel();
    until("there are doubts", || confidence.generation().is_some_and(|now| now > generation)).await;
}

/// Without a bus to rely on nothing is certain, and news come all the same.
#[tokio::test]
async fn per_request_relies_on_nothing() {
    let server = RedisServer::start().await.unwrap();
    let usual = Settings { validation: Validation::PerRequest, ..for_server(&server) };
    let (one, other) = (reached(usual.clone()).await, reached(usual).await);
    let mut heard = other.subscribe();
    let telling = async {
        loop {
            let _not_yet = one.publish(changed(1)).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        news = heard.next() => assert_eq!(news, Some(changed(1))),
        () = telling => {}
    }
    assert_eq!((one.confidence().generation(), other.confidence().generation()), (None, None));
}
