//! Peers that show a key of the ring and do not keep to the protocol.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use tokio::{io::AsyncWriteExt as _, task::JoinSet};
use vmcp_peer::{Error, PROTOCOL, Peer, What};

use crate::{
    raw::{self, Stranger},
    support::{Node, request},
};

/// Asks a peer that answers with this body. It is ended, or left as it is until the connection is lost.
async fn answered_with(body: &'static [u8], is_ended: bool) -> Result<Bytes, Error> {
    let (address, mut taken) = raw::take_hellos(1).await;
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut tls = taken.recv().await.unwrap();
        tls.write_all(&raw::welcome(PROTOCOL, "other", 1)).await.unwrap();
        let mut h2 = h2::server::handshake(tls).await.unwrap();
        let (_request, mut respond) = h2.accept().await.unwrap().unwrap();
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        stream.send_data(Bytes::from_static(body), is_ended).unwrap();
        // It is driven until it is dropped.
        if is_ended {
            while h2.accept().await.is_some() {}
        } else {
            let _ended = tokio::time::timeout(std::time::Duration::from_secs(1), h2.accept()).await;
        }
    });
    let one = Node::new("one");
    let peer = Peer { name: "other".to_owned(), address, epoch: 1 };
    one.reach(&peer, request("echo", "hello")).await?.only().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_frame_is_none() {
    for is_ended in [true, false] {
        for body in [&b"\x01\0\0\0\x05abc"[..], b"\x01\0\0", b"\x01\0\0\0\x03abc", b""] {
            let answer = answered_with(body, is_ended).await;
            assert!(matches!(answer, Err(Error::Gone(_))), "{body:?}: {answer:?}");
        }
    }
    assert_eq!(answered_with(b"\x01\0\0\0\x03abc\x02\0\0\0\0", true).await.unwrap(), "abc");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_of_any_length_is_not_waited_for() {
    let answer = answered_with(b"\x01\xff\xff\xff\xff", false).await;
    let (bytes, limit) = (u64::from(u32::MAX), 32 << 20);
    assert_eq!(answer, Err(Error::TooLarge { what: What::Frame, bytes, limit }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_are_none_are_refused() {
    for body in [&b"\0\0\0\0\0"[..], b"\x09\0\0\0\x01x", b"\x02\0\0\0\x01x", b"\x03\0\0\0\x01x"] {
        let answer = answered_with(body, false).await;
        assert!(matches!(answer, Err(Error::Protocol(_))), "{body:?}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_none_reach_no_handler() {
    let node = Node::new("node");
    let mut stranger = Stranger::with_secret(1).connect(node.address()).await.unwrap();
    let answer = stranger.introduce(PROTOCOL, ("one", 1), ("node", 1)).await.unwrap();
    assert_eq!(answer.verdict, raw::WELCOME);
    let (mut send, connection) = h2::client::handshake(stranger.tls).await.unwrap();
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let mut ask = |method: Method, path: &str, head: usize| {
        let asked = Request::builder().method(method).uri(format!("https://vmcp-peer{path}"));
        let (response, mut body) = send.send_request(asked.body(()).unwrap(), false).unwrap();
        body.send_data(vec![0; head].into(), true).unwrap();
        response
    };
    for (method, path, head, expected) in [
        (Method::POST, "/echo", (256 << 10) + 1, StatusCode::PAYLOAD_TOO_LARGE),
        (Method::POST, "/echo", 1 << 20, StatusCode::PAYLOAD_TOO_LARGE),
        (Method::GET, "/echo", 0, StatusCode::BAD_REQUEST),
        (Method::POST, "/", 0, StatusCode::BAD_REQUEST),
        (Method::POST, "/a%20b", 0, StatusCode::BAD_REQUEST),
    ] {
        let status = ask(method, path, head).await.unwrap().status();
        assert_eq!(status, expected, "{path}, {head} bytes");
    }
    assert_eq!(node.begun(), 0);
    assert_eq!(ask(Method::POST, "/echo", 256 << 10).await.unwrap().status(), StatusCode::OK);
}
