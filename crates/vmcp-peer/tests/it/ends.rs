//! Streams and replicas that end in order.

use std::time::Duration;

use tokio::task::JoinSet;
use vmcp_peer::{Error, Unreachable};

use crate::support::{Node, eventually, request, ring};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_away_is_noticed_by_the_producer() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let mut frames = one.ask(&other, "waits", "").await.unwrap();
    frames.next().await.unwrap();
    assert_eq!(other.dropped(), 0);
    drop(frames);
    eventually("the producer knows", || other.dropped() == 1).await;
    assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello");
    assert_eq!(one.traffic().dialled, 1, "the connection stands");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_taken_back_ends_its_handler() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let (peers, peer) = (one.peers.clone(), other.peer());
    let mut asking = JoinSet::new();
    asking.spawn(async move { peers.ask(&peer, request("never", "")).await.map(|_frames| ()) });
    eventually("the handler has begun", || other.begun() == 1).await;
    drop(asking);
    eventually("the handler was dropped", || other.dropped() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_may_be_taken_back_at_once() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    for _ in 0..3 {
        let mut open = Vec::new();
        for _ in 0..900 {
            open.push(one.ask(&other, "waits", "").await.unwrap());
        }
    }
    assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello");
    assert_eq!(one.traffic().dialled, 1, "nothing of it ends the connection");
    eventually("all producers know", || other.dropped() == 2700).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_nobody_uses_is_closed_and_dialled_anew() {
    let idle = Duration::from_millis(100);
    let one = Node::with("one", &ring(&[1]), |settings| settings.idle = idle);
    let other = Node::new("other");
    one.echo(&other.peer()).await.unwrap();
    let no_connections = |node: &Node| node.traffic().connections.is_empty();
    eventually("both ends have closed it", || no_connections(&one) && no_connections(&other)).await;
    assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello");
    assert_eq!(one.traffic().dialled, 2);
    assert_eq!(one.failed("gone") + one.failed("unreachable"), 0);
}

/// Whoever was dialled closes connections, too, that nobody uses. No request is lost by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_to_a_connection_that_closes_for_idleness() {
    let other = Node::with("other", &ring(&[1]), |settings| {
        settings.idle = Duration::from_millis(15);
    });
    let one = Node::new("one");
    for pause in (0..80).map(|step| Duration::from_micros(28_000 + step * 50)) {
        assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello");
        tokio::time::sleep(pause).await;
    }
    assert!(other.traffic().taken > 1, "some were closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stops_finishes_what_is_open() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let mut frames = one.ask(&other, "counts", "5000").await.unwrap();
    assert_eq!(frames.next().await.unwrap().unwrap(), "0");
    other.stop.cancel();
    other.tasks.close();
    eventually("no more is taken", || std::net::TcpStream::connect(other.address()).is_err()).await;
    let refused = one.ask(&other, "echo", "").await.map(|_frames| ()).unwrap_err();
    assert!(matches!(refused, Error::Unreachable(_)), "{refused:?}");
    assert_eq!(other.begun(), 1, "it was not carried out");
    for number in 1..5000 {
        assert_eq!(frames.next().await.unwrap().unwrap(), number.to_string());
    }
    assert_eq!(frames.next().await, Ok(None));
    other.tasks.wait().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stops_asks_no_more_and_ends() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let mut frames = one.ask(&other, "counts", "5000").await.unwrap();
    one.stop.cancel();
    one.tasks.close();
    let refused = one.ask(&other, "echo", "").await.map(|_frames| ());
    assert_eq!(refused, Err(Error::Unreachable(Unreachable::EndingHere)));
    while frames.next().await.unwrap().is_some() {}
    drop(frames);
    one.tasks.wait().await;
    eventually("the other end knows", || other.traffic().connections.is_empty()).await;
}
