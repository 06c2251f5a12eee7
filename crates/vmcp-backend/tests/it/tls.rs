//! Backends behind TLS: whom vmcp trusts, and how calls share connections.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use vmcp_backend::{
    Answer, Backend, ClientView, Config, Connections, Endpoint, Error, InvalidConfig, Limits,
    Session, Timeouts, Transport,
};
use vmcp_model::{BackendId, Method, ProtocolVersion};
use vmcp_wire::Message;

use crate::server::{Authority, Server};

const BOTH: &[&str] = &["h2", "http/1.1"];
const HTTP1: &[&str] = &["http/1.1"];

/// Longer than any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn http2_is_spoken_where_the_backend_offers_it() {
    let authority = Authority::new();
    let server = Server::start(&authority, BOTH, 1).await;
    assert_eq!(version(&server, &authority).await, "HTTP/2.0");
}

#[tokio::test]
async fn http1_is_spoken_where_the_backend_offers_nothing_else() {
    let authority = Authority::new();
    let server = Server::start(&authority, HTTP1, 1).await;
    assert_eq!(version(&server, &authority).await, "HTTP/1.1");
}

#[tokio::test]
async fn a_backend_of_another_authority_is_unreachable() {
    let server = Server::start(&Authority::new(), BOTH, 1).await;
    let backend = backend(&server, "/mcp", Some(&Authority::new())).unwrap();
    let opened = backend.open(&view()).await;
    assert!(matches!(opened, Err(Error::Unreachable(_))), "{opened:?}");
}

#[tokio::test]
async fn a_backend_of_a_private_authority_is_unreachable_without_its_bundle() {
    let server = Server::start(&Authority::new(), BOTH, 1).await;
    let backend = match backend(&server, "/mcp", None) {
        Ok(backend) => backend,
        // A machine without any authority trusts nobody, and says so earlier.
        Err(InvalidConfig::SystemRoots(_)) => return,
        Err(error) => panic!("{error}"),
    };
    let opened = backend.open(&view()).await;
    assert!(matches!(opened, Err(Error::Unreachable(_))), "{opened:?}");
}

