//! A Redis that does not answer, or is not there.

use std::time::Duration;

use tokio::time::Instant;
use vmcp_testkit::redis::RedisServer;

use super::{super::Settings, for_server, reached, started, until};
use crate::{
    Error, Reach, SessionKey,
    contract::{T0, live, record},
};

#[tokio::test]
async fn a_silent_server_is_waited_for_once() {
    let server = RedisServer::start().await.unwrap();
    let command_timeout = Duration::from_secs(2);
    let store = reached(Settings { command_timeout, ..for_server(&server) }).await;
    let key = live(&*store, "a").await;
    let asked = async || {
        let began = Instant::now();
        let answer = store.load(key, T0).await;
        assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
        began.elapsed()
    };
    server.pause().unwrap();
    let first = asked().await;
    assert!(first >= command_timeout * 9 / 10, "{first:?}");
    let mut others = Duration::ZERO;
    for _call in 0..20 {
        others += asked().await;
    }
    assert!(others < first * 5, "twenty together took {others:?}, the first {first:?}");
    until("it is known to be away", || store.reach() == Reach::Lost).await;
    server.resume().unwrap();
    until("it is back", || store.reach() == Reach::Good).await;
    assert_eq!(store.load(key, T0).await, Ok(Some(record())));
}

#[tokio::test]
async fn commands_and_those_that_fail_are_counted() {
    let mut server = RedisServer::start().await.unwrap();
    let store = reached(for_server(&server)).await;
    let counts = || store.traffic().map(|traffic| (traffic.commands, traffic.failures)).unwrap();
    assert_eq!(counts(), (0, 0), "what keeps the connection is nobody's command");
    assert_eq!(store.records().await, Ok(0));
    assert_eq!(counts(), (1, 0));
    // A script that the server does not know yet is sent again as a whole, which is no failure.
    assert_eq!(store.load(SessionKey::of("a"), T0).await, Ok(None));
    let (commands, failures) = counts();
    assert!(commands > 1);
    assert_eq!(failures, 0);
    // One that is refused.
    server.say("SET test:due text").await.unwrap();
    assert!(store.records().await.is_err());
    assert_eq!(counts(), (commands + 1, 1));
    // One that is not answered.
    server.kill().await.unwrap();
    assert!(store.records().await.is_err());
    assert_eq!(counts(), (commands + 2, 2));
}

/// A start without Redis is not a failure: what comes later is used.
#[tokio::test]
async fn a_server_may_come_later_and_go() {
    let mut server = RedisServer::start().await.unwrap();
    server.kill().await.unwrap();
    let store = started(for_server(&server));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(store.reach(), Reach::Never);
    assert!(matches!(store.keys(), Err(Error::Unavailable(_))));
    server.restart().await.unwrap();
    until("it is reached", || store.reach() == Reach::Good).await;
    let key = live(&*store, "a").await;
    server.kill().await.unwrap();
    assert!(matches!(store.load(key, T0).await, Err(Error::Unavailable(_))));
    server.restart().await.unwrap();
    until("it is back", || store.reach() == Reach::Good).await;
    assert_eq!(store.load(key, T0).await, Ok(None), "what Redis has lost is unknown");
    assert_eq!(store.create(SessionKey::of("b"), T0).await, Ok(true));
}
