//! The keys that replicas share.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use vmcp_model::Digest;
use vmcp_testkit::redis::RedisServer;

use super::{super::Settings, for_server, reached, ring, started, until};
use crate::{
    Error, KeyRing, News, Reach, Store, Swap,
    contract::{T0, TTL, id, live, record, session},
};

/// A store with keys of its own.
async fn knowing(server: &RedisServer, secrets: &[u8]) -> Arc<dyn Store> {
    reached(Settings { keys: Some(ring(secrets)), ..for_server(server) }).await
}

fn keys(store: &dyn Store) -> KeyRing {
    KeyRing::clone(&*store.keys().unwrap())
}

#[tokio::test]
async fn replicas_that_start_at_once_agree() {
    for _round in 0..10 {
        let server = RedisServer::start().await.unwrap();
        let stores: Vec<_> = (0..8).map(|_store| started(for_server(&server))).collect();
        for store in &stores {
            until("it is reached", || store.reach() == Reach::Good).await;
        }
        for store in &stores {
            assert_eq!(store.keys(), stores[0].keys());
        }
    }
}

#[tokio::test]
async fn a_server_that_has_lost_the_keys_gets_them_back() {
    let mut server = RedisServer::start().await.unwrap();
    let stores = [reached(for_server(&server)).await, reached(for_server(&server)).await];
    let before = keys(&*stores[0]);
    server.kill().await.unwrap();
    for store in &stores {
        let _lost = store.records().await;
        until("it is gone", || store.reach() == Reach::Lost).await;
    }
    server.restart().await.unwrap();
    for store in &stores {
        until("it is back", || store.reach() == Reach::Good).await;
        assert_eq!(keys(&**store), before);
    }
    let third = reached(for_server(&server)).await;
    assert_eq!(keys(&*third), before, "they are in Redis again");
}

/// Nothing is lost but what Redis held: a replica that starts afterwards knows the sessions of the others.
#[tokio::test]
async fn keys_that_are_deleted_are_put_there_again() {
    let server = RedisServer::start().await.unwrap();
    let store = reached(for_server(&server)).await;
    let before = keys(&*store);
    server.say("FLUSHALL").await.unwrap();
    let there = async {
        while !server.say("EXISTS test:keys").await.unwrap().contains(":1") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), there).await.expect("they are there");
    assert_eq!(keys(&*reached(for_server(&server)).await), before);
}

/// A new replica may be faster than those that knew the old keys: then there are new ones, and the
/// old ones are known still.
#[tokio::test]
async fn keys_that_somebody_else_has_made_are_taken_up() {
    let mut server = RedisServer::start().await.unwrap();
    // A user whom a restart forgets: so the store is not let in before the other keys are there.
    let user = "ACL SETUSER vmcp on >s3cret ~* &* +@all";
    server.say(user).await.unwrap();
    let (username, password) = (Some("vmcp".into()), Some("s3cret".into()));
    let store = reached(Settings { username, password, ..for_server(&server) }).await;
    let before = keys(&*store);
    server.kill().await.unwrap();
    let _lost = store.records().await;
    until("it is gone", || store.reach() == Reach::Lost).await;
    server.restart().await.unwrap();
    let text = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    server.say(&format!("SET test:keys \"{text}\\n\"")).await.unwrap();
    server.say(user).await.unwrap();
    until("it is back", || store.reach() == Reach::Good).await;
    let after = keys(&*store);
    assert_eq!((after.current, after.older), (ring(&[7]).current, vec![before.current]));
}

