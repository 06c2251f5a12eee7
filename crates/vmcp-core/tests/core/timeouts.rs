//! How long calls may take: idle, and in all; progress and questions.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use vmcp_core::CallEvent;
use vmcp_model::Era;
use vmcp_testkit::{
    modern,
    raw::{self, Answer, RawServer},
};
use vmcp_wire::Fault;

use crate::{
    client::{end_of, is_over},
    world::{BOTH, Legacy, Setup, idle, legacy, modern as modern_server, tool},
};

/// What backends may take in these tests: see [`Setup`].
const IDLE: u64 = 10;
const ABSOLUTE: u64 = 60;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn timed_out(seconds: u64) -> Fault {
    Fault::BackendTimeout { backend: "a".to_owned(), seconds }
}

/// A tool that makes progress so many times, always after six seconds.
fn progressing(times: usize) -> Legacy {
    let progressing = raw::handler(move |call: raw::Call| async move {
        for _time in 0..times {
            tokio::time::sleep(seconds(6)).await;
            let Some(token) = call.progress_token() else { continue };
            let params = format!(r#"{{"progressToken":{token},"progress":1}}"#);
            if call.notify("notifications/progress", &params).await.is_err() {
                break;
            }
        }
        Answer::text("")
    });
    legacy("t", progressing)
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_sign_of_life_times_out_in_every_pair_of_eras() {
    let old = legacy("t", raw::fixed(Answer::Hang));
    let new = modern_server("t", modern::fixed(Answer::Hang));
    for era in BOTH {
        for setup in [Setup::new().with("a", &old), Setup::new().with("a", &new)] {
            let (world, client) = setup.settled(era).await;
            let begun = Instant::now();
            assert_eq!(client.call("a_t").await.fault(), timed_out(IDLE), "{era:?}");
            assert_eq!(begun.elapsed().as_secs(), IDLE);
            assert_eq!(world.tool_calls("a"), (1, 1, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_legacy_backend_is_told_that_nobody_waits_any_more() {
    for era in BOTH {
        let (heard, mut told) = tokio::sync::mpsc::channel(1);
        let waiting = raw::handler(move |call: raw::Call| {
            let heard = heard.clone();
            async move {
                call.cancelled.cancelled().await;
                heard.send(()).await.unwrap();
                Answer::text("")
            }
        });
        let server = legacy("t", waiting);
        let (_world, client) = Setup::new().with("a", &server).settled(era).await;
        assert_eq!(client.call("a_t").await.fault(), timed_out(IDLE));
        timeout(seconds(1), told.recv()).await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_times_out() {
    for era in BOTH {
        let server = legacy(
            "t",
            raw::handler(|call: raw::Call| async move {
                let params = r#"{"level":"error","data":1}"#;
                call.notify("notifications/message", params).await.unwrap();
                Answer::Hang
            }),
        );
        let (world, client) = Setup::new().with("a", &server).settled(era).await;
        let (mut stream, lent) = client.call("a_t").await.stream();
        let begun = Instant::now();
        assert_eq!(end_of(&mut stream).await.unwrap_err(), timed_out(IDLE), "{era:?}");
        assert_eq!(begun.elapsed().as_secs(), IDLE);
        drop((stream, lent));
        assert_eq!(world.tool_calls("a"), (1, 1, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn progress_is_a_sign_of_life() {
    for era in BOTH {
        let server = progressing(5);
        let (_world, client) = Setup::new().with("a", &server).settled(era).await;
        let message = client.call_with_token("a_t", "1");
        let begun = Instant::now();
        let (mut stream, lent) = client.send(&message).await.stream();
        assert_eq!(end_of(&mut stream).await.unwrap().0, 5, "{era:?}");
        assert_eq!(begun.elapsed().as_secs(), 30);
        drop((stream, lent));
    }
}

#[tokio::test(start_paused = true)]
async fn no_call_takes_longer_than_one_may_whatever_its_progress() {
    let server = progressing(1000);
    let (world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let message = client.call_with_token("a_t", "1");
    let begun = Instant::now();
    let (mut stream, _) = client.send(&message).await.stream();
    assert_eq!(end_of(&mut stream).await.unwrap_err(), timed_out(ABSOLUTE));
    // The stream has begun with the first progress.
    assert_eq!(begun.elapsed().as_secs(), ABSOLUTE + 6);
    drop(stream);
    assert_eq!(world.tool_calls("a"), (1, 1, 0));
}

/// A tool that asks its client something, and takes `after` to say that it has been answered.
fn asking(after: Duration) -> Legacy {
    let asking = raw::handler(move |call: raw::Call| async move {
        call.ask("elicitation/create", r#"{"message":"?"}"#).await.unwrap();
        tokio::time::sleep(after).await;
        Answer::text("answered")
    });
    legacy("t", asking)
}

#[tokio::test(start_paused = true)]
async fn deadlines_rest_while_a_question_is_open() {
    let server = asking(Duration::ZERO);
    let world = Setup::new().with("a", &server).begin();
    let client = world.client_with(Era::Legacy, r#"{"elicitation":{}}"#).await;
    let (mut stream, _) = client.call("a_t").await.stream();
    let CallEvent::Asks(question) = stream.next().await.unwrap() else { panic!("it asks") };
    assert_eq!((&*question.method_name, &*question.id), ("elicitation/create", "vmcp.a:0"));
    let open = stream.open_question();
    // Longer than a call may take in all.
    assert!(timeout(seconds(3 * ABSOLUTE), stream.next()).await.is_err());
    let (backend, session) = (world.backend("a"), stream.session().clone());
    let answer = r#"{"jsonrpc":"2.0","id":0,"result":{"action":"accept"}}"#;
    backend.tell(&session, answer.as_bytes().to_vec().into()).await.unwrap();
    drop(open);
    assert!(end_of(&mut stream).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn deadlines_go_on_when_a_question_is_not_open_any_more() {
    let server = asking(Duration::ZERO);
    let world = Setup::new().with("a", &server).begin();
    let client = world.client_with(Era::Legacy, r#"{"elicitation":{}}"#).await;
    let (mut stream, _) = client.call("a_t").await.stream();
    let CallEvent::Asks(_question) = stream.next().await.unwrap() else { panic!("it asks") };
    let open = stream.open_question();
    assert!(timeout(seconds(2 * IDLE), stream.next()).await.is_err());
    drop(open);
    let begun = Instant::now();
    assert_eq!(end_of(&mut stream).await.unwrap_err(), timed_out(IDLE));
    assert!(begun.elapsed() <= seconds(IDLE + 1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_question_that_the_client_has_not_declared_is_declined_at_once() {
    let server = legacy(
        "t",
        raw::handler(|call: raw::Call| async move {
            let answer = call.ask("elicitation/create", r#"{"message":"?"}"#).await.unwrap();
            let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
            Answer::text(answer["error"]["code"].to_string())
        }),
    );
    let (_world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let (mut stream, _) = client.call("a_t").await.stream();
    let (notices, answer) = end_of(&mut stream).await.unwrap();
    assert_eq!((notices, crate::client::text_of(&answer)), (0, "-32601"));
}

#[tokio::test(start_paused = true)]
async fn answers_that_nobody_reads_are_over_when_their_time_is() {
    let large = legacy("t", raw::fixed(Answer::Huge(8 << 20)));
    let talking = progressing(1);
    let world = Setup::new().with("a", &large).with("b", &talking).begin();
    let client = world.client(Era::Legacy).await;
    let mut relay = client.call("a_t").await.relay();
    let message = client.call_with_token("b_t", "1");
    let (stream, _) = client.send(&message).await.stream();
    let over = stream.over();
    assert_eq!(is_over(&mut relay).await, None);
    tokio::time::sleep(seconds(ABSOLUTE)).await;
    idle().await;
    assert_eq!(is_over(&mut relay).await, Some(timed_out(ABSOLUTE)));
    let of_b = Fault::BackendTimeout { backend: "b".to_owned(), seconds: ABSOLUTE };
    assert_eq!(timeout(seconds(7), over).await.unwrap(), of_b);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_open_fails_its_call_only() {
    let server = RawServer::builder().tool(&tool("t"), Answer::text("")).start_in_memory();
    let other = legacy("t", raw::fixed(Answer::text("")));
    let world = Setup::new().with("a", &server).with("b", &other).begin();
    let client = world.client(Era::Legacy).await;
    server.script("initialize", raw::fixed(Answer::Hang));
    let begun = Instant::now();
    let (slow, fast) = tokio::join!(client.call("a_t"), async {
        client.another().call("b_t").await.json();
        begun.elapsed()
    });
    assert!(fast < seconds(1), "{fast:?}");
    let fault = slow.fault();
    assert!(matches!(fault, Fault::BackendTimeout { .. }), "{fault}");
    assert_eq!(world.tool_calls("a"), (1, 1, 0));
}
