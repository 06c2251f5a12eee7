//! GET streams, and streams that break off and are taken up again.

use std::sync::Arc;

use tokio::sync::Semaphore;
use vmcp_testkit::{
    client::{Client, Response},
    gateway::{Gateway, eventually},
    peers,
    process::Process,
    raw::{Answer, Call, Kind, Running, Session, handler},
};

use crate::{connect, serve};

/// A tool that says a number for every permit that the test gives, and answers after `last`.
async fn counting(last: u64) -> (Running, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let counting = handler(move |call: Call| {
        let gate = Arc::clone(&held);
        async move {
            for number in 1..=last {
                gate.acquire().await.unwrap().forget();
                let params = format!(r#"{{"level":"info","data":{number}}}"#);
                // That nobody reads is no reason to stop.
                let _ = call.notify("notifications/message", &params).await;
            }
            Answer::text("counted")
        }
    });
    let definition = r#"{"name":"count","inputSchema":{"type":"object"}}"#;
    let server = peers::asking().offer(Kind::Tools, definition, counting);
    (server.start().await.unwrap(), gate)
}

/// The numbers that come next on a stream, and the id of the last event read.
pub(crate) async fn numbers(stream: &mut Response, count: usize) -> (Vec<u64>, Option<String>) {
    let (mut numbers, mut last) = (Vec::new(), None);
    for _ in 0..count {
        let message = stream.message().await.unwrap().unwrap();
        numbers.push(message.json()["params"]["data"].as_u64().unwrap());
        last = message.event_id;
    }
    (numbers, last)
}

/// The backend session that this client's subscription made, once it is listened to.
pub(crate) async fn subscribed(client: &Client, backend: &Running) -> Arc<Session> {
    let params = r#"{"uri":"ask://one"}"#;
    client.request("1", "resources/subscribe", params).await.unwrap().result().unwrap();
    eventually("the session is listened to", async || {
        let sessions = backend.sessions();
        sessions.into_iter().find(|one| one.listens() && !one.subscriptions().is_empty())
    })
    .await
}

pub(crate) async fn say(session: &Session, number: u64) {
    let params = format!(r#"{{"level":"info","data":{number}}}"#);
    session.notify("notifications/message", &params).await;
}

async fn fixture(last: u64) -> (Running, Arc<Semaphore>, Process, Client) {
    let (backend, gate) = counting(last).await;
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    (backend, gate, process, client)
}

#[tokio::test]
async fn a_new_get_stream_takes_over_from_the_old_one() {
    let (backend, _gate, _process, client) = fixture(0).await;
    let session = subscribed(&client, &backend).await;
    let mut old = client.listen(None).await.unwrap();
    say(&session, 1).await;
    assert_eq!(numbers(&mut old, 1).await.0, [1]);
    let mut new = client.listen(None).await.unwrap();
    assert!(old.message().await.unwrap().is_none(), "the old stream ends in order");
    say(&session, 2).await;
    assert_eq!(numbers(&mut new, 1).await.0, [2]);
    assert_eq!(client.delete().await.unwrap(), 200);
    assert!(new.message().await.unwrap().is_none(), "DELETE ends it");
}

#[tokio::test]
async fn a_get_stream_that_broke_off_is_resumed_without_a_gap_or_an_echo() {
    let (backend, _gate, _process, client) = fixture(0).await;
    let session = subscribed(&client, &backend).await;
    let mut get = client.listen(None).await.unwrap();
    for number in 1..=3 {
        say(&session, number).await;
    }
    let (first, last) = numbers(&mut get, 2).await;
    assert_eq!(first, [1, 2]);
    drop(get);
    for number in 4..=6 {
        say(&session, number).await;
    }
    let mut resumed = client.listen(last.as_deref()).await.unwrap();
    assert_eq!(resumed.status(), 200);
    assert_eq!(numbers(&mut resumed, 4).await.0, [3, 4, 5, 6]);
    say(&session, 7).await;
    assert_eq!(numbers(&mut resumed, 1).await.0, [7]);
}

/// Before anything was said there is an id already, so that a client can resume from the start.
#[tokio::test]
async fn a_call_is_resumed_from_wherever_its_client_had_got() {
    for read in [0, 1, 3] {
        let (backend, gate, _process, client) = fixture(5).await;
        let mut stream = {
            // The first event must come before the head of the response does.
            gate.add_permits(3);
            client.open_call("7", "a_count", "{}").await.unwrap()
        };
        let mut seen = Vec::new();
        let mut last = stream.event().await.unwrap().unwrap().id;
        if read > 0 {
            let (numbers, event) = numbers(&mut stream, read).await;
            (seen, last) = (numbers, event);
        }
        drop(stream);
        let mut resumed = client.listen(last.as_deref()).await.unwrap();
        assert_eq!(resumed.status(), 200);
        gate.add_permits(2);
        let answer = resumed.answer("7").await.unwrap();
        let rest = answer.before.iter().map(|note| note.json()["params"]["data"].as_u64().unwrap());
        seen.extend(rest);
        assert_eq!(seen, [1, 2, 3, 4, 5]);
        assert_eq!(answer.text().unwrap(), "counted");
        assert_eq!(backend.counters().calls("count"), 1);
        let get = client.listen(None).await.unwrap();
        assert_eq!(get.status(), 200, "the call's stream was not the GET stream");
    }
}

/// The call is over before its client comes back: the answer was kept.
#[tokio::test]
async fn an_answer_waits_for_a_client_that_broke_off() {
    let (backend, gate, process, client) = fixture(3).await;
    gate.add_permits(1);
    let mut stream = client.open_call("7", "a_count", "{}").await.unwrap();
    let (_, last) = numbers(&mut stream, 1).await;
    drop(stream);
    gate.add_permits(2);
    eventually("the call is over", async || {
        let (_, body) = vmcp_testkit::client::fetch(&process.url_of("/status")).await.unwrap();
        let report: serde_json::Value = serde_json::from_slice(&body).unwrap();
        (report["calls_in_flight"] == 0).then_some(())
    })
    .await;
    let mut resumed = client.listen(last.as_deref()).await.unwrap();
    let answer = resumed.answer("7").await.unwrap();
    assert_eq!(answer.before.len(), 2, "{answer:?}");
    assert_eq!(answer.text().unwrap(), "counted");
    assert_eq!(backend.counters().requests("notifications/cancelled"), 0);
}

/// A stream that is over has nothing to say: it is refused instead of ended at once. The TypeScript SDK
/// would open the session's GET stream once more, and its two would take that from each other for ever.
#[tokio::test]
async fn a_stream_that_is_over_is_not_resumed() {
    let (_backend, gate, _process, client) = fixture(3).await;
    gate.add_permits(1);
    let mut stream = client.open_call("7", "a_count", "{}").await.unwrap();
    let (_, last) = numbers(&mut stream, 1).await;
    client.notify("notifications/cancelled", r#"{"requestId":7}"#).await.unwrap();
    assert!(stream.event().await.unwrap().is_none(), "a cancelled call is not answered");
    assert_eq!(client.listen(last.as_deref()).await.unwrap().status(), 400);

    // For what the backend still counts of the first call, too.
    gate.add_permits(6);
    let mut stream = client.open_call("8", "a_count", "{}").await.unwrap();
    let mut last = None;
    while let Some(event) = stream.event().await.unwrap() {
        last = event.id;
    }
    assert_eq!(client.listen(last.as_deref()).await.unwrap().status(), 400);
}

/// A question that was on its way when the client broke off comes again, and can be answered.
#[tokio::test]
async fn a_question_survives_its_clients_connection() {
    let (_backend, _gate, _process, client) = fixture(0).await;
    let mut stream = client.open_call("7", "a_ask_form", "{}").await.unwrap();
    let primed = stream.event().await.unwrap().unwrap().id;
    drop(stream);
    let mut resumed = client.listen(primed.as_deref()).await.unwrap();
    let question = resumed.message().await.unwrap().unwrap();
    assert_eq!(question.method().unwrap(), "elicitation/create");
    client.answer(&question, r#"{"action":"decline"}"#).await.unwrap();
    assert!(resumed.answer("7").await.unwrap().result().unwrap().contains("decline"));
}

#[tokio::test]
async fn an_event_id_that_was_never_given_out_is_refused() {
    let (_backend, _gate, process, client) = fixture(1).await;
    for id in ["nonsense", "999-1", "0-99999999999999999999999", "é"] {
        assert_eq!(client.listen(Some(id)).await.unwrap().status(), 400, "{id}");
    }
    // The stream of one session is nothing to another.
    let mut stream = client.open_call("7", "a_ask_form", "{}").await.unwrap();
    let id = stream.event().await.unwrap().unwrap().id;
    let stranger = connect(&process).await;
    assert_eq!(stranger.listen(id.as_deref()).await.unwrap().status(), 400);
}
