//! Sessions before a backend of the modern era, which has none, and before one that changes its era.

use std::sync::Arc;

use bytes::Bytes;
use vmcp_store::{Memory, Store};
use vmcp_testkit::{
    modern::{Running, Speaks},
    peers,
    raw::{self, Answer, Lost},
};

use crate::support::{call, client, initialize, replica, subject};

/// A server, and two replicas in front of it that share a store.
async fn two_replicas(server: &Running) -> [Arc<vmcp_session::Sessions>; 2] {
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    [replica(&store, &server.url()).await, replica(&store, &server.url()).await]
}

fn legacy() -> Speaks {
    Speaks::Legacy(Answer::Http { status: 400, content_type: None, body: Bytes::new() })
}

#[track_caller]
fn assert_counted(answer: &str, count: u32) {
    assert!(answer.contains(&format!("\"{count}\"")), "{count}: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_replica_calls_a_modern_backend_without_a_session() {
    let server = peers::modern().start().await.unwrap();
    let [first, second] = two_replicas(&server).await;
    let owner = subject("ann");
    let id = initialize(&first, &owner).await.unwrap();
    let session = first.find(&id, &owner, client()).await.unwrap();
    let restored = second.find(&id, &owner, client()).await.unwrap();
    for round in 0..3 {
        assert_counted(&call(&session, 1, "backend_count").await, 2 * round + 1);
        assert_counted(&call(&restored, 2, "backend_count").await, 2 * round + 2);
    }
    second.end(&id, &owner).await.unwrap();
    assert!(server.seen().iter().all(|seen| seen.verb == "POST"));
    for question in ["initialize", "server/discover"] {
        assert!(server.counters().requests(question) <= 2, "once for each replica: {question}");
    }
    assert_eq!(server.refusals(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_the_changes_of_its_backends_era() {
    let server = peers::turning().start().await.unwrap();
    server.set_speaks(legacy());
    let [first, second] = two_replicas(&server).await;
    let owner = subject("ann");
    let id = initialize(&first, &owner).await.unwrap();
    let session = first.find(&id, &owner, client()).await.unwrap();
    // Each session of the legacy era counts for itself, and the modern era for all.
    assert_counted(&call(&session, 1, "backend_count").await, 1);
    assert_counted(&call(&session, 2, "backend_count").await, 2);

    server.set_speaks(Speaks::Modern);
    let legacy_server: raw::Server = server.legacy();
    legacy_server.forget_sessions(Lost::NotFound);
    assert_counted(&call(&session, 3, "backend_count").await, 1);
    assert_counted(&call(&session, 4, "backend_count").await, 2);
    assert_eq!(server.counters().executions("count"), 2, "each call runs once");

    server.set_speaks(legacy());
    assert_counted(&call(&session, 5, "backend_count").await, 1);
    // What was opened then is in the record, for others to use.
    let restored = second.find(&id, &owner, client()).await.unwrap();
    assert_counted(&call(&restored, 6, "backend_count").await, 2);
    assert_counted(&call(&session, 7, "backend_count").await, 3);
    assert_eq!(server.counters().executions("count"), 2);
}
