//! Clients over HTTP/2 that give no room for what they have asked for.

use tokio::time::{Duration, Instant};
use vmcp_testkit::{
    client::Client,
    framing::http2::{Connection, kind, request},
    gateway::{Gateway, eventually},
    peers,
    process::Process,
};

use crate::{connect, serve};

/// A window of no bytes for each stream.
const NO_WINDOW: &[(u16, u32)] = &[(4, 0)];

/// Clients, and the calls that each of them makes at once. Together they are all that the backend may
/// have.
const CLIENTS: usize = 6;
const CALLS: usize = 4;

/// How soon others must be served. A client that takes nothing is waited for longer.
const SOON: Duration = Duration::from_secs(20);

async fn fixture(timeouts: &str) -> (impl Sized, Process) {
    let backend = peers::huge().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())])
        .with(&format!("limits: {{callsPerBackend: {}}}", CLIENTS * CALLS))
        .with(&format!("operational: {{timeouts: {timeouts}}}\nsessions: {{drainTimeout: 1s}}"));
    (backend, serve(&gateway).await)
}

/// Takes all that the backend has, and reads nothing.
async fn take_all(process: &Process) -> Vec<(Client, Connection)> {
    let mut taken = Vec::new();
    for _ in 0..CLIENTS {
        let client = connect(process).await;
        let mut connection =
            Connection::open(("127.0.0.1", process.port()), NO_WINDOW).await.unwrap();
        for number in 0..CALLS {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":{{"name":"a_huge","arguments":{{"bytes":200000}}}}}}"#
            );
            let headers = [
                (":method", "POST"),
                (":scheme", "http"),
                (":authority", "localhost"),
                (":path", "/mcp"),
                ("content-type", "application/json"),
                ("accept", "application/json, text/event-stream"),
                ("mcp-session-id", client.session().unwrap()),
            ];
            let stream = 2 * u32::try_from(number).unwrap() + 1;
            connection.send(&request(stream, &headers, body.as_bytes())).await.unwrap();
        }
        begun(&mut connection, CALLS).await;
        taken.push((client, connection));
    }
    taken
}

/// Waits until so many answers have begun: heads need no room.
async fn begun(connection: &mut Connection, answers: usize) {
    for _ in 0..answers {
        connection.until(|frame| frame.kind == kind::HEADERS).await.unwrap();
    }
}

async fn is_served(client: &Client) -> bool {
    let answer = client.call(r#""other""#, "a_huge", r#"{"bytes":10}"#).await.unwrap();
    let told = answer.error().map(str::to_owned);
    if let Ok(told) = &told {
        assert!(told.contains("under way already"), "{told}");
    }
    told.is_err()
}

/// Others are refused; waits until they are served.
async fn served_again(other: &Client, end: impl AsyncFnOnce()) {
    assert!(!is_served(other).await, "the backend has room");
    let begun = Instant::now();
    end().await;
    eventually("the backend has room", async || is_served(other).await.then_some(())).await;
    assert!(begun.elapsed() < SOON, "after {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_though_nobody_reads() {
    let (_backend, process) = fixture("{default: 5s, absolute: 10s}").await;
    let other = connect(&process).await;
    assert!(is_served(&other).await);
    let _taken = take_all(&process).await;
    served_again(&other, async || {}).await;
}

#[tokio::test]
async fn a_call_ends_with_its_session_though_nobody_reads() {
    let (_backend, process) = fixture("{default: 60s, absolute: 90s}").await;
    let other = connect(&process).await;
    let taken = take_all(&process).await;
    served_again(&other, async || {
        for (client, _) in &taken {
            assert_eq!(client.delete().await.unwrap(), 200);
        }
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_cancelled_ends_though_nobody_reads() {
    let (_backend, process) = fixture("{default: 60s, absolute: 90s}").await;
    let other = connect(&process).await;
    let taken = take_all(&process).await;
    served_again(&other, async || {
        for (client, _) in &taken {
            for number in 0..CALLS {
                let params = format!(r#"{{"requestId":{number}}}"#);
                client.notify("notifications/cancelled", &params).await.unwrap();
            }
        }
    })
    .await;
}

/// A modern client's call is made while it is read, and gives its place back all the same.
#[tokio::test]
async fn a_modern_call_ends_at_its_deadline_though_nobody_reads() {
    let backend = peers::flooding().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())])
        .with("limits: {callsPerBackend: 2}")
        .with("operational: {timeouts: {default: 5s, absolute: 10s}}");
    let process = serve(&gateway).await;
    let other = connect(&process).await;
    let is_served = async || {
        let answer = other.call(r#""other""#, "a_quiet", "{}").await.unwrap();
        answer.error().is_err()
    };
    assert!(is_served().await);
    let mut connection = Connection::open(("127.0.0.1", process.port()), NO_WINDOW).await.unwrap();
    let body = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/logLevel":"debug"},"name":"a_flood","arguments":{}}}"#;
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/mcp"),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "a_flood"),
    ];
    for number in 0..2 {
        connection.send(&request(2 * number + 1, &headers, body)).await.unwrap();
    }
    begun(&mut connection, 2).await;
    assert!(!is_served().await, "the backend has room");
    let since = Instant::now();
    eventually("the backend has room", async || is_served().await.then_some(())).await;
    assert!(since.elapsed() < SOON, "after {:?}", since.elapsed());
}

/// A client that takes nothing at all is not waited for, however long its calls may take.
#[tokio::test]
async fn a_client_that_reads_nothing_loses_its_connection() {
    let (_backend, process) = fixture("{default: 300s, absolute: 300s}").await;
    let mut taken = take_all(&process).await;
    let begun = Instant::now();
    for (_, connection) in &mut taken {
        connection.closed().await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(50), "after {:?}", begun.elapsed());
    assert!(is_served(&connect(&process).await).await);
}
