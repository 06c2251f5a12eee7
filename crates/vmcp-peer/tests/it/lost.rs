//! Peers that are lost: what was carried out, what may have been, and what was not.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};
use vmcp_peer::{Error, Peer, Unreachable};

use crate::{
    elsewhere::Elsewhere,
    relay::Relay,
    support::{Node, eventually, request, ring},
};

/// In a second, as is promised, and some more as the machine may be busy.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_at_the_address_is_known_at_once() {
    let one = Node::new("one");
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = Peer { name: "nobody".to_owned(), address, epoch: 1 };
    let refused = one.echo(&nobody).await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable(Unreachable::Connect(_))), "{refused:?}");
    assert!(refused.is_not_carried_out());
}

/// A listener that takes connections and says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_address_is_given_up_in_time() {
    let one = Node::new("one");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let silent = Peer { name: "silent".to_owned(), address, epoch: 1 };
    let begun = Instant::now();
    let refused = one.try_echo(&silent).await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable(Unreachable::Slow(_))), "{refused:?}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_falls_silent_is_gone_for_both_ends() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let relay = Relay::to(other.address()).await;
    let peer = other.at(relay.address);
    let mut frames = one.reach(&peer, request("waits", "")).await.unwrap();
    frames.next().await.unwrap();
    let asking = one.peers.ask(&peer, request("never", ""));
    let asking = async { asking.await.map(|_frames| ()) };
    let silence = async {
        eventually("it has begun", || other.begun() == 2).await;
        relay.silence(true);
        Instant::now()
    };
    let (asked, silent_since) = tokio::join!(asking, silence);
    let gone = frames.next().await;
    assert!(silent_since.elapsed() < SOON, "{:?}", silent_since.elapsed());
    assert!(matches!(&gone, Err(Error::Gone(why)) if why.contains("sign of life")), "{gone:?}");
    assert!(matches!(asked, Err(Error::Gone(_))), "{asked:?}");
    eventually("its producers are dropped there", || other.dropped() == 2).await;
    assert!(silent_since.elapsed() < SOON, "{:?}", silent_since.elapsed());

    let refused = one.try_echo(&peer).await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable(Unreachable::Slow(_))), "{refused:?}");
    relay.silence(false);
    assert_eq!(one.echo(&peer).await.unwrap(), "hello", "it is back");
}

