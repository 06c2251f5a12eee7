//! A session goes on where another replica left it, and ends for good.

use std::{sync::Arc, time::Duration};

use vmcp_store::{Memory, Store};
use vmcp_testkit::{peers, raw::Form};
use vmcp_wire::Fault;

use crate::support::{
    TTL, answer, call, client, initialize, nobody, replica, subject, two_replicas,
};

#[tokio::test(flavor = "multi_thread")]
async fn another_replica_goes_on_with_the_same_backend_session() {
    let (backend, first, second) = two_replicas().await;
    let owner = subject("ann");
    assert_eq!(first.stored_catalogs(), Some(0));
    let id = initialize(&first, &owner).await.unwrap();
    let session = first.find(&id, &owner, client()).await.unwrap();
    assert_eq!(first.stored_catalogs(), Some(1), "for whoever takes the session up");
    assert!(call(&session, 1, "backend_count").await.contains("\"1\""));
    // The second replica's own look at the lists is not counted.
    initialize(&second, &owner).await.unwrap();
    let opened = backend.counters().initializes();

    let restored = second.find(&id, &owner, client()).await.unwrap();
    assert!(call(&restored, 2, "backend_count").await.contains("\"2\""), "the count goes on");
    assert!(call(&session, 3, "backend_count").await.contains("\"3\""), "on both");
    assert_eq!(backend.counters().initializes(), opened, "no backend session was opened for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_ended_is_not_restored() {
    let (backend, first, second) = two_replicas().await;
    let id = initialize(&first, &nobody()).await.unwrap();
    let session = first.find(&id, &nobody(), client()).await.unwrap();
    call(&session, 1, "backend_count").await;

    second.end(&id, &nobody()).await.unwrap();
    let again = second.end(&id, &nobody()).await;
    assert_eq!(again, Err(Fault::SessionUnknown), "it ends once");
    let found = second.find(&id, &nobody(), client()).await;
    assert_eq!(found.err(), Some(Fault::SessionUnknown));
    // Its backend session is closed by whoever claims the tombstone.
    let closed = async {
        while backend.counters().deletes() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), closed)
        .await
        .expect("the backend session is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_exists_for_its_owner_only() {
    let (_backend, first, second) = two_replicas().await;
    let owner = subject("ann");
    let id = initialize(&first, &owner).await.unwrap();
    for (replica, place) in [(&first, "where it lives"), (&second, "elsewhere")] {
        for thief in [nobody(), subject("bob")] {
            let found = replica.find(&id, &thief, client()).await;
            assert_eq!(found.err(), Some(Fault::SessionUnknown), "{place}: {thief:?}");
            let ended = replica.end(&id, &thief).await;
            assert_eq!(ended, Err(Fault::SessionUnknown), "{place}: {thief:?}");
        }
        assert!(replica.find(&id, &owner, client()).await.is_ok(), "the owner is unharmed {place}");
    }
}

/// A replica that has just started may not have heard from every backend, and may never.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_does_not_know_yet_is_not_taken_from_a_session() {
    let backend = peers::stateful().form(Form::Json).start().await.unwrap();
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    let first = replica(&store, &backend.url()).await;
    let id = initialize(&first, &nobody()).await.unwrap();
    let nobody_there = "http://127.0.0.1:9/mcp";
    let second = replica(&store, nobody_there).await;
    let session = second.find(&id, &nobody(), client()).await.unwrap();
    let settled = second.vmcp().views()[0].settle(TTL).await;
    assert!(!settled.missing.is_empty(), "it has tried, and knows nothing");
    for attempt in 1..=3 {
        let list = format!(r#"{{"jsonrpc":"2.0","id":{attempt},"method":"tools/list"}}"#);
        assert!(answer(&session, list).await.contains("\"count\""), "attempt {attempt}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
