//! Connections of HTTP/2.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{HeaderValue, header};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};
use vmcp_testkit::framing::http2::{
    Connection as Client, ENHANCE_YOUR_CALM, Frame, flag, frame, kind, request,
};

use std::time::Duration;
use vmcp_core::Budget;

use super::*;
use crate::request::RequestBody;

/// Little time for everything.
const SHORT: Times = Times {
    head: Duration::from_millis(300),
    stalled: Duration::from_millis(300),
    silent: Duration::from_millis(100),
    pong: Duration::from_secs(1),
    look: Duration::from_secs(1),
    closing: Duration::from_millis(200),
};

/// Much time for everything.
const LONG: Times = Times {
    head: Duration::from_secs(60),
    stalled: Duration::from_secs(60),
    silent: Duration::from_secs(60),
    pong: Duration::from_secs(60),
    look: Duration::from_secs(60),
    closing: Duration::from_secs(60),
};

const WINDOW_OF_NONE: &[(u16, u32)] = &[(4, 0)];

const NO_ERROR: u32 = 0;
const CANCEL: u32 = 8;

struct Fixture {
    client: Client,
    close: CancellationToken,
    server: JoinSet<io::Result<()>>,
}

impl Fixture {
    async fn new<F>(
        times: Times,
        settings: &[(u16, u32)],
        answer: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = Client::open(address, settings).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (close, mut server) = (CancellationToken::new(), JoinSet::new());
        let closing = close.clone();
        server.spawn(async move { serve(stream, answer, times, &closing).await });
        Self { client, close, server }
    }

    async fn get(&mut self, stream: u32, path: &str) {
        self.client.send(&get(stream, path)).await.unwrap();
    }