#[tokio::test]
async fn configured_keys_are_not_written() {
    let server = RedisServer::start().await.unwrap();
    // Readable, if it is anywhere.
    let store = knowing(&server, b"k").await;
    let key = live(&*store, "a").await;
    store.swap_backend(key, id("b"), None, session("1")).await.unwrap();
    store.put_catalog(Digest::of(b"1"), Bytes::from_static(b"{}"), T0).await.unwrap();
    let confidence = store.confidence();
    until("the bus works", || confidence.generation().is_some()).await;
    store.publish(News::Ended(key)).await.unwrap();
    store.end(key, T0).await.unwrap();
    let names = server.say("KEYS *").await.unwrap();
    let mut all = names.clone();
    for name in names.lines().filter(|line| line.starts_with("test:")) {
        all += &server.say(&format!("HGETALL {name}")).await.unwrap();
        all += &server.say(&format!("GET {name}")).await.unwrap();
    }
    assert!(names.lines().count() > 3, "{names}");
    assert_eq!(server.say("EXISTS test:keys").await.unwrap(), ":0");
    assert!(!all.contains("kkkkkkkk") && !all.contains("a2tra2tr"), "{all:?}");
}

/// What was written under an old key is good for whoever knows it, and changed by nobody else.
#[tokio::test]
async fn keys_are_exchanged_one_by_one() {
    let server = RedisServer::start().await.unwrap();
    let old = knowing(&server, &[1]).await;
    let key = live(&*old, "a").await;
    old.swap_backend(key, id("b"), None, session("1")).await.unwrap();
    let (digest, catalog) = (Digest::of(b"1"), Bytes::from_static(b"{}"));
    old.put_catalog(digest, catalog.clone(), T0.after(TTL)).await.unwrap();

    // First every replica learns the new key, then it is used, then the old one is dropped.
    let (learning, using) = (knowing(&server, &[1, 2]).await, knowing(&server, &[2, 1]).await);
    for store in [&learning, &using] {
        let loaded = store.load(key, T0).await.unwrap().unwrap();
        assert_eq!(loaded.owner, record().owner);
        assert_eq!(loaded.backends, [(id("b"), session("1"))]);
        assert_eq!(store.catalog(digest, T0).await, Ok(Some(catalog.clone())));
    }
    let swapped = using.swap_backend(key, id("b"), Some(session("1")), session("2")).await;
    assert_eq!(swapped, Ok(Swap::Done));
    let loaded = learning.load(key, T0).await.unwrap().unwrap();
    assert_eq!(loaded.backends, [(id("b"), session("2"))]);
    let (mut heard, confidence) = (learning.subscribe(), learning.confidence());
    until("it listens", || confidence.generation().is_some()).await;
    let confidence = using.confidence();
    until("it listens", || confidence.generation().is_some()).await;
    using.publish(News::Changed(key)).await.unwrap();
    assert_eq!(heard.next().await, Some(News::Changed(key)));

    for stranger in [knowing(&server, &[3]).await, old] {
        let refused = stranger.load(key, T0).await;
        assert!(matches!(refused, Err(Error::Corrupt(_))), "{refused:?}");
        let refused = stranger.swap_backend(key, id("b"), None, session("3")).await;
        assert!(matches!(refused, Err(Error::Corrupt(_))), "{refused:?}");
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(using.backend(key, id("b")).await, Ok(Some(Some(session("2")))), "unharmed");
}

/// One that many sessions share is put again and again, and must not stay under the first key for ever.
#[tokio::test]
async fn a_catalog_is_sealed_anew_under_a_new_key() {
    let server = RedisServer::start().await.unwrap();
    let (digest, catalog) = (Digest::of(b"1"), Bytes::from_static(b"{}"));
    let old = knowing(&server, &[1]).await;
    old.put_catalog(digest, catalog.clone(), T0.after(TTL)).await.unwrap();
    let using = knowing(&server, &[2, 1]).await;
    using.put_catalog(digest, catalog.clone(), T0).await.unwrap();
    let last = knowing(&server, &[2]).await;
    let found = last.catalog(digest, T0).await;
    assert_eq!(found, Ok(Some(catalog)), "and it is kept as long as before");
    // Each store finds out by itself how far Redis' time is ahead, to some milliseconds.
    let apart = Duration::from_secs(1);
    assert_eq!(last.catalog(digest, T0.after(TTL + apart)).await, Ok(None));
}