/// Nothing is asked of a peer that was not heard for a moment before it was heard again: so whatever is lost with
/// it was not carried out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_on_a_connection_that_died_unnoticed_is_not_carried_out() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let relay = Relay::to(other.address()).await;
    let peer = other.at(relay.address);
    one.echo(&peer).await.unwrap();
    relay.silence(true);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let refused = one.try_echo(&peer).await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable(_)), "{refused:?}");
    assert_eq!(other.begun(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_was_reset_unnoticed_costs_no_request() {
    let (one, other) = (Node::new("one"), Node::new("other"));
    let relay = Relay::to(other.address()).await;
    let peer = other.at(relay.address);
    one.echo(&peer).await.unwrap();
    relay.reset();
    eventually("it is noticed", || one.traffic().connections.is_empty()).await;
    assert_eq!(one.echo(&peer).await.unwrap(), "hello");
    assert_eq!(one.traffic().dialled, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_dies_ends_its_streams() {
    let one = Node::new("one");
    let other = Elsewhere::start(|| Node::new("other"));
    let peer = other.node.peer();
    let mut frames = one.reach(&peer, request("waits", "")).await.unwrap();
    frames.next().await.unwrap();
    drop(other);
    let gone = frames.next().await;
    assert!(matches!(gone, Err(Error::Gone(_))), "{gone:?}");
    let refused = one.try_echo(&peer).await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable(_)), "{refused:?}");
}

/// Connections are reset at all moments. Whatever is said not to have been carried out was not, and whatever was
/// answered was carried out once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unreachable_was_never_carried_out() {
    let (one, other) = (Arc::new(Node::new("one")), Node::new("other"));
    let relay = Relay::to(other.address()).await;
    let peer = other.at(relay.address);
    let (mut answered, mut gone, mut not_carried_out) = (Vec::new(), 0, Vec::new());
    for round in 0..150_u64 {
        let mut asking = JoinSet::new();
        for number in 0..8_usize {
            let (one, peer) = (Arc::clone(&one), peer.clone());
            let name = format!("named/{round}-{number}");
            // Short ones, and some that take several pieces.
            let head = vec![3; if number % 2 == 0 { 10 } else { 200 << 10 }];
            asking.spawn(async move {
                let answer = match one.peers.ask(&peer, request(&name, head)).await {
                    Ok(frames) => frames.only().await,
                    Err(error) => Err(error),
                };
                (name, answer)
            });
        }
        // A moment that differs from round to round, from before the dialling to after the answers.
        tokio::time::sleep(Duration::from_micros(round * 97 % 5_000)).await;
        relay.reset();
        for (name, asked) in asking.join_all().await {
            match asked {
                Ok(_answer) => answered.push(name),
                Err(error) if error.is_not_carried_out() => not_carried_out.push(name),
                Err(Error::Gone(_)) => gone += 1,
                Err(error) => panic!("{error:?}"),
            }
        }
    }
    one.stop.cancel();
    eventually("all is over", || other.traffic().connections.is_empty()).await;
    let begun = other.handler.named.lock().unwrap().clone();
    let count = |name: &String| begun.iter().filter(|begun| *begun == name).count();
    assert!(answered.iter().all(|name| count(name) == 1));
    let wrong: Vec<_> = not_carried_out.iter().filter(|name| count(name) > 0).collect();
    assert!(wrong.is_empty(), "they were carried out: {wrong:?}");
    let kinds = (answered.len(), gone, not_carried_out.len());
    println!("answered {}, gone {}, not carried out {}", kinds.0, kinds.1, kinds.2);
    assert!(kinds.0 > 0 && kinds.1 > 0, "the moments were well spread");
}

/// A replica stops while it is asked, again and again. Nobody is told that a request may have been carried out:
/// it was answered, or it was not carried out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stops_leaves_nobody_in_doubt() {
    let one = Arc::new(Node::new("one"));
    for round in 0..40_u64 {
        let other = Node::with("other", &ring(&[1]), |settings| settings.epoch = round);
        let mut asking = JoinSet::new();
        for _ in 0..4 {
            let (one, peer) = (Arc::clone(&one), other.peer());
            asking.spawn(ask_until_it_fails(one, peer));
        }
        eventually("they ask", || other.begun() > 50).await;
        tokio::time::sleep(Duration::from_micros(round * 53)).await;
        other.stop.cancel();
        for error in asking.join_all().await {
            assert!(error.is_not_carried_out(), "round {round}: {error:?}");
        }
    }
}

async fn ask_until_it_fails(one: Arc<Node>, peer: Peer) -> Error {
    loop {
        if let Err(error) = one.try_echo(&peer).await {
            return error;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stood_still_is_dialled_anew() {
    let one = Node::new("one");
    let other = Elsewhere::start(|| Node::new("other"));
    let peer = other.node.peer();
    let mut frames = one.reach(&peer, request("waits", "")).await.unwrap();
    frames.next().await.unwrap();
    let still = other.stand_still();
    let gone = frames.next().await;
    assert!(matches!(gone, Err(Error::Gone(_))), "{gone:?}");
    let refused = one.try_echo(&peer).await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable(_)), "{refused:?}");
    drop(still);
    eventually("its producer is told", || other.node.dropped() == 1).await;
    assert_eq!(one.echo(&peer).await.unwrap(), "hello");
    assert_eq!(other.node.begun(), 2, "what was unreachable was not carried out later");
}

/// Whoever asks stands still: its peer gives it up, and it learns of that when it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_stood_still_dials_anew() {
    let one = Elsewhere::start(|| Node::new("one"));
    let other = Node::new("other");
    let peer = other.peer();
    let mut frames = one.node.reach(&peer, request("waits", "")).await.unwrap();
    frames.next().await.unwrap();
    let still = one.stand_still();
    eventually("its producer is told", || other.dropped() == 1).await;
    eventually("it is given up", || other.traffic().connections.is_empty()).await;
    drop(still);
    let gone = frames.next().await;
    assert!(matches!(gone, Err(Error::Gone(_))), "{gone:?}");
    assert_eq!(one.node.echo(&peer).await.unwrap(), "hello");
    assert_eq!(one.node.traffic().dialled, 2);
}