    async fn ended(&mut self) -> Option<Why> {
        let ended = self.server.join_next().await.unwrap().unwrap();
        let error = ended.err()?.into_inner()?;
        error.downcast_ref::<Why>().copied()
    }
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    let headers =
        [(":method", "GET"), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
    request(stream, &headers, b"")
}

/// Answers with as many bytes as the path says, or never.
async fn sized(request: Request<Incoming>) -> Response<Body> {
    match request.uri().path().trim_start_matches('/').parse() {
        Ok(size) => Response::new(Body::whole(vec![b'x'; size])),
        Err(_never) => std::future::pending().await,
    }
}

fn ends(stream: u32) -> impl Fn(&Frame) -> bool {
    move |frame| {
        frame.stream == stream
            && (frame.kind == kind::RST_STREAM
                || (frame.kind == kind::DATA && frame.flags & flag::END_STREAM != 0))
    }
}

#[tokio::test]
async fn requests_are_answered_side_by_side() {
    let echo = |request: Request<Incoming>| async {
        let body = RequestBody::Http2(request.into_body())
            .collect(1 << 20, &Budget::new(usize::MAX))
            .await
            .unwrap();
        let mut response = Response::new(Body::whole(body));
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("keep-alive"));
        response
    };
    let mut fixture = Fixture::new(LONG, &[], echo).await;
    let headers =
        [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", "/")];
    let large = vec![b'x'; 40_000];
    let sent = [request(1, &headers, b"small"), request(3, &headers, &large)].concat();
    fixture.client.send(&sent).await.unwrap();
    let mut answers: [Vec<u8>; 2] = Default::default();
    let mut open = 2;
    while open > 0 {
        let frame = fixture.client.next().await.unwrap().unwrap();
        if frame.kind == kind::HEADERS && frame.stream == 1 {
            assert_eq!(frame.status(), Some(200));
        }
        if frame.kind == kind::DATA {
            answers[usize::from(frame.stream == 3)].extend(&frame.payload);
            open -= usize::from(frame.flags & flag::END_STREAM != 0);
        }
    }
    assert_eq!(answers, [b"small".to_vec(), large]);
    fixture.close.cancel();
    // The client is asked whether it has heard of it (RFC 9113, section 6.8).
    let ping = fixture.client.until(|frame| frame.kind == kind::PING).await.unwrap();
    fixture.client.send(&frame(kind::PING, flag::ACK, 0, &ping.payload)).await.unwrap();
    assert_eq!(fixture.client.closed().await.unwrap(), Some(NO_ERROR));
    assert_eq!(fixture.ended().await, None);
}

#[tokio::test]
async fn large_answers_come_through_whole() {
    const SIZE: usize = 8 << 20;
    let numbers = |_request| async {
        let text: String = (0..SIZE / 8).map(|number| format!("{number:08}")).collect();
        Response::new(Body::whole(text))
    };
    let mut fixture = Fixture::new(LONG, &[], numbers).await;
    fixture.get(1, "/").await;
    fixture.get(3, "/").await;
    let mut answers: [Vec<u8>; 2] = Default::default();
    while answers.iter().any(|answer| answer.len() < SIZE) {
        let data = fixture.client.until(|frame| frame.kind == kind::DATA).await.unwrap();
        answers[usize::from(data.stream == 3)].extend(&data.payload);
        let taken = u32::try_from(data.payload.len()).unwrap().to_be_bytes();
        let room = [data.stream, 0].map(|stream| frame(kind::WINDOW_UPDATE, 0, stream, &taken));
        if data.flags & flag::END_STREAM == 0 {
            fixture.client.send(&room.concat()).await.unwrap();
        } else {
            fixture.client.send(&room[1]).await.unwrap();
        }
    }
    let text: String = (0..SIZE / 8).map(|number| format!("{number:08}")).collect();
    assert!(answers.iter().all(|answer| answer == text.as_bytes()));
}

#[tokio::test]
async fn a_head_has_no_body() {
    let mut fixture = Fixture::new(LONG, &[], sized).await;
    let headers =
        [(":method", "HEAD"), (":scheme", "http"), (":authority", "localhost"), (":path", "/9")];
    fixture.client.send(&request(1, &headers, b"")).await.unwrap();
    let head = fixture.client.until(|frame| frame.kind == kind::HEADERS).await.unwrap();
    assert_eq!((head.status(), head.flags), (Some(200), flag::END_HEADERS | flag::END_STREAM));
}

/// What clients begin with and never end.
#[tokio::test]
async fn a_connection_without_a_request_ends() {
    let head = frame(kind::HEADERS, flag::END_STREAM, 1, &[0; 100]);
    for begun in [Vec::new(), head[..5].to_vec(), head[..40].to_vec()] {
        let mut fixture = Fixture::new(SHORT, &[], sized).await;
        fixture.client.send(&begun).await.unwrap();
        assert_eq!(fixture.client.closed().await.unwrap(), Some(NO_ERROR), "{begun:?}");
        assert_eq!(fixture.ended().await, Some(Why::Idle));
    }
    // One that was used ends as late after its last request.
    let times = Times { head: Duration::from_secs(1), closing: SHORT.closing, ..LONG };
    let mut fixture = Fixture::new(times, &[], sized).await;
    tokio::time::sleep(times.head / 4).await;
    let begun = Instant::now();
    fixture.get(1, "/9").await;
    assert_eq!(fixture.client.closed().await.unwrap(), Some(NO_ERROR));
    assert!(begun.elapsed() >= times.head, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn half_a_preface_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut client, b"PRI * HTTP/2.0").await.unwrap();
    let ended = serve(stream, sized, SHORT, &CancellationToken::new()).await;
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

/// A request that waits for its answer keeps a connection open, but not for a client that is gone.
#[tokio::test]
async fn a_client_that_answers_no_ping_is_gone() {
    let mut fixture = Fixture::new(Times { head: LONG.head, ..SHORT }, &[], sized).await;
    fixture.get(1, "/never").await;
    for _ in 0..3 {
        let ping = fixture.client.until(|frame| frame.kind == kind::PING).await.unwrap();
        fixture.client.send(&frame(kind::PING, flag::ACK, 0, &ping.payload)).await.unwrap();
    }
    fixture.client.until(|frame| frame.kind == kind::PING).await.unwrap();
    assert_eq!(fixture.client.closed().await.unwrap(), Some(NO_ERROR));
    assert_eq!(fixture.ended().await, Some(Why::Gone));
}

#[tokio::test]
async fn a_connection_whose_client_takes_nothing_ends() {
    let times = Times { stalled: SHORT.stalled, closing: SHORT.closing, ..LONG };
    let mut fixture = Fixture::new(times, WINDOW_OF_NONE, sized).await;
    for stream in 0..150 {
        fixture.get(2 * stream + 1, "/100000").await;
    }
    assert_eq!(fixture.client.closed().await.unwrap(), Some(ENHANCE_YOUR_CALM));
    assert_eq!(fixture.ended().await, Some(Why::Stalled));
}

/// One stream of which nothing is taken ends alone where others are read, or wait for their answer.
#[tokio::test]
async fn a_stream_of_which_nothing_is_taken_ends() {
    let times = Times { stalled: Duration::from_secs(1), ..LONG };
    let mut fixture = Fixture::new(times, WINDOW_OF_NONE, sized).await;
    fixture.get(1, "/never").await;
    fixture.get(3, "/100000").await;
    let reset = fixture.client.until(|frame| frame.kind == kind::RST_STREAM).await.unwrap();
    assert_eq!((reset.stream, reset.reason()), (3, Some(CANCEL)));
    // One that is read slowly is read to its end.
    fixture.get(5, "/5").await;
    for _ in 0..5 {
        tokio::time::sleep(times.stalled / 3).await;
        let room = frame(kind::WINDOW_UPDATE, 0, 5, &1_u32.to_be_bytes());
        fixture.client.send(&room).await.unwrap();
    }
    let end = fixture.client.until(ends(5)).await.unwrap();
    assert_eq!((end.kind, &end.payload[..]), (kind::DATA, &b"x"[..]));
}

#[tokio::test]
async fn a_request_that_is_taken_back_is_not_answered_further() {
    let (begun, mut begins) = mpsc::channel::<mpsc::Sender<()>>(1);
    let hanging = move |_request| {
        let begun = begun.clone();
        async move {
            let (alive, mut ends) = mpsc::channel(1);
            begun.send(alive).await.unwrap();
            ends.recv().await;
            Response::new(Body::empty())
        }
    };
    let mut fixture = Fixture::new(LONG, &[], hanging).await;
    fixture.get(1, "/").await;
    let alive = begins.recv().await.unwrap();
    let reset = frame(kind::RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
    fixture.client.send(&reset).await.unwrap();
    alive.closed().await;
    fixture.get(3, "/").await;
    let alive = begins.recv().await.unwrap();
    drop(fixture.client);
    alive.closed().await;
}

#[tokio::test]
async fn frames_that_carry_nothing_are_not_taken_without_end() {
    let open = get(1, "/never");
    for (what, flood) in [
        ("PING", frame(kind::PING, 0, 0, &[0; 8])),
        ("PING with ACK", frame(kind::PING, flag::ACK, 0, &[0; 8])),
        ("SETTINGS", frame(kind::SETTINGS, 0, 0, b"")),
        ("WINDOW_UPDATE", frame(kind::WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())),
        ("PRIORITY", frame(kind::PRIORITY, 0, 1, &[0; 5])),
        ("a frame of no known kind", frame(0xbb, 0, 0, b"")),
        ("HEADERS and RST_STREAM", Vec::new()),
    ] {
        let mut fixture = Fixture::new(LONG, &[], sized).await;
        fixture.client.send(&open).await.unwrap();
        for number in 0..4_000 {
            let sent = if flood.is_empty() {
                let stream = 2 * number + 3;
                [get(stream, "/never"), frame(kind::RST_STREAM, 0, stream, &[0; 4])].concat()
            } else {
                flood.clone()
            };
            if fixture.client.send(&sent).await.is_err() {
                break;
            }
        }
        let closed = tokio::time::timeout(Duration::from_secs(30), fixture.ended()).await;
        let why = closed.unwrap_or_else(|_elapsed| panic!("{what} is taken without end"));
        assert!(what.contains("RST_STREAM") || why == Some(Why::Flooded), "{what}: {why:?}");
    }
}

/// One that reads a stream of small events and tells of each that there is room for more.
#[tokio::test]
async fn a_client_may_give_room_for_each_piece_that_it_is_sent() {
    static SENT: AtomicUsize = AtomicUsize::new(0);
    const EVENTS: usize = 10_000;
    let streaming =
        |_request| async { Response::new(Body::whole(Bytes::from(vec![b'x'; EVENTS]))) };
    let mut fixture = Fixture::new(LONG, &[(4, 1)], streaming).await;
    fixture.get(1, "/").await;
    loop {
        let piece = fixture.client.until(|frame| frame.kind == kind::DATA).await.unwrap();
        SENT.fetch_add(piece.payload.len(), Ordering::Relaxed);
        if piece.flags & flag::END_STREAM != 0 {
            break;
        }
        let room = [1, 0].map(|stream| frame(kind::WINDOW_UPDATE, 0, stream, &1_u32.to_be_bytes()));
        fixture.client.send(&room.concat()).await.unwrap();
    }
    assert_eq!(SENT.load(Ordering::Relaxed), EVENTS);
}
