//! How long a call may take, and what stops its clock.

use tokio::time::{Duration, Instant, sleep};
use vmcp_testkit::{
    client::{Client, Message},
    gateway::{Gateway, eventually},
    peers,
    process::Process,
    raw::{Answer, Call, Kind, Running, handler},
};

use crate::{connect, serve};

/// A server with `slow`, the questions of the asking peer, and `steps`: progress every 150 ms.
async fn backend() -> Running {
    let steps = handler(|call: Call| async move {
        let token = call.progress_token().unwrap();
        for step in 0..call.argument("steps").unwrap() {
            sleep(Duration::from_millis(150)).await;
            let params = format!(r#"{{"progressToken":{token},"progress":{step}}}"#);
            let _ = call.notify("notifications/progress", &params).await;
        }
        Answer::text("stepped")
    });
    let sleeping = handler(|call: Call| async move {
        sleep(Duration::from_millis(call.argument("delay_ms").unwrap())).await;
        Answer::text("done")
    });
    peers::asking()
        .offer(Kind::Tools, r#"{"name":"steps","inputSchema":{"type":"object"}}"#, steps)
        .offer(Kind::Tools, r#"{"name":"slow","inputSchema":{"type":"object"}}"#, sleeping)
        .start()
        .await
        .unwrap()
}

async fn fixture(timeouts: &str) -> (Running, Running, Process, Client) {
    let (a, b) = (backend().await, backend().await);
    let gateway = Gateway::before(&[("a", a.url()), ("b", b.url())]);
    let process = serve(&gateway.with(&format!("operational: {{timeouts: {timeouts}}}"))).await;
    let client = connect(&process).await;
    (a, b, process, client)
}

async fn timed(client: &Client, tool: &str, delay_ms: u64) -> (Message, Duration) {
    let began = Instant::now();
    let arguments = format!(r#"{{"delay_ms":{delay_ms}}}"#);
    (client.call("1", tool, &arguments).await.unwrap(), began.elapsed())
}

fn steps(steps: u64) -> String {
    format!(
        r#"{{"name":"a_steps","arguments":{{"steps":{steps}}},"_meta":{{"progressToken":"s"}}}}"#
    )
}

#[tokio::test]
async fn each_backend_has_the_time_that_it_was_given() {
    let (a, _b, _process, client) = fixture("{default: 2s, perWorkload: {b: 1m}}").await;
    let (answer, took) = timed(&client, "a_slow", 60_000).await;
    assert!(answer.error().unwrap().contains("backend a"), "{answer:?}");
    assert!((2..30).contains(&took.as_secs()), "{took:?}");
    eventually("the backend is told to stop", async || {
        (a.counters().requests("notifications/cancelled") == 1).then_some(())
    })
    .await;
    let (answer, _) = timed(&client, "b_slow", 4000).await;
    assert_eq!(answer.text().unwrap(), "done");
    let (answer, _) = timed(&client, "a_slow", 1).await;
    assert_eq!(answer.text().unwrap(), "done", "the backend is none the worse");
    assert_eq!(a.counters().calls("slow"), 2, "a call that timed out is not repeated");
}

#[tokio::test]
async fn progress_keeps_a_call_alive() {
    let (_a, _b, _process, client) = fixture("{default: 2s}").await;
    let answer = client.request("1", "tools/call", &steps(20)).await.unwrap();
    assert_eq!(answer.text().unwrap(), "stepped");
    assert_eq!(answer.before.len(), 20);
}

#[tokio::test]
async fn progress_does_not_keep_a_call_alive_for_ever() {
    let (_a, _b, _process, client) = fixture("{default: 2s, absolute: 3s}").await;
    let began = Instant::now();
    let answer = client.request("1", "tools/call", &steps(400)).await.unwrap();
    assert!(answer.error().unwrap().contains("backend a"), "{answer:?}");
    assert!((3..30).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_question_to_the_client_rests_the_clock() {
    let (_a, _b, _process, client) = fixture("{default: 2s, absolute: 3s}").await;
    let mut stream = client.open_call("1", "a_ask_form", "{}").await.unwrap();
    let question = stream.message().await.unwrap().unwrap();
    // A person thinks.
    sleep(Duration::from_secs(4)).await;
    assert_eq!(client.answer(&question, r#"{"action":"accept"}"#).await.unwrap(), 202);
    assert!(stream.answer("1").await.unwrap().result().unwrap().contains("accept"));
}
