//! The transport's rules: what is served, and with which status the rest is refused.

use bytes::Bytes;
use http::{Method, StatusCode};
use vmcp_testkit::{client::Client, gateway::Gateway, peers, process::Process, raw::Running};

use crate::{connect, serve};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

async fn fixture() -> (Running, Process, Client) {
    let backend = peers::fidelity().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("limits: {requestBytes: 4KiB}");
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    (backend, process, client)
}

/// The status of a POST, and the code of the JSON-RPC error in its body.
async fn posted(client: &Client, headers: &[(&str, &str)], body: &str) -> (u16, Option<i64>) {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let response = client.send(Method::POST, headers, body).await.unwrap();
    let status = response.status().as_u16();
    let body = response.bytes().await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    (status, body["error"]["code"].as_i64())
}

#[tokio::test]
async fn bodies_and_their_headers() {
    let (_backend, _process, client) = fixture().await;
    let invalid = (400, Some(-32600));
    let large = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","x":"{}"}}"#, "a".repeat(5000));
    for (headers, body, expected) in [
        (&[][..], PING, (200, None)),
        (&[("content-type", "application/json; charset=utf-8")], PING, (200, None)),
        (&[("accept", "*/*")], PING, (200, None)),
        (&[("accept", "application/*, text/*;q=0.5")], PING, (200, None)),
        (&[("content-type", "text/plain")], PING, (415, Some(-32600))),
        (&[("content-type", "application/jsonl")], PING, (415, Some(-32600))),
        (&[("accept", "application/json")], PING, (200, None)),
        (&[("accept", "text/html")], PING, (406, Some(-32600))),
        (&[("content-encoding", "gzip")], PING, (415, Some(-32600))),
        (&[], &large, (413, Some(-32600))),
        (&[], "", (400, Some(-32700))),
        (&[], "{", (400, Some(-32700))),
        (&[], r#"{"jsonrpc":"2.0","id":1,"method":"ping"} x"#, (400, Some(-32700))),
        (&[], "{}", invalid),
        (&[], "17", invalid),
        (&[], r#"{"id":1,"method":"ping"}"#, invalid),
        (&[], r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, invalid),
        (&[], r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, invalid),
        (&[], r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, invalid),
        (&[], r#"{"jsonrpc":"2.0","id":1,"method":7}"#, invalid),
        (&[], r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, (202, None)),
    ] {
        assert_eq!(posted(&client, headers, body).await, expected, "{headers:?} {body:.60}");
    }
}

#[tokio::test]
async fn a_client_is_told_that_no_content_coding_is_known() {
    let (_backend, _process, client) = fixture().await;
    let coded = [("content-encoding", "gzip")];
    let refused = client.send(Method::POST, &coded, Bytes::from_static(b"\x1f\x8b")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(refused.header("accept-encoding"), Some("identity"));
}

/// Whoever reads a message must read the same names out of it: vmcp, the backend, a log.
#[tokio::test]
async fn messages_that_two_readers_could_read_differently_are_refused() {
    let (backend, _process, client) = fixture().await;
    let call = |members: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{members}}}}}"#)
    };
    let read = |members: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{{members}}}}}"#)
    };
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/list"}"#.to_owned(),
        call(r#""name":"a_echo","name":"a_big""#),
        call(r#""name":"a_echo","n\u0061me":"a_big""#),
        call(r#""name":"a_echo","Name":"a_big""#),
        call(r#""name":"a_echo"},"params":{"name":"a_big""#),
        call(r#""name":"a_echo","_meta":{"progressToken":1,"progressToken":2}"#),
        read(r#""uri":"fidelity://one","uri":"x://other""#),
        read(r#""uri":"fidelity://one","URI":"x://other""#),
    ] {
        assert_eq!(posted(&client, &[], &body).await, (400, Some(-32600)), "{body}");
    }
    assert_eq!(backend.counters().calls("echo") + backend.counters().calls("big"), 0);
    // What vmcp does not read is the backend's business.
    let own = call(r#""name":"a_order","arguments":{"name":1,"name":2,"Name":3}"#);
    assert_eq!(posted(&client, &[], &own).await, (200, None));
}

#[tokio::test]
async fn sessions_are_named_and_known() {
    let (_backend, process, client) = fixture().await;
    let nobody = Client::new(&process.url());
    assert_eq!(posted(&nobody, &[], PING).await.0, 400);
    assert_eq!(nobody.listen(None).await.unwrap().status(), 400);
    assert_eq!(nobody.delete().await.unwrap(), 400);
    for unknown in ["nobody", "a b", "é"] {
        let stranger = nobody.clone().with_session("x", "2025-11-25");
        let header = [("mcp-session-id", unknown)];
        assert_eq!(posted(&stranger, &header, PING).await, (404, Some(-32001)), "{unknown}");
        let get = stranger.send(Method::GET, &header, Bytes::new()).await.unwrap();
        assert_eq!(get.status(), 404);
        let delete = stranger.send(Method::DELETE, &header, Bytes::new()).await.unwrap();
        assert_eq!(delete.status(), 404);
    }
    for version in ["1999-01-01", "", "2025-11-25, 2025-06-18"] {
        let header = [("mcp-protocol-version", version)];
        assert_eq!(posted(&client, &header, PING).await, (400, Some(-32600)), "{version}");
        assert_eq!(client.send(Method::GET, &header, Bytes::new()).await.unwrap().status(), 400);
        assert_eq!(client.send(Method::DELETE, &header, Bytes::new()).await.unwrap().status(), 400);
    }
    assert_eq!(client.delete().await.unwrap(), 200);
    assert_eq!(posted(&client, &[], PING).await, (404, Some(-32001)));
    assert_eq!(client.listen(None).await.unwrap().status(), 404);
    assert_eq!(client.delete().await.unwrap(), 404);
}

#[tokio::test]
async fn methods_and_paths() {
    let (_backend, process, client) = fixture().await;
    for verb in [Method::PUT, Method::PATCH, Method::OPTIONS] {
        let refused = client.send(verb.clone(), &[], Bytes::new()).await.unwrap();
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED, "{verb}");
        let allowed = refused.header("allow").unwrap();
        assert!(["GET", "POST", "DELETE"].iter().all(|verb| allowed.contains(verb)), "{allowed}");
    }
    let json_only = client.send(Method::GET, &[("accept", "application/json")], Bytes::new());
    assert_eq!(json_only.await.unwrap().status(), StatusCode::NOT_ACCEPTABLE);
    let elsewhere = client.at(&process.url_of("/mcp/else"));
    assert_eq!(posted(&elsewhere, &[], PING).await.0, 404);
    assert_eq!(posted(&client.at(&process.url_of("/")), &[], PING).await.0, 404);
}
