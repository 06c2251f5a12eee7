//! What is asked is answered.

use std::sync::atomic::Ordering;

use tokio::task::JoinSet;
use vmcp_peer::{Direction, Error, Refusal, State, What};

use crate::support::{LENGTHS, Node, eventually, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_answers_another() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let answer = one.ask(&other, "echo", "hello").await.unwrap().only().await;
    assert_eq!(answer.unwrap(), "hello");
    let askers = other.handler.askers.lock().unwrap().clone();
    assert_eq!((&*askers[0].name, askers[0].epoch), ("one", 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_all_lengths_arrive_whole_and_in_order() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let mut frames = one.ask(&other, "lengths", "").await.unwrap();
    for (byte, length) in (0..).zip(LENGTHS) {
        let frame = frames.next().await.unwrap().expect("there are more");
        assert_eq!(frame.len(), length);
        assert!(frame.iter().all(|found| *found == byte));
    }
    assert_eq!(frames.next().await, Ok(None));
    assert_eq!(frames.next().await, Ok(None));
    let mut frames = one.ask(&other, "counts", "20000").await.unwrap();
    for number in 0..20_000 {
        assert_eq!(frames.next().await.unwrap().unwrap(), number.to_string());
    }
    assert_eq!(frames.next().await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_up_to_the_bound_are_sent_whole() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    for length in [0, 1, 100_000, 128 << 10, 200_000, 256 << 10] {
        let head: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let answer = one.ask(&other, "echo", head.clone()).await.unwrap().only().await.unwrap();
        assert!(answer == head, "{length} bytes");
    }
    let refused = one.ask(&other, "echo", vec![0; (256 << 10) + 1]).await.unwrap_err();
    let expected = Error::TooLarge { what: What::Head, bytes: (256 << 10) + 1, limit: 256 << 10 };
    assert_eq!(refused, expected);
    assert!(refused.is_not_carried_out());
    assert_eq!(other.begun(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_says_no_at_once_or_later() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let mut frames = one.ask(&other, "refuse", "").await.unwrap();
    let refusal = Refusal::new(404, "there is nothing like it");
    assert_eq!(frames.next().await, Err(Error::Refused(refusal)));
    let mut frames = one.ask(&other, "late", "").await.unwrap();
    assert_eq!(frames.next().await.unwrap().unwrap(), "first");
    let refusal = Refusal::new(409, "not the rest");
    assert_eq!(frames.next().await, Err(Error::Refused(refusal)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_cut_has_not_ended() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let mut frames = one.ask(&other, "cut", "").await.unwrap();
    assert_eq!(frames.next().await.unwrap().unwrap(), "first", "what was sent before arrives");
    let cut = frames.next().await;
    assert!(matches!(cut, Err(Error::Gone(_))), "{cut:?}");
    let panicked = one.ask(&other, "panic", "").await.map(|_frames| ());
    assert!(matches!(panicked, Err(Error::Gone(_))), "{panicked:?}");
    assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello", "the connection goes on");
    assert_eq!(one.traffic().dialled, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_a_path_is_not_asked_for() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    for path in ["", "a b", "a?b", "a\r\nb", "ä", &"x".repeat(65)] {
        let refused = one.peers.ask(&other.peer(), request(path, "")).await.map(|_frames| ());
        assert!(matches!(refused, Err(Error::Protocol(_))), "{path:?}: {refused:?}");
    }
    assert_eq!(other.begun(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_at_once_dial_once() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let mut asking = JoinSet::new();
    for _ in 0..200 {
        let (peers, peer) = (one.peers.clone(), other.peer());
        asking.spawn(async move {
            peers.ask(&peer, request("echo", "hello")).await.unwrap().only().await.unwrap()
        });
    }
    for answer in asking.join_all().await {
        assert_eq!(answer, "hello");
    }
    assert_eq!((one.traffic().dialled, other.traffic().taken), (1, 1));
    assert_eq!((one.traffic().asked, other.traffic().served), (200, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_dials_first_going_away_stops_nobody_else() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let peer = other.peer();
    let mut first = Box::pin(one.peers.ask(&peer, request("echo", "hello")));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(first.as_mut().poll(&mut context).is_pending());
    drop(first);
    assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello");
    assert_eq!(one.traffic().dialled, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_ask_each_other_at_once() {
    let nodes: Vec<Node> = ["one", "two", "three"].map(Node::new).into();
    let pairs = nodes.iter().flat_map(|asker| nodes.iter().map(move |asked| (asker, asked)));
    let mut asking = JoinSet::new();
    for ((asker, asked), number) in pairs.flat_map(|pair| (0..20).map(move |number| (pair, number)))
    {
        let (peers, peer, text) = (asker.peers.clone(), asked.peer(), format!("{number}"));
        asking.spawn(async move {
            let asked = peers.ask(&peer, request("echo", text.clone())).await.unwrap();
            assert_eq!(asked.only().await.unwrap(), text);
        });
    }
    asking.join_all().await;
    for node in &nodes {
        assert_eq!(node.handler.begun.load(Ordering::SeqCst), 60);
        assert_eq!(node.traffic().dialled, 3, "itself among them");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_is_told() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let mut frames = one.ask(&other, "waits", "").await.unwrap();
    frames.next().await.unwrap();
    let asked = one.traffic().connections;
    let [asked] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((&*asked.name, asked.epoch, asked.address), ("other", 1, other.address()));
    assert_eq!((asked.direction, asked.state, asked.streams), (Direction::Dialled, State::Open, 1));
    let served = other.traffic().connections;
    let [served] = &served[..] else { panic!("{served:?}") };
    assert_eq!((&*served.name, served.epoch), ("one", 1));
    assert_eq!((served.direction, served.streams), (Direction::Taken, 1));
    drop(frames);
    eventually("the stream is closed on both ends", || {
        let streams = |node: &Node| node.traffic().connections[0].streams;
        streams(&one) == 0 && streams(&other) == 0
    })
    .await;
}
