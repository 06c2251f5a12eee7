//! What nobody has asked for, or not any more, reaches no client: progress of others, and whatever comes
//! after a cancellation.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use vmcp_testkit::{
    client::{self, Client},
    gateway::{Gateway, eventually},
    literal::{Literal, Way},
    peers,
    process::Process,
    raw::{Answer, Call, Form, Kind, handler},
};

use crate::{connect, serve};

/// How much a client must not hear.
const SILENCE: Duration = Duration::from_millis(300);

async fn strays(process: &Process) -> u64 {
    let (_status, text) = client::fetch(&process.url_of("/status")).await.unwrap();
    let status: Value = serde_json::from_slice(&text).unwrap();
    status["backends"][0]["stray_progress"].as_u64().unwrap()
}

fn progress(token: &str, progress: u32) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{progress}}}}}"#
    )
}

#[tokio::test]
async fn only_the_progress_that_a_call_has_asked_for_reaches_its_client() {
    const ANSWER: &str = r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[]}}"#;
    for way in [Way::Sse, Way::Get, Way::HttpSse, Way::Stdio] {
        let server = Literal::start(way).await.unwrap();
        let process = serve(&Gateway::before(&[]).backend(&server.backend("a"))).await;
        let client = connect(&process).await;
        let mut listening = client.listen(None).await.unwrap();
        for (number, own) in ["7", "\"7\"", "\"t\"", ""].into_iter().enumerate() {
            let tokens = ["7", "\"7\"", "\"t\"", "\"other\"", "null", "1.0"];
            let told: String = tokens.iter().map(|token| way.framed(&progress(token, 1))).collect();
            let answer = if way == Way::Get { String::new() } else { way.framed(ANSWER) };
            let after = way.framed(&progress(if own.is_empty() { "7" } else { own }, 9));
            let text = told.clone() + &answer + &after;
            let meta = if own.is_empty() {
                json!({})
            } else {
                json!({"progressToken": serde_json::from_str::<Value>(own).unwrap()})
            };
            let params =
                json!({"name": "a_say", "arguments": {"before": text, "times": 0}, "_meta": meta});
            let answer =
                client.request(&number.to_string(), "tools/call", &params.to_string()).await;
            let heard: Vec<_> = answer.unwrap().before.iter().map(|m| m.json()).collect();
            let expected: Vec<Value> = match own {
                // On another stream than the call's.
                _ if way == Way::Get => Vec::new(),
                "" => Vec::new(),
                own => vec![serde_json::from_str(&progress(own, 1)).unwrap()],
            };
            assert_eq!(heard, expected, "{way:?}, token {own:?}");
        }
        let count = if way == Way::Get { 20 } else { 15 };
        eventually("strays are counted", async || (strays(&process).await >= count).then_some(()))
            .await;
        let heard = timeout(SILENCE, listening.message()).await;
        assert!(heard.is_err(), "{way:?}: {heard:?}");
    }
}

/// The id of the first event of a stream.
async fn first_id(stream: &mut client::Response) -> Option<String> {
    stream.event().await.unwrap()?.id
}

#[tokio::test]
async fn nothing_is_delivered_after_a_cancellation() {
    // It goes on as if nothing had been said.
    let deaf = handler(|call: Call| async move {
        if call.argument::<bool>("tells") == Some(true) {
            let _told =
                call.notify("notifications/message", r#"{"level":"info","data":"on"}"#).await;
        }
        call.cancelled.cancelled().await;
        let _late = call.notify("notifications/message", r#"{"level":"info","data":"late"}"#).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        Answer::text("late")
    });
    let tool = r#"{"name":"deaf","inputSchema":{"type":"object"}}"#;
    let server = peers::slow().offer(Kind::Tools, tool, deaf).start().await.unwrap();
    let child = Literal::start(Way::Stdio).await.unwrap();
    let gateway = Gateway::before(&[("a", server.url())]).backend(&child.backend("kid"));
    let process = serve(&gateway).await;
    for form in [Form::Json, Form::Sse] {
        server.set_form(form);
        for (tool, arguments) in [
            ("a_deaf", json!({})),
            ("a_deaf", json!({"tells": true})),
            ("kid_sleep", json!({"ms": 500})),
        ] {
            let client = connect(&process).await;
            let told = cancelled(&process, &client, tool, &arguments).await;
            assert!(
                !told.contains("late") && !told.contains("slept"),
                "{tool} {arguments}: {told}"
            );
        }
    }
}

/// Calls a tool, cancels the call, and gives whatever comes from then on: on the call's stream, when that
/// is resumed, and on the GET stream.
async fn cancelled(process: &Process, client: &Client, tool: &str, arguments: &Value) -> String {
    let mut listening = client.listen(None).await.unwrap();
    let arguments = arguments.to_string();
    let calling = client.open_call("1", tool, &arguments);
    let cancelling = async {
        eventually("it is under way", async || {
            let (_status, text) = client::fetch(&process.url_of("/status")).await.unwrap();
            let status: Value = serde_json::from_slice(&text).unwrap();
            (status["calls_in_flight"] == 1).then_some(())
        })
        .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.notify("notifications/cancelled", r#"{"requestId":1}"#).await.unwrap();
    };
    let (stream, ()) = tokio::join!(calling, cancelling);
    let mut stream = stream.unwrap();
    let mut told = String::new();
    if stream.is_stream() {
        let id = first_id(&mut stream).await.unwrap();
        while let Some(event) = stream.event().await.unwrap() {
            told += &String::from_utf8_lossy(&event.data);
        }
        for _again in 0..2 {
            let resumed = client.listen(Some(&id)).await.unwrap();
            assert_eq!(resumed.status(), 400, "its stream is over");
        }
    } else {
        told += &String::from_utf8_lossy(&stream.bytes().await.unwrap());
    }
    let heard = timeout(2 * SILENCE, async {
        while let Ok(Some(event)) = listening.event().await {
            if !event.data.is_empty() {
                return String::from_utf8_lossy(&event.data).into_owned();
            }
        }
        String::new()
    });
    told + &heard.await.unwrap_or_default()
}
