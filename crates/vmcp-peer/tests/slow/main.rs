//! A peer that is cut off without a word: its packets are dropped on their way. To be run by root.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the message")]
#![expect(clippy::print_stdout, reason = "the figures are a result of the tests")]

#[path = "../it/elsewhere.rs"]
#[expect(dead_code, reason = "here nobody stands still")]
mod elsewhere;
#[path = "../it/support.rs"]
#[expect(dead_code, reason = "the other tests need more of it")]
mod support;
mod wire;

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::time::Instant;
use vmcp_peer::{Error, Peer, Unreachable};

use elsewhere::Elsewhere;
use support::{Node, eventually, request, ring};
use wire::{End, Wire};

/// What is promised.
const PROMISED: Duration = Duration::from_secs(1);

/// How often it is tried: the machine may be busy, and the promise is about the channel.
const ROUNDS: usize = 4;

#[test]
fn a_peer_whose_packets_are_dropped_is_noticed_within_a_second() {
    check(
        "iptables -A INPUT -i wire -j DROP && iptables -A OUTPUT -o wire -j DROP",
        "iptables -F",
        PROMISED,
    );
}

#[test]
fn a_peer_whose_wire_is_cut_is_noticed_within_a_second() {
    check("ip link set wire down", "ip link set wire up", PROMISED);
}

/// It hears nothing, and can be heard for as long as it has something to say: that counts as a sign of life.
#[test]
fn a_peer_that_can_speak_but_not_hear_is_noticed() {
    check("iptables -A INPUT -i wire -j DROP", "iptables -F", PROMISED * 2);
}

/// Checks that a peer is noticed to be gone after it was cut off by a command, and to be back after the other.
fn check(cut: &str, mend: &str, promised: Duration) {
    let wire = Arc::new(Wire::new());
    let node = |end: End, address: [u8; 4], name: &'static str| {
        let wire = Arc::clone(&wire);
        Elsewhere::start(move || {
            wire.enter(end);
            Node::on(Ipv4Addr::from(address), name, &ring(&[1]), |_settings| {})
        })
    };
    let other = node(End::Second, [10, 44, 0, 2], "other");
    let one = node(End::First, [10, 44, 0, 1], "one");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(runtime.block_on(round(&one.node, &other.node, &wire, cut, mend)));
    }
    for (what, time) in ["an open stream ends", "a producer is told", "a new request fails"]
        .into_iter()
        .zip([0, 1, 2].map(|at| rounds.iter().map(|round| round[at]).min().unwrap()))
    {
        println!("{what} after {} ms", time.as_millis());
        assert!(time < promised, "{what}: {rounds:?}");
    }
}

/// Cuts once and mends. Gives how long it took until an open stream ended, until its producer knew, and until a
/// request that was made afterwards was refused.
async fn round(one: &Node, other: &Node, wire: &Wire, cut: &str, mend: &str) -> [Duration; 3] {
    let peer: Peer = other.peer();
    assert_eq!(one.echo(&peer).await.unwrap(), "hello");
    let mut frames = one.reach(&peer, request("waits", "")).await.unwrap();
    frames.next().await.unwrap();
    let (begun, dropped) = (other.begun(), other.dropped());
    wire.within(End::Second, cut);
    let since = Instant::now();
    let told = async {
        eventually("the producer is told", || other.dropped() > dropped).await;
        since.elapsed()
    };
    let ended = async {
        let gone = frames.next().await;
        assert!(matches!(gone, Err(Error::Gone(_))), "{gone:?}");
        since.elapsed()
    };
    let (ended, told) = tokio::join!(ended, told);
    let since = Instant::now();
    let refused = one.try_echo(&peer).await.unwrap_err();
    let unreachable = since.elapsed();
    let is_unreachable =
        matches!(refused, Error::Unreachable(Unreachable::Slow(_) | Unreachable::Connect(_)));
    assert!(is_unreachable, "{refused:?}");
    assert_eq!(other.begun(), begun);
    wire.within(End::Second, mend);
    let since = Instant::now();
    while let Err(error) = one.try_echo(&peer).await {
        assert!(error.is_not_carried_out(), "{error:?}");
        assert!(since.elapsed() < support::PATIENCE, "it is back: {error:?}");
    }
    [ended, told, unreachable]
}
