//! Bad habits, each shown once.

use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout;
use vmcp_testkit::{
    client::Client,
    peers,
    raw::{Form, Lost, Running},
};

/// Long enough for an answer over loopback, short enough to wait for one that never comes.
const MOMENT: Duration = Duration::from_millis(300);

async fn client_of(server: &Running) -> Client {
    let mut client = Client::new(&server.url());
    client.initialize().await.unwrap();
    client
}

#[tokio::test]
async fn each_session_counts_for_itself() {
    let raw = peers::stateful().start().await.unwrap();
    let rmcp = peers::counting(0).await.unwrap();
    for url in [raw.url(), rmcp.url()] {
        for _ in 0..2 {
            let mut client = Client::new(&url);
            client.initialize().await.unwrap();
            for expected in ["1", "2", "3"] {
                let answer = client.call("7", "count", "{}").await.unwrap().json();
                assert_eq!(answer["result"]["content"][0]["text"], expected);
            }
        }
    }
    assert_eq!((rmcp.opened(), rmcp.open().await), (2, 2));
}

#[tokio::test]
async fn slow_calls_can_be_cancelled_and_report_progress() {
    let server = peers::slow().start().await.unwrap();
    let client = client_of(&server).await;
    let quick = client.call("1", "slow", r#"{"delay_ms":1}"#).await.unwrap();
    assert!(quick.result().unwrap().contains("done"));
    let params = r#"{"name":"slow","arguments":{"delay_ms":60000},"_meta":{"progressToken":"p"}}"#;
    let mut stream = client.open("2", "tools/call", params).await.unwrap();
    let progress = stream.message().await.unwrap().unwrap();
    assert_eq!(progress.params().unwrap(), r#"{"progressToken":"p","progress":1,"total":2}"#);
    client.notify("notifications/cancelled", r#"{"requestId":2}"#).await.unwrap();
    assert!(stream.answer("2").await.unwrap().error().unwrap().contains("cancelled"));
}

#[tokio::test]
async fn sessions_are_forgotten_in_either_manner() {
    for (lost, status) in
        [(Lost::NotFound, StatusCode::NOT_FOUND), (Lost::BadRequest, StatusCode::BAD_REQUEST)]
    {
        let server = peers::forgetting(lost).start().await.unwrap();
        let client = client_of(&server).await;
        client.call("1", "forget", "{}").await.unwrap();
        let refused = client.open("2", "ping", "{}").await.unwrap();
        assert_eq!(refused.status(), status);
        let body = refused.bytes().await.unwrap();
        assert!(body.starts_with(br#"{"jsonrpc":"2.0","error":"#), "{body:?}");
        client_of(&server).await;
    }
    let rmcp = peers::counting(0).await.unwrap();
    let mut client = Client::new(&rmcp.url());
    client.initialize().await.unwrap();
    rmcp.forget_sessions().await;
    let refused = client.open("1", "tools/list", "{}").await.unwrap();
    assert_eq!(refused.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn hanging_servers_never_answer() {
    let server = peers::hanging_at_initialize().start().await.unwrap();
    let mut client = Client::new(&server.url());
    assert!(timeout(MOMENT, client.initialize()).await.is_err());
    assert_eq!(server.counters().initializes(), 1);
    let server = peers::hanging_at_calls().start().await.unwrap();
    let client = client_of(&server).await;
    client.request("1", "tools/list", "{}").await.unwrap();
    assert!(timeout(MOMENT, client.open_call("2", "hang", "{}")).await.is_err());
}

#[tokio::test]
async fn dying_servers_break_off() {
    let server = peers::dying().start().await.unwrap();
    let client = client_of(&server).await;
    for form in [Form::Json, Form::Sse] {
        server.set_form(form);
        let mut cut = client.open_call("1", "cut_off", "{}").await.unwrap();
        assert_eq!(cut.status(), StatusCode::OK);
        assert!(cut.answer("1").await.is_err());
        assert!(client.open_call("2", "close", "{}").await.is_err());
        let mut stream = client.open_call("3", "close_after_event", "{}").await.unwrap();
        assert!(stream.message().await.unwrap().is_some());
        assert!(stream.message().await.is_err());
    }
}

#[tokio::test]
async fn floods_go_on_and_end_with_their_reader() {
    let server = peers::flooding().start().await.unwrap();
    let client = client_of(&server).await;
    let mut call = client.open_call("1", "flood", "{}").await.unwrap();
    let mut get = client.listen(None).await.unwrap();
    for _ in 0..1_000 {
        assert!(call.message().await.unwrap().is_some());
        assert!(get.message().await.unwrap().is_some());
    }
    assert_eq!(server.counters().open_streams(), 1);
    drop((call, get));
    while server.counters().open_streams() > 0 {
        tokio::task::yield_now().await;
    }
    client.call("2", "quiet", "{}").await.unwrap();
}

#[tokio::test]
async fn huge_results_are_whole() {
    let server = peers::huge().start().await.unwrap();
    let client = client_of(&server).await;
    for form in [Form::Json, Form::Sse] {
        server.set_form(form);
        let answer = client.call("1", "huge", r#"{"bytes":3000001}"#).await.unwrap().json();
        assert_eq!(answer["result"]["content"][0]["text"].as_str().unwrap().len(), 3_000_001);
    }
}

#[tokio::test]
async fn headers_without_end_never_become_a_response() {
    let server = peers::endless_headers(0).await.unwrap();
    let mut client = Client::new(&server.url());
    // The judge's own HTTP library gives up on the size; either way there is no response.
    assert!(!matches!(timeout(MOMENT, client.initialize()).await, Ok(Ok(_))));
}
