//! Bounds: of frames, heads, streams, connections and what waits.

use std::time::Duration;

use vmcp_peer::{Error, What};

use crate::support::{Node, eventually, request, ring};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_over_the_bound_of_the_producer_is_told() {
    let one = Node::new("one");
    let other = Node::with("other", &ring(&[1]), |settings| settings.frame_bytes = 1 << 20);
    let whole = one.ask(&other, "bytes", "1048576").await.unwrap().only().await.unwrap();
    assert_eq!(whole.len(), 1 << 20);
    let refused = one.ask(&other, "bytes", "1048577").await.unwrap().only().await;
    let expected = Error::TooLarge { what: What::Frame, bytes: 1_048_577, limit: 1_048_576 };
    assert_eq!(refused, Err(expected.clone()));
    assert!(!expected.is_not_carried_out());
    assert_eq!(expected.to_string(), "a frame of 1048577 bytes is over the bound of 1048576");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_over_the_bound_of_the_reader_is_not_taken() {
    let one = Node::with("one", &ring(&[1]), |settings| settings.frame_bytes = 1 << 20);
    let other = Node::new("other");
    let refused = one.ask(&other, "bytes", "1048577").await.unwrap().only().await;
    let expected = Error::TooLarge { what: What::Frame, bytes: 1_048_577, limit: 1_048_576 };
    assert_eq!(refused, Err(expected));
    assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello");
    assert_eq!(one.traffic().dialled, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_frame_passes_beside_others() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let large = (32 << 20).to_string();
    let asking = (0..4).map(|_| {
        let (peers, peer, large) = (one.peers.clone(), other.peer(), large.clone());
        async move {
            let frames = peers.ask(&peer, request("bytes", large)).await.unwrap();
            frames.only().await.unwrap().len()
        }
    });
    let all: tokio::task::JoinSet<usize> = asking.collect();
    assert_eq!(all.join_all().await, [32 << 20; 4]);
}

/// What is not read waits at its producer, but for what fits into the windows and the queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_stops_the_producer() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let mut frames = one.ask(&other, "endless", "10000").await.unwrap();
    eventually("it has begun", || other.sent() > 10).await;
    // Until no more is sent for a while.
    let mut sent = 0;
    while other.sent() > sent {
        sent = other.sent();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(sent * 10_000 < 1 << 20, "{sent} frames");
    assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello", "others are not held up");
    for _ in 0..100 {
        frames.next().await.unwrap();
    }
    eventually("it goes on", || other.sent() > sent).await;
    drop(frames);
    eventually("it ends", || other.dropped() == 1).await;
}

/// Each of them has its window full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_readers_that_do_not_read_hold_up_nobody() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let mut unread = Vec::new();
    for _ in 0..300 {
        unread.push(one.ask(&other, "endless", "40000").await.unwrap());
    }
    let mut sent = 0;
    while other.sent() > sent {
        sent = other.sent();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let large = one.ask(&other, "bytes", "3000000").await.unwrap().only().await.unwrap();
    assert_eq!(large.len(), 3_000_000);
    assert_eq!(one.traffic().dialled, 1);
    drop(unread);
    eventually("all end", || other.dropped() == 300).await;
}

/// Small frames cost more than their bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_frames_that_nobody_reads_end_no_connection() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let mut unread = Vec::new();
    for _ in 0..300 {
        unread.push(one.ask(&other, "endless", "20").await.unwrap());
    }
    let mut sent = 0;
    while other.sent() > sent {
        sent = other.sent();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    for frames in &mut unread {
        assert_eq!(frames.next().await.unwrap().unwrap().len(), 20);
    }
    assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello");
    assert_eq!(one.traffic().dialled, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_asker_over_its_bound_of_streams_is_told_at_once() {
    let few = |settings: &mut vmcp_peer::Settings| settings.streams = 10;
    let (one, other) = (Node::with("one", &ring(&[1]), few), Node::with("other", &ring(&[1]), few));
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(one.ask(&other, "waits", "").await.unwrap());
    }
    let refused = one.ask(&other, "echo", "").await.map(|_frames| ()).unwrap_err();
    assert!(matches!(refused, Error::Busy(_)), "{refused:?}");
    assert!(refused.is_not_carried_out());
    open.pop();
    assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello");
    assert_eq!(other.begun(), 11);
}

/// The asker would send more than the other one takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_streams_is_refused_and_nobody_else_slowed() {
    let one = Node::new("one");
    let other = Node::with("other", &ring(&[1]), |settings| {
        settings.streams_in_all = 50;
        settings.streams = 500;
    });
    let mut open = Vec::new();
    let mut busy = 0;
    for _ in 0..400 {
        match one.ask(&other, "waits", "").await {
            Ok(frames) => open.push(frames),
            Err(error) => {
                assert!(matches!(error, Error::Busy(_)), "{error:?}");
                busy += 1;
            }
        }
    }
    assert_eq!((open.len(), busy, other.begun()), (50, 350, 50));
    assert_eq!(one.failed("busy"), 350);
    open.pop();
    eventually("the place is free", || other.dropped() == 1).await;
    let third = Node::new("third");
    let echo = third.echo(&other.peer()).await;
    assert_eq!(echo.unwrap(), "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_takes_so_many_connections() {
    let other = Node::with("other", &ring(&[1]), |settings| settings.connections = 3);
    let mut askers: Vec<Node> = (0..3).map(|at| Node::new(&format!("asker-{at}"))).collect();
    for asker in &askers {
        assert_eq!(asker.echo(&other.peer()).await.unwrap(), "hello");
    }
    let late = Node::new("late");
    let refused = late.echo(&other.peer()).await.unwrap_err();
    assert!(refused.is_not_carried_out(), "{refused:?}");
    assert!(other.refused("full") > 0);
    let gone = askers.pop().unwrap();
    gone.stop.cancel();
    eventually("it is gone", || other.traffic().connections.len() == 2).await;
    assert_eq!(late.echo(&other.peer()).await.unwrap(), "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_dials_so_many() {
    let one = Node::with("one", &ring(&[1]), |settings| settings.connections = 2);
    let others: Vec<Node> = (0..3).map(|at| Node::new(&format!("other-{at}"))).collect();
    for other in &others[..2] {
        assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello");
    }
    let refused = one.echo(&others[2].peer()).await.unwrap_err();
    assert!(matches!(refused, Error::Busy(_)), "{refused:?}");
}
