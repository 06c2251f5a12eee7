//! Raw clients before a connection: what they send byte for byte, and what they get.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, header};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket},
    sync::mpsc,
    task::JoinSet,
};
use vmcp_core::Budget;

use super::writing::Sent;
use super::*;
use crate::request::RequestBody;

const LIMIT: usize = 1 << 20;

/// A client with a connection to a server, which says how it has ended.
struct Fixture {
    client: TcpStream,
    close: CancellationToken,
    server: JoinSet<io::Result<()>>,
}

impl Fixture {
    async fn new<F>(
        patience: Duration,
        answer: impl Fn(Request<Incoming>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Response<Body>> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (close, mut server) = (CancellationToken::new(), JoinSet::new());
        let closing = close.clone();
        let times = Times { head: patience, ..Times::default() };
        server.spawn(async move { serve(stream, answer, times, &closing).await });
        Self { client, close, server }
    }

    /// Before a server that answers with method, path and body.
    async fn echo() -> Self {
        Self::new(Duration::from_secs(60), echo).await
    }

    async fn send(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until this has come.
    async fn until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let byte = self.client.read_u8().await;
            text.push(char::from(byte.unwrap_or_else(|error| panic!("{error} behind {text:?}"))));
        }
        text
    }

    /// Everything until the server closes the connection.
    async fn rest(&mut self) -> String {
        let mut text = String::new();
        self.client.read_to_string(&mut text).await.unwrap();
        text
    }

    async fn ended(&mut self) -> io::Result<()> {
        self.server.join_next().await.unwrap().unwrap()
    }
}

async fn echo(request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let text = format!("{} {}", head.method, head.uri);
    let body = match RequestBody::Http1(body).collect(LIMIT, &Budget::new(usize::MAX)).await {
        Ok(body) => [text.as_bytes(), b" [", &body, b"]"].concat(),
        Err(fault) => format!("{text} {fault}").into_bytes(),
    };
    Response::new(Body::whole(body))
}

