//! Who is meant, and who answers: an address may have been given to another replica meanwhile.

use std::sync::Arc;

use vmcp_peer::{Error, PROTOCOL, Peer, Unreachable};

use crate::{
    raw::{self, Stranger},
    support::{Node, ring},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_at_the_address_is_not_asked() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    for (name, epoch) in [("third", 1), ("other", 2), ("other", 0)] {
        let meant = Peer { name: name.to_owned(), address: other.address(), epoch };
        let refused = one.echo(&meant).await.unwrap_err();
        let expected = Unreachable::NotIt { name: "other".to_owned(), epoch: 1 };
        assert_eq!(refused, Error::Unreachable(expected));
        let told = "the replica cannot be reached: other (epoch 1) answers at its address";
        assert_eq!(refused.to_string(), told);
    }
    assert_eq!(other.begun(), 0);
    other.until_refused(&["not_it"], 3).await;
    assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello");
}

/// A replica that has started again has another epoch, and mostly another address.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_started_again_is_dialled_anew() {
    let one = Node::new("one");
    let old = Node::new("other");
    one.echo(&old.peer()).await.unwrap();
    let new = Node::with("other", &ring(&[1]), |settings| settings.epoch = 2);
    assert_eq!(one.echo(&new.peer()).await.unwrap(), "hello");
    assert_eq!((old.begun(), new.begun()), (1, 1));
    assert_eq!(one.traffic().connections.len(), 1, "the old one is not kept");
}

/// The newest connections of a replica are those that it uses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_has_two_connections_at_most_and_the_newest_stay() {
    let other = Node::new("other");
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut stranger = Stranger::with_secret(1).connect(other.address()).await.unwrap();
        let answer = stranger.introduce(PROTOCOL, ("one", 1), ("other", 1)).await.unwrap();
        assert_eq!(answer.verdict, raw::WELCOME);
        open.push(stranger);
    }
    assert_eq!(other.traffic().connections.len(), 2);
    for closed in &mut open[..2] {
        closed.until_closed().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dialler_of_another_protocol_is_told_which_is_spoken() {
    let other = Node::new("other");
    let mut stranger = Stranger::with_secret(1).connect(other.address()).await.unwrap();
    let answer = stranger.introduce(PROTOCOL + 1, ("one", 1), ("other", 1)).await.unwrap();
    assert_eq!((answer.protocol, answer.verdict), (PROTOCOL, raw::OTHER_PROTOCOL));
    stranger.until_closed().await;
    other.until_refused(&["other_protocol"], 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_of_another_protocol_is_not_asked() {
    let one = Node::new("one");
    let address = raw::answer_hellos(1, raw::welcome(PROTOCOL + 6, "other", 1)).await;
    let peer = Peer { name: "other".to_owned(), address, epoch: 1 };
    let refused = one.echo(&peer).await.unwrap_err();
    let expected = Unreachable::OtherProtocol { ours: 1, theirs: 7 };
    assert_eq!(refused, Error::Unreachable(expected));
    let told =
        "the replica cannot be reached: it speaks protocol 7 between replicas, and this one 1";
    assert_eq!(refused.to_string(), told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_welcome_by_somebody_else_is_none() {
    let one = Node::new("one");
    let address = raw::answer_hellos(1, raw::welcome(PROTOCOL, "third", 9)).await;
    let peer = Peer { name: "other".to_owned(), address, epoch: 1 };
    let refused = one.echo(&peer).await.unwrap_err();
    let expected = Unreachable::NotIt { name: "third".to_owned(), epoch: 9 };
    assert_eq!(refused, Error::Unreachable(expected));
}

#[tokio::test]
async fn a_replica_has_a_name() {
    for name in ["", "two words", "a\nb", &"x".repeat(129)] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let settings = vmcp_peer::Settings::new(name, 1, Vec::new());
        let (tasks, stop) = Default::default();
        let handler: Arc<crate::support::Handler> = Arc::default();
        let started =
            vmcp_peer::Peers::start(settings, listener, Arc::new(|| None), handler, &tasks, &stop);
        assert!(started.is_err(), "{name:?}");
    }
}
