//! What is refused at the door or at a bound, and what its backend does not answer.

use bytes::Bytes;
use http::Method;
use tokio::task::JoinSet;
use vmcp_testkit::{peers, process::free_port};

use super::*;

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a_fine","arguments":{}}}"#;

/// A name, how it is sent, its body, more headers, and what its record says.
type Row<'a> = (&'a str, Method, &'a str, &'a [(&'a str, &'a str)], &'a str);

/// Sends each, and checks that its record tells the status that it is answered with.
async fn send(client: &Client, rows: &[Row<'_>]) {
    for (name, verb, body, headers, told) in rows {
        let headers = [*headers, &[(NAME, *name)]].concat();
        let body = Bytes::copy_from_slice(body.as_bytes());
        let answer = client.send(verb.clone(), &headers, body).await.unwrap();
        assert!(told.ends_with(&answer.status().as_u16().to_string()), "{name}");
    }
}

/// A page of another site is refused before anybody looks at what it says.
#[tokio::test]
async fn what_is_refused_at_the_door_has_one_record() {
    let backend = legacy_server("a").start().await.unwrap();
    let admin = free_port().unwrap();
    let gateway = Gateway::before(&[("a", backend.url())])
        .with(&format!("admin: {{listen: '127.0.0.1:{admin}'}}"));
    let audited = Audited::start(&gateway, "").await;
    let client = Client::new(&audited.url());
    let rows: &[Row<'_>] = &[
        (
            "foreign host",
            Method::POST,
            CALL,
            &[("host", "other.example")],
            "http_request denied POST denied code -32600 403",
        ),
        (
            "foreign origin",
            Method::POST,
            CALL,
            &[("origin", "https://other.example")],
            "http_request denied POST denied code -32600 403",
        ),
        (
            "foreign origin, stream",
            Method::GET,
            "",
            &[("origin", "https://other.example")],
            "sse_connection denied GET denied code -32600 403",
        ),
        (
            "foreign page that asks first",
            Method::OPTIONS,
            "",
            &[("origin", "https://other.example"), ("access-control-request-method", "POST")],
            "http_request denied POST denied code -32600 403",
        ),
    ];
    send(&client, rows).await;
    // Nobody serves MCP there.
    let foreign = &[("origin", "https://other.example")];
    let elsewhere = Client::new(&format!("http://127.0.0.1:{admin}/mcp"));
    assert_eq!(elsewhere.send(Method::POST, foreign, Bytes::new()).await.unwrap().status(), 403);
    let records = audited.end().await;
    records.assert_each(rows.iter().map(|(name, .., told)| (*name, *told)));
    assert_eq!(records.0.len(), rows.len());
}

/// What is refused before it gets to a session.
#[tokio::test]
async fn what_cannot_be_understood_has_one_record() {
    let backend = legacy_server("a").start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("limits: {requestBytes: 1KiB}");
    let audited = Audited::start(&gateway, "").await;
    let client = audited.connect().await;
    let large = format!("{{\"x\":\"{}\"}}", "x".repeat(2000));
    let strange = ("mcp-session-id", "no-such-session");
    let rows: &[Row<'_>] = &[
        ("no JSON", Method::POST, "{", &[], "http_request failure POST invalid code -32700 400"),
        (
            "no message",
            Method::POST,
            "{}",
            &[],
            "http_request failure POST invalid code -32600 400",
        ),
        ("empty", Method::POST, "", &[], "http_request failure POST invalid code -32700 400"),
        (
            "large",
            Method::POST,
            &large,
            &[],
            "http_request failure POST over_bound code -32600 413",
        ),
        (
            "no type",
            Method::POST,
            CALL,
            &[("content-type", "text/plain")],
            "http_request failure POST invalid code -32600 415",
        ),
        (
            "takes nothing",
            Method::POST,
            CALL,
            &[("accept", "text/html")],
            "http_request failure POST invalid code -32600 406",
        ),
        (
            "no stream",
            Method::GET,
            "",
            &[("accept", "application/json")],
            "sse_connection failure GET invalid code -32600 406",
        ),
        (
            "unknown session",
            Method::POST,
            CALL,
            &[strange],
            "mcp_tool_call failure tools/call tool=a_fine invalid code -32001 404",
        ),
        (
            "unknown session, notification",
            Method::POST,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            &[strange],
            "mcp_notification failure notifications/initialized invalid code -32001 404",
        ),
        (
            "unknown session, stream",
            Method::GET,
            "",
            &[strange],
            "sse_connection failure GET invalid code -32001 404",
        ),
        (
            "unknown session, end",
            Method::DELETE,
            "",
            &[strange],
            "http_request failure DELETE invalid code -32001 404",
        ),
        (
            "odd version",
            Method::POST,
            CALL,
            &[("mcp-protocol-version", "1999-01-01")],
            "mcp_tool_call failure tools/call tool=a_fine invalid code -32600 400",
        ),
    ];
    send(&client, rows).await;
    let without = Client::new(&audited.url()).with_header(NAME, "no session");
    assert_eq!(without.post(CALL).await.unwrap().status(), 400);
    let mut expected: Vec<_> = rows.iter().map(|(name, .., told)| (*name, *told)).collect();
    expected.push((
        "no session",
        "mcp_tool_call failure tools/call tool=a_fine invalid code -32600 400",
    ));
    let records = audited.end().await;
    records.assert_each(expected.iter().copied());
    assert_eq!(records.0.len(), expected.len() + 2);
}

#[tokio::test]
async fn bounds_are_recorded() {
    let backend = peers::slow().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())])
        .with("limits: {sessionsPerClient: 2, sessions: 3, callsPerSession: 1, streams: 1}");
    let audited = Audited::start(&gateway, "").await;
    let (one, two) = (audited.connect().await, audited.connect().await);
    let hello = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#;
    let refused = Client::new(&audited.url()).with_header(NAME, "sessions");
    assert_eq!(refused.open("0", "initialize", hello).await.unwrap().status(), 429);

    let params = r#"{"name":"a_slow","arguments":{"delay_ms":60000},"_meta":{"progressToken":1}}"#;
    let first = one.clone().with_header(NAME, "first");
    let mut first = first.open("1", "tools/call", params).await.unwrap();
    first.message().await.unwrap().unwrap();
    one.clone()
        .with_header(NAME, "calls")
        .call("2", "a_slow", "{}")
        .await
        .unwrap()
        .error()
        .unwrap();
    // The client says that it does not want it any more.
    let cancelling = one.clone().with_header(NAME, "cancelling");
    cancelling.notify("notifications/cancelled", r#"{"requestId":1}"#).await.unwrap();
    while first.event().await.unwrap().is_some() {}

    let open = one.clone().with_header(NAME, "open").listen(None).await.unwrap();
    let full = two.clone().with_header(NAME, "streams").listen(None).await.unwrap();
    assert_eq!((open.status().as_u16(), full.status().as_u16()), (200, 503));
    drop(open);
    let ended = one.clone().with_header(NAME, "delete").delete().await.unwrap();
    assert_eq!(ended, 200);
    let records = audited.end().await;
    let expected = [
        ("sessions", "mcp_initialize failure initialize over_bound code -32000 429"),
        ("calls", "mcp_tool_call failure tools/call tool=a_slow over_bound code -32000 200"),
        ("first", "mcp_tool_call failure tools/call tool=a_slow @a cancelled code -32603 200"),
        ("cancelling", "mcp_notification success notifications/cancelled 202"),
        ("open", "sse_connection success GET 200"),
        ("streams", "sse_connection error GET unavailable code -32000 503"),
        ("delete", "http_request success DELETE 200"),
    ];
    records.assert_each(expected);
    assert_eq!(records.0.len(), expected.len() + 4);
}