#[tokio::test]
async fn a_connection_of_http1_is_used_again() {
    let authority = Authority::new();
    let server = Server::start(&authority, HTTP1, 1).await;
    let (backend, session) = open(&server, &authority).await;
    for _call in 0..5 {
        backend.ask(&session, Method::Ping, None).await.unwrap();
    }
    assert_eq!(server.seen.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn large_bodies_go_both_ways() {
    let authority = Authority::new();
    let params = format!(r#"{{"x":"{}"}}"#, "x".repeat(3 << 20));
    for protocols in [BOTH, HTTP1] {
        let server = Server::start(&authority, protocols, 1).await;
        let (backend, session) = open(&server, &authority).await;
        for _call in 0..3 {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"echo","params":{params}}}"#);
            let message = Message::parse(text.into()).unwrap();
            let id = message.id().unwrap().key();
            let answer = backend.post(&session, message.text().clone(), Some(&id), None).await;
            let Answer::Whole(body) = answer.unwrap() else { panic!("a stream") };
            let answer = Message::parse(body.collect(usize::MAX).await.unwrap()).unwrap();
            assert!(answer.result() == Some(params.as_bytes()), "{:?}", answer.text().len());
        }
        assert_eq!(server.seen.connections.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn more_calls_than_one_connection_takes_open_others() {
    // More than the server allows on one connection, and each waits for all: had one to wait for
    // another's end, none would ever be answered.
    const CALLS: usize = 150;
    let authority = Authority::new();
    let server = Server::start(&authority, BOTH, CALLS).await;
    let (backend, session) = open(&server, &authority).await;
    let mut calls = JoinSet::new();
    for _call in 0..CALLS {
        let (backend, session) = (Arc::clone(&backend), session.clone());
        calls.spawn(async move {
            backend.ask(&session, Method::PromptsGet, None).await.map(|_answer| ())
        });
    }
    for answered in calls.join_all().await {
        answered.unwrap();
    }
    assert_eq!(server.seen.connections.load(Ordering::Relaxed), 3, "64 calls share a connection");
    assert_eq!(backend.stats().connections, Some(Connections { used: 0, idle: 3 }));
}

#[tokio::test]
async fn calls_that_are_given_up_make_room_again() {
    const CALLS: u32 = 64;
    let authority = Authority::new();
    let server = Server::start(&authority, BOTH, 1).await;
    let (backend, session) = open(&server, &authority).await;
    let mut calls = JoinSet::new();
    for _call in 0..CALLS {
        let (backend, session) = (Arc::clone(&backend), session.clone());
        calls.spawn(async move {
            backend.ask(&session, Method::ResourcesRead, None).await.map(|_answer| ())
        });
    }
    let arrived = tokio::time::timeout(PATIENCE, server.seen.hanging.acquire_many(CALLS)).await;
    arrived.expect("every call reaches the server").unwrap().forget();
    calls.shutdown().await;
    backend.ask(&session, Method::Ping, None).await.unwrap();
    assert_eq!(server.seen.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_connection_that_does_not_go_on_is_left() {
    let authority = Authority::new();
    let server = Server::start(&authority, BOTH, 1).await;
    server.seen.closed.store(true, Ordering::Relaxed);
    let backend = backend(&server, "/mcp", Some(&authority)).unwrap();
    let session = Session::resumed(Some("one"), ProtocolVersion::LATEST_LEGACY, backend.facts());
    let session = session.unwrap();
    let ask = || tokio::time::timeout(PATIENCE / 30, backend.ask(&session, Method::Ping, None));
    ask().await.expect("what leaves before the server has said so finds room").unwrap();
    let (one, two, three, four) = tokio::join!(ask(), ask(), ask(), ask());
    for answer in [one, two, three, four] {
        assert!(answer.is_err(), "there is no room for the request: {answer:?}");
    }
    server.seen.closed.store(false, Ordering::Relaxed);
    ask().await.expect("another connection").unwrap();
    assert_eq!(server.seen.connections.load(Ordering::Relaxed), 2);
}

/// Nobody reads the large ones, and the room of the connection is there for the others.
#[tokio::test]
async fn answers_that_are_not_read_keep_no_other_from_coming() {
    let authority = Authority::new();
    let server = Server::start(&authority, BOTH, 1).await;
    let (backend, session) = open(&server, &authority).await;
    let mut unread = Vec::new();
    for number in 0..40 {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"large"}}"#);
        let id = vmcp_wire::Id::parse(number.to_string().as_bytes()).unwrap().key();
        unread.push(backend.post(&session, text.into(), Some(&id), None).await.unwrap());
    }
    let answered = tokio::time::timeout(PATIENCE / 6, backend.ask(&session, Method::Ping, None));
    answered.await.unwrap().unwrap();
    assert_eq!(server.seen.connections.load(Ordering::Relaxed), 1);
    for answer in unread {
        let Answer::Whole(body) = answer else { panic!("{answer:?}") };
        assert!(body.collect(2 << 20).await.unwrap().len() > 1 << 20);
    }
}

#[tokio::test]
async fn redirects_are_followed_on_the_same_host_only() {
    let authority = Authority::new();
    for protocols in [BOTH, HTTP1] {
        let server = Server::start(&authority, protocols, 1).await;
        let moved = backend(&server, "/moved", Some(&authority)).unwrap();
        let session = moved.open(&view()).await.unwrap();
        moved.ask(&session, Method::Ping, None).await.unwrap();

        let elsewhere = backend(&server, "/elsewhere", Some(&authority)).unwrap();
        let opened = elsewhere.open(&view()).await;
        assert!(
            matches!(&opened, Err(Error::Protocol(why)) if why.contains("another host")),
            "{opened:?}"
        );
    }
}

/// The version of HTTP that a backend is called with.
async fn version(server: &Server, authority: &Authority) -> String {
    let (backend, session) = open(server, authority).await;
    assert_eq!(session.id(), Some("one"));
    backend.ask(&session, Method::Ping, None).await.unwrap();
    let answer = backend.ask(&session, Method::ToolsList, None).await.unwrap();
    let result: serde_json::Value = serde_json::from_slice(answer.result().unwrap()).unwrap();
    result["over"].as_str().unwrap().to_owned()
}

async fn open(server: &Server, authority: &Authority) -> (Arc<Backend>, Session) {
    let backend = backend(server, "/mcp", Some(authority)).unwrap();
    let session = backend.open(&view()).await.unwrap();
    (backend, session)
}

fn backend(
    server: &Server,
    path: &str,
    trusts: Option<&Authority>,
) -> Result<Arc<Backend>, InvalidConfig> {
    let id = BackendId::new("tls").unwrap();
    let url = format!("https://127.0.0.1:{}{path}", server.port).parse().unwrap();
    let ca_bundle = trusts.map(|authority| Arc::clone(&authority.pem));
    let endpoint = Endpoint { ca_bundle, ..Endpoint::plain(url) };
    let transport = Transport::Http(endpoint);
    let (timeouts, limits) = (Timeouts::default(), Limits::default());
    let config = Config { id, transport, timeouts, limits };
    Backend::new(&config, TaskTracker::new())
}

pub(crate) fn view() -> ClientView {
    ClientView::new(ProtocolVersion::LATEST_LEGACY, Bytes::from_static(b"{}"))
}
