//! Calls that are longer than any default.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
    time::{Duration, Instant},
};
use vmcp_testkit::{
    CHILD,
    client::fetch,
    gateway::{Gateway, eventually},
    modern_client::ModernClient,
    peers,
    raw::Form,
};

use crate::{connect, serve};

/// 30 s is where a timeout that nobody asked for would strike.
#[tokio::test]
async fn a_call_of_31_seconds_succeeds_where_40_are_allowed() {
    let (json, events) = (
        peers::slow().start().await.unwrap(),
        peers::slow().form(Form::Sse).start().await.unwrap(),
    );
    let gateway = Gateway::before(&[("json", json.url()), ("sse", events.url())])
        .with("operational: {timeouts: {default: 40s}}");
    let process = serve(&gateway).await;
    let client = connect(&process).await.with_patience(Duration::from_secs(45));
    let calling = async |id: &str, tool: &str, meta: &str| {
        let params = format!(r#"{{"name":"{tool}","arguments":{{"delay_ms":31000}}{meta}}}"#);
        client.request(id, "tools/call", &params).await.unwrap().text().unwrap()
    };
    let progress = r#","_meta":{"progressToken":1}"#;
    let (json, events, progressing) = tokio::join!(
        calling("1", "json_slow", ""),
        calling("2", "sse_slow", ""),
        calling("3", "json_slow", progress)
    );
    assert_eq!([json, events, progressing], ["done"; 3]);
}

/// A call becomes a stream after ten seconds, so that its client sees that vmcp is alive. The backend is
/// none the livelier for it: one that hangs has the time that it was given, wherever it is.
#[tokio::test]
async fn a_call_that_hangs_has_the_same_time_on_every_way() {
    let http = peers::hanging_at_calls().start().await.unwrap();
    let kid = format!("name: kid, command: python3, args: ['{CHILD}']");
    let gateway = Gateway::before(&[("http", http.url())]).backend(&kid);
    let process = serve(&gateway.with("operational: {timeouts: {default: 12s}}")).await;
    let patience = Duration::from_secs(60);
    let legacy = connect(&process).await.with_patience(patience);
    let modern = ModernClient::new(&process.url()).patience(patience);
    let began = Instant::now();
    let of_legacy = async |id: &str, tool: &str, arguments: &str| {
        legacy.call(id, tool, arguments).await.unwrap().error().unwrap();
        began.elapsed()
    };
    let of_modern = async |tool: &str, arguments: serde_json::Value| {
        modern.call(tool, arguments).await.unwrap().error().unwrap();
        began.elapsed()
    };
    let sleeping = json!({"ms": 60_000});
    let (usual, others) = tokio::join!(of_legacy("1", "http_hang", "{}"), async {
        tokio::join!(
            of_legacy("2", "kid_sleep", r#"{"ms":60000}"#),
            of_modern("http_hang", json!({})),
            of_modern("kid_sleep", sleeping),
        )
    });
    for took in [others.0, others.1, others.2] {
        assert!(took < usual.mul_f64(1.4) && usual < took.mul_f64(1.4), "{others:?}: {usual:?}");
    }
}

/// A server of something else opens a stream as well, and says nothing on it.
#[tokio::test]
async fn a_stream_that_stays_silent_is_no_stream_of_http_and_sse() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sse", listener.local_addr().unwrap());
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _peer) = listener.accept().await.unwrap();
            let _asked = stream.read(&mut [0; 4096]).await;
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: hello\n\n";
            stream.write_all(head).await.unwrap();
            open.push(stream);
        }
    });
    let backend = format!("name: odd, url: '{url}', transport: sse");
    let process = serve(&Gateway::before(&[]).backend(&backend)).await;
    eventually("the reason is shown", async || {
        let (_, body) = fetch(&process.url_of("/status")).await.unwrap();
        let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let told = status["backends"][0]["offer_problem"].as_str()?.to_owned();
        told.contains("its stream has not begun with an `endpoint` event").then_some(())
    })
    .await;
}