/// A legacy client that waits for JSON and cancels.
#[tokio::test]
async fn a_call_that_is_cancelled_before_its_answer_begins_has_one_record() {
    let backend = peers::slow().start().await.unwrap();
    let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), "").await;
    let client = audited.connect().await;
    let calling = client.clone().with_header(NAME, "call");
    let mut calls = JoinSet::new();
    calls.spawn(async move {
        calling.open_call("1", "a_slow", r#"{"delay_ms":60000}"#).await.unwrap().status()
    });
    eventually("it runs", async || (backend.counters().calls("slow") == 1).then_some(())).await;
    client.notify("notifications/cancelled", r#"{"requestId":1}"#).await.unwrap();
    let status = calls.join_next().await.unwrap().unwrap().as_u16();
    let told =
        format!("mcp_tool_call failure tools/call tool=a_slow @a cancelled code -32603 {status}");
    audited.end().await.assert_each([("call", &*told)]);
}

#[tokio::test]
async fn a_backend_that_is_out_is_an_error() {
    let (old, new) =
        (legacy_server("old").start().await.unwrap(), modern_server("new").start().await.unwrap());
    let gateway = Gateway::before(&[("old", old.url()), ("new", new.url())]).with(
        "operational: {failureHandling: {circuitBreaker: {enabled: true, failureThreshold: 3, timeout: 1m}}}",
    );
    let audited = Audited::start(&gateway, "").await;
    let askers = Asker::both(&audited).await;
    for (era, asker) in &askers {
        for backend in ["old", "new"] {
            let fine = named(&format!("{backend}_fine"));
            let told = asker.ask(&format!("{era} {backend} before"), "tools/call", fine).await;
            assert_eq!(told, (200, None));
        }
    }
    drop((old, new));
    let mut answers = Vec::new();
    for turn in 0..4 {
        for (era, asker) in &askers {
            for backend in ["old", "new"] {
                let name = format!("{era} {backend} {turn}");
                let fine = named(&format!("{backend}_fine"));
                let told = asker.ask(&name, "tools/call", fine).await;
                answers.push((name, backend, told));
            }
        }
    }
    let records = audited.end().await;
    let expected: Vec<_> = answers
        .iter()
        .map(|(name, backend, (status, code))| {
            let code = code.unwrap();
            let told = format!(
                "mcp_tool_call error tools/call tool={backend}_fine @{backend} backend code {code} {status}"
            );
            (&**name, told)
        })
        .collect();
    records.assert_each(expected.iter().map(|(name, told)| (*name, &**told)));
    assert_eq!(records.0.len(), expected.len() + 4 + 2);
}
