//! Strangers at the listener. None of them reaches a handler, and peers are served meanwhile.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::Instant,
};
use vmcp_peer::PROTOCOL;

use crate::{
    raw::{Stranger, client_hello},
    support::{Node, PATIENCE, eventually},
};

/// In a second, as is promised, and some more as the machine may be busy.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_tls_is_refused() {
    let node = Node::new("node");
    let preface: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let attempts: [&[u8]; 5] = [
        b"GET /echo HTTP/1.1\r\nhost: vmcp-peer\r\n\r\n",
        preface,
        // The first words, in clear.
        b"\0\x1a\0\0\0\x01\x03one\0\0\0\0\0\0\0\x01\x04node\0\0\0\0\0\0\0\x01",
        &[0; 4096],
        // A ClientHello whose length is a lie.
        b"\x16\x03\x01\x40\x00\x01\xff\xff\xff",
    ];
    for (attempt, bytes) in attempts.into_iter().enumerate() {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(node.address()).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        closed(&mut stream).await;
        assert!(begun.elapsed() < SOON, "{attempt}: {:?}", begun.elapsed());
    }
    node.until_refused(&["tls", "slow"], 5).await;
    assert_untouched(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_shows_no_key_is_refused() {
    let node = Node::new("node");
    refuse(Stranger::showing_nothing(), node.address()).await;
    let mut stranger = Stranger::showing_nothing();
    stranger.takes_raw_keys = false;
    refuse(stranger, node.address()).await;
    node.until_refused(&["tls"], 2).await;
    assert_untouched(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_not_in_the_ring_is_refused() {
    let node = Node::new("node");
    refuse(Stranger::with_secret(2), node.address()).await;
    node.until_refused(&["tls"], 1).await;
    assert_untouched(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_2_is_refused() {
    let node = Node::new("node");
    let mut stranger = Stranger::with_secret(1);
    stranger.versions = vec![&rustls::version::TLS12];
    let refused = stranger.connect(node.address()).await.map(|_connected| ()).unwrap_err();
    assert!(refused.to_string().contains("ProtocolVersion"), "{refused}");
    node.until_refused(&["tls"], 1).await;
    assert_untouched(&node).await;
}

/// The certificate is for a key that is in the ring: it is not that key that is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_refused() {
    let node = Node::new("node");
    for takes_raw_keys in [true, false] {
        let mut stranger = Stranger::with_certificate(1);
        stranger.takes_raw_keys = takes_raw_keys;
        refuse(stranger, node.address()).await;
    }
    node.until_refused(&["tls"], 2).await;
    assert_untouched(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_protocol_over_tls_is_refused() {
    let node = Node::new("node");
    for alpn in [vec![], vec![b"h2".to_vec()], vec![b"http/1.1".to_vec(), b"h2".to_vec()]] {
        let mut stranger = Stranger::with_secret(1);
        stranger.alpn = alpn;
        refuse(stranger, node.address()).await;
    }
    node.until_refused(&["tls"], 3).await;
    assert_untouched(&node).await;
}

/// A key is shown, and then nonsense is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn first_words_that_make_no_sense_are_refused() {
    let node = Node::new("node");
    let words: [&[u8]; 3] = [b"\0\x03abc", b"\xff\xff", b"\0\x05\0\0\0\x01\xff"];
    for bytes in words {
        let mut stranger = Stranger::with_secret(1).connect(node.address()).await.unwrap();
        stranger.tls.write_all(bytes).await.unwrap();
        stranger.until_closed().await;
    }
    node.until_refused(&["nonsense"], 3).await;
    assert_untouched(&node).await;
}

/// A ticket would outlive the key under which it was given.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_can_be_resumed() {
    let node = Node::new("node");
    let mut stranger = Stranger::with_secret(1).connect(node.address()).await.unwrap();
    stranger.introduce(PROTOCOL, ("one", 1), ("node", 1)).await.unwrap();
    let (_, session) = stranger.tls.get_ref();
    assert_eq!(session.tls13_tickets_received(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_connections_that_say_nothing_keep_nobody_out() {
    let (node, peer) = (Node::new("node"), Node::new("peer"));
    let mut silent = Vec::new();
    for _ in 0..1000 {
        silent.push(TcpStream::connect(node.address()).await.unwrap());
    }
    let begun = Instant::now();
    assert_eq!(peer.echo(&node.peer()).await.unwrap(), "hello");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    for mut stream in silent {
        closed(&mut stream).await;
    }
    node.until_refused(&["displaced", "slow", "lost"], 1000).await;
    assert_eq!(node.traffic().taken, 1);
}

/// They go on coming, and begin what they never end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_handshakes_keep_nobody_out() {
    let (node, peer) = (Node::new("node"), Node::new("peer"));
    let address = node.address();
    let mut attack = JoinSet::new();
    attack.spawn(async move {
        let mut open = std::collections::VecDeque::new();
        loop {
            let Ok(mut stream) = TcpStream::connect(address).await else { continue };
            let _sent = stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await;
            open.push_back(stream);
            if open.len() > 200 {
                open.pop_front();
            }
        }
    });
    eventually("it is at work", || node.refused("displaced") > 100).await;
    for _ in 0..3 {
        let asker = Node::new("asker");
        let begun = Instant::now();
        assert_eq!(asker.echo(&node.peer()).await.unwrap(), "hello");
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
    assert_eq!(peer.echo(&node.peer()).await.unwrap(), "hello");
}

/// They have sent all that a handshake begins with, from an address of their own, and leave it at that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_are_never_finished_displace_each_other() {
    let node = Node::new("node");
    let mut open = Vec::new();
    let hello = client_hello();
    for _ in 0..200 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(node.address()).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        open.push(stream);
    }
    let begun = Instant::now();
    assert_eq!(Node::new("peer").echo(&node.peer()).await.unwrap(), "hello");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    // Sixteen of them run out of time.
    node.until_refused(&["displaced", "slow"], 200).await;
    assert!(node.refused("displaced") >= 184, "{}", node.refused("displaced"));
}

/// Shaking hands may not go well, or it may until the first words.
async fn refuse(stranger: Stranger, address: SocketAddr) {
    let begun = Instant::now();
    if let Ok(mut connected) = stranger.connect(address).await {
        let introduced = connected.introduce(PROTOCOL, ("one", 1), ("node", 1)).await;
        assert!(introduced.is_err(), "{introduced:?}");
    }
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

async fn closed(stream: &mut TcpStream) {
    let mut bytes = [0; 1024];
    let reading = async { while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(PATIENCE, reading).await.expect("the other end closes the connection");
}

/// Nothing was taken, and a peer is.
async fn assert_untouched(node: &Node) {
    assert_eq!((node.begun(), node.traffic().taken), (0, 0));
    let peer = Node::new("peer");
    assert_eq!(peer.echo(&node.peer()).await.unwrap(), "hello");
}
