//! Which side of a backend a client is served by, however it answers the questions for them.

use std::{sync::Mutex, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use vmcp_backend::Error;
use vmcp_model::{Era, ProtocolVersion};

use crate::peer::{Asked, Peer, Say, legacy, modern, view};

const MODERN: ProtocolVersion = ProtocolVersion::MODERN;

/// What a legacy server makes of a method that it does not know may be anything. `initialize` decides.
#[tokio::test]
async fn a_legacy_server_that_fails_at_the_question_is_asked_once_and_used() {
    let ended = || Say::Stream(mpsc::channel(1).1);
    let failing = || Say::Raw(500, "text/plain", String::new());
    let broken = || Say::Raw(200, "application/json", "{".to_owned());
    for unknown in [failing, ended, broken] {
        let peer = Peer::start(move |asked| match asked.method() {
            "server/discover" => unknown(),
            _ => legacy(asked),
        })
        .await;
        let backend = peer.backend();
        for _session in 0..3 {
            assert!(!backend.open(&view(MODERN, "{}")).await.unwrap().is_stateless());
        }
        assert_eq!(backend.era(), Some(Era::Legacy));
        assert_eq!((peer.count("server/discover"), peer.count("initialize")), (1, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn silence_about_the_question_costs_a_second_once() {
    // An open stream, with and without an event that says nothing.
    let kept_open = Mutex::new(Vec::new());
    let peer = Peer::start(move |asked| match asked.method() {
        "server/discover" => {
            let (sender, stream) = mpsc::channel(1);
            kept_open.lock().unwrap().push(sender);
            Say::Stream(stream)
        }
        _ => legacy(asked),
    });
    let peer = peer.await;
    let backend = peer.backend();
    let began = Instant::now();
    for _session in 0..3 {
        assert!(!backend.open(&view(MODERN, "{}")).await.unwrap().is_stateless());
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(2), "{took:?}");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(backend.era(), Some(Era::Legacy), "the question has remained without an answer");
    assert!(!backend.open(&view(MODERN, "{}")).await.unwrap().is_stateless());
    assert_eq!(peer.count("server/discover"), 1);
}

#[tokio::test]
async fn a_moment_of_a_modern_server_decides_nothing() {
    for status in [429, 502, 503] {
        let peer = Peer::start(move |asked| match asked.method() {
            "server/discover" => Say::Raw(status, "text/plain", String::new()),
            _ => legacy(asked),
        })
        .await;
        let backend = peer.backend();
        assert!(!backend.open(&view(MODERN, "{}")).await.unwrap().is_stateless());
        peer.become_one(dual);
        assert!(backend.open(&view(MODERN, "{}")).await.unwrap().is_stateless(), "{status}");
    }
}

/// A server of both eras that names only the modern one, as those of the official SDKs do.
fn dual(asked: &Asked) -> Say {
    if asked.header("mcp-protocol-version") == Some("2026-07-28") {
        modern(asked)
    } else {
        legacy(asked)
    }
}

#[tokio::test]
async fn each_client_is_served_by_the_side_of_its_own_era() {
    for first in [MODERN, ProtocolVersion::LATEST_LEGACY] {
        let peer = Peer::start(dual).await;
        let backend = peer.backend();
        backend.open(&view(first, "{}")).await.unwrap();
        for _session in 0..2 {
            assert!(backend.open(&view(MODERN, "{}")).await.unwrap().is_stateless());
            let session = backend.open(&view(ProtocolVersion::LATEST_LEGACY, "{}")).await.unwrap();
            assert!(!session.is_stateless());
        }
        assert_eq!(backend.speaks(), "both");
        assert_eq!(peer.count("server/discover"), 1);
    }
}

#[tokio::test]
async fn a_legacy_client_is_served_by_a_server_of_the_modern_era_alone() {
    let client = view(ProtocolVersion::LATEST_LEGACY, "{}");
    for refusal in [400, 404, 405, 500, 501] {
        let peer = Peer::start(move |asked| match asked.method() {
            "initialize" => Say::Raw(refusal, "text/plain", "no".to_owned()),
            _ => modern(asked),
        })
        .await;
        let backend = peer.backend();
        for _session in 0..3 {
            assert!(backend.open(&client).await.unwrap().is_stateless(), "{refusal}");
        }
        assert_eq!(peer.methods(), ["initialize", "server/discover"], "{refusal}");
        assert_eq!(backend.speaks(), "modern");
    }
}

#[tokio::test]
async fn a_server_that_is_out_of_order_is_of_no_era_yet() {
    let client = view(ProtocolVersion::LATEST_LEGACY, "{}");
    let peer = Peer::start(|_asked| Say::Raw(503, "text/plain", String::new())).await;
    let backend = peer.backend();
    assert!(matches!(backend.open(&client).await, Err(Error::Refused { status: 503, .. })));
    assert_eq!(backend.speaks(), "unknown");
    peer.become_one(modern);
    assert!(backend.open(&client).await.unwrap().is_stateless());
}