/// The text without what is different every time.
fn undated(text: &str) -> String {
    let lines = text.split("\r\n").filter(|line| !line.starts_with("date: "));
    lines.collect::<Vec<_>>().join("\r\n")
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let mut fixture = Fixture::echo().await;
    let request = "POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz";
    for byte in request.bytes() {
        fixture.client.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let answer = fixture.until("[xyz]").await;
    assert!(answer.contains("\r\ndate: "), "{answer}");
    let expected = "HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\nPOST /a?b [xyz]";
    assert_eq!(undated(&answer), expected);
}

#[tokio::test]
async fn requests_sent_at_once_are_answered_in_turn() {
    let mut fixture = Fixture::echo().await;
    let one = "POST /1 HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na";
    let two = "POST /2 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: Chunked\r\n\r\n\
               1;why=none\r\nb\r\n2\r\ncd\r\n0\r\nsum: 3\r\n\r\n";
    let three = "GET /3 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    fixture.send(&[one, two, "\r\n", three].concat()).await;
    let answers = undated(&fixture.rest().await);
    let bodies: Vec<&str> =
        answers.split("HTTP/1.1 200 OK").filter_map(|one| one.split("\r\n\r\n").nth(1)).collect();
    assert_eq!(bodies, ["POST /1 [a]", "POST /2 [bcd]", "GET /3 []"]);
    assert!(answers.contains("connection: close"), "{answers}");
    fixture.ended().await.unwrap();
}

#[tokio::test]
async fn a_client_is_told_to_go_on_with_its_body() {
    let mut fixture = Fixture::echo().await;
    fixture
        .send("POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .await;
    assert_eq!(fixture.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    fixture.send("hi").await;
    fixture.until("[hi]").await;
}

#[tokio::test]
async fn what_two_readers_could_frame_differently_is_refused() {
    for (head, status) in [
        ("POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked", "400"),
        ("POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4", "400"),
        ("POST / HTTP/1.1\r\ncontent-length: +3", "400"),
        ("POST / HTTP/1.1\r\ncontent-length: 3, 3", "400"),
        ("POST / HTTP/1.1\r\ncontent-length : 3", "400"),
        ("POST / HTTP/1.1\r\nx: 1\r\n content-length: 3", "400"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked", "501"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked", "501"),
        ("POST / HTTP/1.0\r\ntransfer-encoding: chunked", "400"),
        ("POST / HTTP/3.0\r\nhost: x", "400"),
        ("POST /", "400"),
        ("POST / HTTP/1.1\nhost: x", "400"),
        ("POST / HTTP/1.1\r\nx: 1\ncontent-length: 3", "400"),
    ] {
        let mut fixture = Fixture::echo().await;
        // What follows must not be taken for a request.
        fixture.send(&format!("{head}\r\n\r\nGET /hidden HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        fixture.client.shutdown().await.unwrap();
        let answer = fixture.rest().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head}: {answer}");
    }
}

#[tokio::test]
async fn a_client_of_another_protocol_is_told_at_once() {
    // How TLS begins, and HTTP/2 where it is not known.
    for beginning in [&b"\x16\x03\x01\x02\x00\x01"[..], b"\0", b"{\"jsonrpc\""] {
        let mut fixture = Fixture::echo().await;
        fixture.client.write_all(beginning).await.unwrap();
        assert!(fixture.until("\r\n\r\n").await.starts_with("HTTP/1.1 400 "), "{beginning:?}");
    }
}

#[tokio::test]
async fn a_chunk_that_is_none_ends_the_connection() {
    for body in ["x\r\n", "-1\r\n", "1 0\r\n", "1\r\nab\r\n", "fffffffffffffffff\r\n", "1\nx\r\n"] {
        let mut fixture = Fixture::echo().await;
        fixture
            .send(&format!(
                "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n{body}"
            ))
            .await;
        fixture.client.shutdown().await.unwrap();
        let answer = fixture.rest().await;
        assert!(answer.contains("the body broke off"), "{body:?}: {answer}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_refused_while_it_is_sent() {
    let mut fixture = Fixture::echo().await;
    fixture.send("GET / HTTP/1.1\r\nx: ").await;
    let (mut reading, mut writing) = fixture.client.split();
    let sending = async {
        // Until the server has had enough.
        while writing.write_all(&[b'x'; 4096]).await.is_ok() {}
    };
    let mut head = [0; 12];
    tokio::select! {
        read = reading.read_exact(&mut head) => read.unwrap(),
        () = sending => panic!("the connection was reset before its answer was read"),
    };
    assert_eq!(head, *b"HTTP/1.1 431");
}

#[tokio::test]
async fn a_body_that_nobody_reads() {
    let unread = |_request| async { Response::new(Body::whole("no")) };
    // It comes, at once or a little later: the connection goes on.
    let mut fixture = Fixture::new(Duration::from_secs(60), unread).await;
    for _ in 0..2 {
        fixture.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\r\n").await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        fixture.send(&"x".repeat(9000)).await;
        assert!(!fixture.until("\r\n\r\nno").await.contains("connection: close"));
    }
    // It is too long to wait for: the client is told that the connection ends, and can read that.
    fixture.send("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\nabc").await;
    assert!(fixture.until("\r\n\r\nno").await.contains("connection: close"));
    fixture.send(&"x".repeat(5000)).await;
    assert_eq!(fixture.rest().await, "");
    fixture.client.shutdown().await.unwrap();
    fixture.ended().await.unwrap();
    // It waits to be asked for.
    let mut fixture = Fixture::new(Duration::from_secs(60), unread).await;
    fixture
        .send("POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        .await;
    let answer = fixture.rest().await;
    assert!(answer.contains("connection: close") && answer.ends_with("no"), "{answer}");
}

/// A body that goes on after it has failed.
struct Broken(usize);

impl http_body::Body for Broken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, io::Error>>> {
        self.0 += 1;
        Poll::Ready(match self.0 {
            // More than the sockets of the test take.
            1 => Some(Ok(http_body::Frame::data(Bytes::from(vec![b'x'; 60 << 10])))),
            2 => Some(Err(io::Error::other("broken"))),
            _ => None,
        })
    }
}

impl Sent for Broken {
    fn poll_over(&mut self, _context: &mut Context<'_>) -> Poll<io::Error> {
        Poll::Pending
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_completed() {
    let (server, client) = (TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap());
    server.set_send_buffer_size(1).unwrap();
    client.set_recv_buffer_size(1).unwrap();
    server.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = server.listen(1).unwrap();
    let mut client = client.connect(listener.local_addr().unwrap()).await.unwrap();
    let (reading, writing) = listener.accept().await.unwrap().0.into_split();
    let framing = Framing { is_head: false, knows_chunks: true, keeps_alive: true };
    let arrivals = Arrivals::new(reading);
    let mut writing = Writing::new(writing, Times::default().stalled);
    let response = Response::new(Broken(0));
    let sending = async {
        let error = writing.send(response, framing, &arrivals).await.unwrap_err();
        drop(writing);
        error
    };
    let mut text = Vec::new();
    let (error, read) = tokio::join!(sending, client.read_to_end(&mut text));
    assert_eq!(error.to_string(), "broken");
    read.unwrap();
    assert!(!text.ends_with(b"0\r\n\r\n"));
}

#[tokio::test]
async fn old_clients_keep_a_connection_only_if_they_ask() {
    let mut fixture = Fixture::echo().await;
    fixture.send("GET /1 HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n").await;
    assert!(fixture.until("GET /1 []").await.contains("\r\nconnection: keep-alive\r\n"));
    fixture.send("GET /2 HTTP/1.0\r\n\r\n").await;
    assert!(fixture.rest().await.contains("\r\nconnection: close\r\n"));
}

#[tokio::test]
async fn some_responses_have_no_body() {
    let mut fixture =
        Fixture::new(Duration::from_secs(60), |request: Request<Incoming>| async move {
            let mut response = Response::new(Body::whole("four"));
            if request.uri() == "/none" {
                *response.status_mut() = http::StatusCode::NO_CONTENT;
            }
            response
        })
        .await;
    fixture.send("HEAD / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let answer = undated(&fixture.until("\r\n\r\n").await);
    assert_eq!(answer, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n");
    fixture.send("GET /none HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let answer = undated(&fixture.until("\r\n\r\n").await);
    assert_eq!(answer, "HTTP/1.1 204 No Content\r\n\r\n");
    fixture.send("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(fixture.rest().await.ends_with("\r\n\r\nfour"));
}

#[tokio::test]
async fn large_bodies_come_through_whole() {
    let large = |request: Request<Incoming>| async {
        let body = RequestBody::Http1(request.into_body())
            .collect(LIMIT, &Budget::new(usize::MAX))
            .await
            .unwrap();
        let part = Bytes::from_static(b"part");
        Response::new(Body::parts([part.clone(), body, part]))
    };
    let mut fixture = Fixture::new(Duration::from_secs(60), large).await;
    let text: String = (0..LIMIT / 8).map(|number| format!("{number:08}")).collect();
    let head = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", text.len());
    let (mut reading, mut writing) = fixture.client.split();
    let sending = async {
        writing
            .write_all(format!("{head}connection: close\r\n\r\n{text}").as_bytes())
            .await
            .unwrap();
    };
    let mut answer = String::new();
    let (_sent, _read) = tokio::join!(sending, reading.read_to_string(&mut answer));
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, format!("part{text}part"));
}

#[tokio::test]
async fn a_client_that_goes_away_ends_what_was_done_for_it() {
    let (begun, mut begins) = mpsc::channel::<mpsc::Sender<Infallible>>(1);
    let hanging = move |_request| {
        let begun = begun.clone();
        async move {
            let (alive, mut ends) = mpsc::channel(1);
            begun.send(alive).await.unwrap();
            ends.recv().await;
            Response::new(Body::empty())
        }
    };
    let mut fixture = Fixture::new(Duration::from_secs(60), hanging).await;
    fixture.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let alive = begins.recv().await.unwrap();
    drop(fixture.client);
    alive.closed().await;
}

#[tokio::test]
async fn a_connection_that_waits_too_long_ends() {
    let mut fixture = Fixture::new(Duration::from_millis(50), echo).await;
    fixture.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    fixture.until("[]").await;
    fixture.send("GET / HTTP/1.1\r\nhost").await;
    assert_eq!(fixture.rest().await, "");
    fixture.ended().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_to_close_answers_first() {
    let (begun, mut begins) = mpsc::channel(1);
    let slow = move |_request| {
        let begun = begun.clone();
        async move {
            begun.send(()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            let mut response = Response::new(Body::whole("late"));
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            response
        }
    };
    let mut fixture = Fixture::new(Duration::from_secs(60), slow).await;
    fixture.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    begins.recv().await.unwrap();
    fixture.close.cancel();
    let answer = fixture.rest().await;
    assert_eq!(answer.matches("connection: close").count(), 1, "{answer}");
    assert!(answer.ends_with("late"), "{answer}");
    // One that waits ends at once.
    let mut idle = Fixture::echo().await;
    idle.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    idle.until("[]").await;
    idle.close.cancel();
    assert_eq!(idle.rest().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_loses_its_connection() {
    let large = |_request| async { Response::new(Body::whole(vec![b'x'; 64 << 20])) };
    let mut fixture = Fixture::new(Duration::from_secs(60), large).await;
    fixture.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(fixture.ended().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
}
