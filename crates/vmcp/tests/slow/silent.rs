//! Connections of clients that begin and say no more.

use bytes::Bytes;
use http::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Duration, Instant, timeout},
};
use vmcp_testkit::{
    client::Client,
    framing::http2::{PREFACE, flag, frame, kind, settings},
    gateway::{Gateway, eventually},
    peers,
};

use crate::serve;

/// What a connection may wait for its next request.
const IDLE: Duration = Duration::from_secs(75);

/// Connections that there may be.
const CONNECTIONS: usize = 18;

/// Nobody has proved who they are yet, and the places are everybody's.
#[tokio::test]
async fn a_connection_without_a_request_gives_its_place_back() {
    let head = frame(kind::HEADERS, flag::END_STREAM, 1, &[0; 100]);
    let begun = [
        b"PRI * HTTP/2.0".to_vec(),
        [PREFACE, &settings(&[])].concat(),
        [PREFACE, &settings(&[]), &head[..40]].concat(),
        b"POST /mcp HTTP/1.1\r\nHost: local".to_vec(),
        b"P".to_vec(),
        Vec::new(),
    ];
    let backend = peers::slow().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]);
    let process = serve(&gateway.with(&format!("limits: {{connections: {CONNECTIONS}}}"))).await;
    let probe = Client::new(&process.url_of("/health"));
    let is_served = async || {
        let answer = probe.send(Method::GET, &[], Bytes::new()).await;
        answer.is_ok_and(|answer| answer.status() == 200)
    };
    let mut taken = Vec::new();
    for bytes in begun.iter().cycle().take(CONNECTIONS) {
        let mut socket = TcpStream::connect(("127.0.0.1", process.port())).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        taken.push((bytes, socket));
    }
    // Those that were refused, as others were not gone yet, do not count.
    assert!(!is_served().await, "there is room for more connections than configured");
    let since = Instant::now();
    for (bytes, socket) in &mut taken {
        let mut told = Vec::new();
        let ended = timeout(2 * IDLE, socket.read_to_end(&mut told)).await;
        assert!(ended.is_ok(), "{bytes:?} keeps a connection open");
        let refused = told.starts_with(b"HTTP/1.1 503");
        let early = since.elapsed() + Duration::from_secs(5) < IDLE;
        assert!(refused || !early, "{bytes:?} is closed after {:?}", since.elapsed());
    }
    eventually("there is room again", async || is_served().await.then_some(())).await;
}
