//! What once went wrong, and must not again.

use std::time::Duration;

use vmcp_testkit::{
    client::{self, Client},
    gateway::{Gateway, eventually},
    peers,
    raw::{Answer, Call, Form, Kind, handler},
};

use crate::{connect, serve};

/// The calls that vmcp has in flight.
async fn in_flight(process: &vmcp_testkit::process::Process) -> u64 {
    let (_status, text) = client::fetch(&process.url_of("/status")).await.unwrap();
    let status: serde_json::Value = serde_json::from_slice(&text).unwrap();
    status["calls_in_flight"].as_u64().unwrap()
}

/// A cancelled call ends, however much its backend goes on to say.
#[tokio::test]
async fn a_cancelled_call_ends_though_its_backend_goes_on() {
    let chatty = handler(|call: Call| async move {
        // Until vmcp reads no more.
        while call.notify("notifications/message", r#"{"level":"info","data":"on"}"#).await.is_ok()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Answer::text("done")
    });
    let tool = r#"{"name":"chat","inputSchema":{"type":"object"}}"#;
    let server = peers::slow().offer(Kind::Tools, tool, chatty).start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    let client = connect(&process).await;
    let mut stream = client.open_call("1", "a_chat", "{}").await.unwrap();
    stream.message().await.unwrap().unwrap();
    client.notify("notifications/cancelled", r#"{"requestId":1}"#).await.unwrap();
    while let Some(message) = stream.message().await.unwrap() {
        assert!(message.method().is_some(), "no answer to a cancelled call: {message:?}");
    }
    eventually("nothing is in flight", async || (in_flight(&process).await == 0).then_some(()))
        .await;
}

/// A client that goes away cancels nothing: the backend's work goes on, its connection stays.
#[tokio::test]
async fn a_disconnect_does_not_cancel_a_call() {
    let server = peers::slow().form(Form::Json).start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    let client = connect(&process).await;
    let calling = client.open_call("1", "a_slow", r#"{"delay_ms":4000}"#);
    let under_way = eventually("the call is under way", async || {
        (server.counters().calls("slow") == 1).then_some(())
    });
    tokio::select! {
        _ = calling => panic!("too fast"),
        () = under_way => {}
    }
    // The connection is closed now; the call is not.
    let began = tokio::time::Instant::now();
    while began.elapsed() < Duration::from_millis(400) {
        assert_eq!(in_flight(&process).await, 1, "after {:?}", began.elapsed());
    }
    eventually("the call ends", async || (in_flight(&process).await == 0).then_some(())).await;
}

/// What a client has asked and left behind does not stay: with the call, its question goes.
#[tokio::test]
async fn a_question_ends_with_its_call() {
    let asking = handler(|call: Call| async move {
        tokio::select! {
            _ = call.ask("roots/list", "") => Answer::text("answered"),
            () = tokio::time::sleep(Duration::from_millis(5)) => Answer::text("never mind"),
        }
    });
    let tool = r#"{"name":"ask","inputSchema":{"type":"object"}}"#;
    let server = peers::slow().offer(Kind::Tools, tool, asking).start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    let client = connect(&process).await;
    // More than one session may have open at once.
    for id in 0..300 {
        let id = id.to_string();
        let mut stream = client.open_call(&id, "a_ask", "{}").await.unwrap();
        let answer = stream.answer(&id).await.unwrap();
        assert_eq!(answer.before.len(), 1, "call {id} has asked");
        assert_eq!(answer.text().unwrap(), "never mind");
    }
}

/// Answers and cancellations do not need the room that calls take up.
#[tokio::test]
async fn an_answer_gets_through_when_no_call_does() {
    let server = peers::asking().start().await.unwrap();
    let gateway = Gateway::before(&[("a", server.url())]).with("limits: {callsPerBackend: 8}");
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let mut streams = Vec::new();
    for id in 0..8 {
        let mut stream = client.open_call(&id.to_string(), "a_ask_form", "{}").await.unwrap();
        let question = stream.message().await.unwrap().unwrap();
        streams.push((id.to_string(), stream, question));
    }
    for (id, mut stream, question) in streams {
        let status = client.answer(&question, r#"{"action":"accept","content":{}}"#).await.unwrap();
        assert_eq!(status, 202);
        let answer = stream.answer(&id).await.unwrap();
        assert!(answer.result().unwrap().contains("accept"), "{answer:?}");
    }
}

/// What a client says about itself is kept as long as its session, so it has a bound.
#[tokio::test]
async fn a_client_cannot_say_too_much_about_itself() {
    let server = peers::slow().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    let mut client = Client::new(&process.url());
    let large = format!(r#"{{"experimental":{{"x":{{"y":"{}"}}}}}}"#, "z".repeat(70_000));
    let refused = client.initialize_as("2025-11-25", &large).await.unwrap_err().to_string();
    assert!(refused.contains("65536 bytes"), "{refused}");
}

/// The largest event id there can be is as unknown as any other.
#[tokio::test]
async fn the_largest_event_id_is_no_danger() {
    let server = peers::slow().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    let client = connect(&process).await;
    drop(client.listen(Some("0-ffffffffffffffff")).await.unwrap());
    let mut stream = client.listen(None).await.unwrap();
    assert!(stream.event().await.unwrap().is_some(), "the session has its streams as before");
}
