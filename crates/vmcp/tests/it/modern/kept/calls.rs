//! Calls on a kept session: side by side or in turn, and what becomes of the session when one of them
//! goes wrong.

use std::{collections::BTreeSet, sync::Arc};

use http::Method;
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};
use vmcp_testkit::{
    gateway::eventually,
    modern_client::ModernClient,
    peers,
    raw::{Answer, Call, Form, Handler, Kind, handler},
};

use super::{Kept, Together, call, count, tool};
use crate::modern::modern_client;

/// The ids and the progress tokens by which a backend has been called.
fn names(kept: &Kept, tool: &str) -> (Vec<Value>, Vec<Value>) {
    let calls = kept.peer.seen().into_iter().filter(|seen| seen.method == "tools/call");
    let calls = calls.map(|seen| serde_json::from_slice::<Value>(&seen.body).unwrap());
    let calls: Vec<_> = calls.filter(|call| call["params"]["name"] == tool).collect();
    let ids = calls.iter().map(|call| call["id"].clone()).collect();
    (ids, calls.iter().map(|call| call["params"]["_meta"]["progressToken"].clone()).collect())
}

/// Clients that use the same ids and tokens get each its own answer and progress, with their own id and
/// token.
#[tokio::test]
async fn calls_run_side_by_side_under_names_that_never_meet() {
    let together = Together::new(8);
    let kept = Kept::before(together.server(), "").await;
    assert_eq!(count(&kept.client).await, "1");
    let mut calls = JoinSet::new();
    for number in 0..8 {
        // Each begins with the same id.
        let mut client = modern_client(&kept.process);
        let token = [json!("t"), json!(7), Value::Null][number % 3].clone();
        if !token.is_null() {
            client = client.meta("progressToken", token.clone());
        }
        calls.spawn(async move {
            let text = format!("text {number}");
            let answer = call(&client, "a_together", json!({"text": text})).await;
            assert_eq!(answer.text().unwrap(), text);
            let told: Vec<_> =
                answer.notifications().iter().map(|told| told["params"].clone()).collect();
            let progress = json!({"progressToken": token, "progress": 1, "message": text});
            assert_eq!(told, if token.is_null() { vec![] } else { vec![progress] });
        });
    }
    calls.join_all().await;
    assert_eq!(kept.opened(), 1);
    let (ids, tokens) = names(&kept, "together");
    let different = |names: &[Value]| names.iter().map(Value::to_string).collect::<BTreeSet<_>>();
    assert_eq!((ids.len(), different(&ids).len()), (8, 8), "{ids:?}");
    let tokens: Vec<_> = tokens.into_iter().filter(|token| !token.is_null()).collect();
    assert_eq!((tokens.len(), different(&tokens).len()), (6, 6), "{tokens:?}");
}

#[tokio::test]
async fn calls_run_in_turn_where_a_server_can_do_no_more() {
    for bridge in ["bridge: {concurrency: 1}", "bridge: {reuse: all}"] {
        let together = Together::new(1);
        let kept = Kept::before(together.server(), bridge).await;
        let mut calls = JoinSet::new();
        for number in 0..12 {
            let client = kept.client.clone();
            calls.spawn(async move {
                let text = format!("text {number}");
                let answer = call(&client, "a_together", json!({"text": text})).await;
                assert_eq!(answer.text().unwrap(), text);
            });
        }
        calls.join_all().await;
        assert_eq!(together.most.load(std::sync::atomic::Ordering::SeqCst), 1, "{bridge}");
        assert_eq!(kept.opened(), 1, "{bridge}");
    }
}

/// A tool that answers when it is let, whether or not it is cancelled.
fn gated(gate: &Arc<Semaphore>) -> Handler {
    let gate = Arc::clone(gate);
    handler(move |_: Call| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            Answer::text("late")
        }
    })
}

async fn under_way(kept: &Kept, tool: &str, calls: u64) {
    eventually("it runs", async || (kept.peer.counters().calls(tool) == calls).then_some(())).await;
}

#[tokio::test]
async fn a_call_waits_for_its_turn_only_so_long() {
    let gate = Arc::new(Semaphore::new(0));
    let peer = peers::stateful().offer(Kind::Tools, &tool("gated"), gated(&gate));
    let kept = Kept::before(peer, "bridge: {concurrency: 1, wait: 1s}").await;
    let mut first = JoinSet::new();
    let client = kept.client.clone();
    first.spawn(async move { call(&client, "a_gated", json!({})).await.text().unwrap() });
    under_way(&kept, "gated", 1).await;
    let refused = call(&kept.client, "a_count", json!({})).await;
    assert_eq!((refused.status().as_u16(), refused.error_code().unwrap()), (503, -32603));
    assert!(refused.headers().contains_key("retry-after"), "{refused:?}");
    let told = refused.error().unwrap()["message"].as_str().unwrap().to_owned();
    assert!(told.contains("1 calls under way on the kept session already"), "{told}");
    // One that is not kept waiting for long is not refused.
    let client = kept.client.clone();
    first.spawn(async move { count(&client).await });
    gate.add_permits(1);
    let mut answers = first.join_all().await;
    answers.sort();
    assert_eq!(answers, ["1", "late"]);
}

async fn cancelled(kept: &Kept, calls: u64) {
    eventually("it is told", async || {
        (kept.peer.counters().requests("notifications/cancelled") == calls).then_some(())
    })
    .await;
}

/// The answer of a call that was given up comes late, and is nobody's. The session goes on.
#[tokio::test]
async fn a_session_outlives_calls_that_are_cancelled_or_take_too_long() {
    for form in [Form::Json, Form::Sse] {
        let gate = Arc::new(Semaphore::new(0));
        let peer = peers::stateful().form(form).offer(Kind::Tools, &tool("gated"), gated(&gate));
        let kept = Kept::before(peer, "operational: {timeouts: {default: 1s}}").await;
        assert_eq!(count(&kept.client).await, "1");
        let late = call(&kept.client, "a_gated", json!({})).await;
        assert_eq!(late.error().unwrap()["data"]["backend"], "a");
        cancelled(&kept, 1).await;
        assert_eq!(count(&kept.client).await, "2");
        let mut leaving = JoinSet::new();
        let client = kept.client.clone();
        leaving.spawn(async move { client.call("a_gated", json!({})).await });
        under_way(&kept, "gated", 2).await;
        leaving.abort_all();
        cancelled(&kept, 2).await;
        let (ids, _) = names(&kept, "gated");
        let told =
            kept.peer.seen().into_iter().filter(|seen| seen.method == "notifications/cancelled");
        let told = told.map(|seen| serde_json::from_slice::<Value>(&seen.body).unwrap());
        let told: Vec<_> = told.map(|told| told["params"]["requestId"].clone()).collect();
        assert_eq!(told, ids, "by the names that the backend knows");
        gate.add_permits(2);
        assert_eq!(count(&kept.client).await, "3");
        assert_eq!((kept.opened(), kept.open()), (1, 1));
    }
}

/// A server whose questions need a person, with a count of its own.
fn asking() -> vmcp_testkit::raw::RawServer {
    peers::asking().offer(
        Kind::Tools,
        &tool("count"),
        handler(|call: Call| async move {
            let before = call.session.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Answer::text((before + 1).to_string())
        }),
    )
}

/// What a backend was told of calls and questions, in order. An answer has no method.
fn ends_told(kept: &Kept) -> Vec<String> {
    let posted = kept.peer.seen().into_iter().filter(|seen| seen.verb == Method::POST);
    let methods = posted.map(|seen| seen.method);
    methods.filter(|method| method.is_empty() || method == "notifications/cancelled").collect()
}

#[tokio::test]
async fn a_question_ends_its_call_at_once_and_the_session_goes_on() {
    let kept = Kept::before(asking(), "").await;
    assert_eq!(count(&kept.client).await, "1");
    for (number, (tool, method)) in [
        ("ask_form", "elicitation/create"),
        ("ask_sampling", "sampling/createMessage"),
        ("ask_roots", "roots/list"),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = call(&kept.client, &format!("a_{tool}"), json!({})).await;
        let error = answer.error().unwrap();
        assert_eq!((&error["code"], &error["data"]["backend"]), (&json!(-32603), &json!("a")));
        let told = error["message"].as_str().unwrap();
        assert!(told.contains(&format!("asks for {method} in mid-call")), "{told}");
        assert_eq!(count(&kept.client).await, (number + 2).to_string());
        // The call is cancelled, and only then the question declined.
        let told = eventually("the backend is told", async || {
            let told = ends_told(&kept);
            (told.len() == 2 * (number + 1)).then_some(told)
        })
        .await;
        assert_eq!(told.last_chunk(), Some(&["notifications/cancelled".to_owned(), String::new()]));
    }
    assert_eq!((kept.opened(), kept.peer.counters().stray_answers()), (1, 0));
}

/// What a client has not declared, nobody could ask it: it is declined, as the client would, and the
/// call goes on.
#[tokio::test]
async fn a_question_that_the_client_could_not_answer_is_declined() {
    let kept = Kept::before(asking(), "").await;
    let client = ModernClient::new(&kept.process.url());
    let answer = call(&client, "a_ask_form", json!({})).await.result().unwrap();
    assert_eq!(answer["structuredContent"]["error"]["code"], -32601, "{answer}");
}

/// A question that comes on no call's stream is declined at once, however the client is.
#[tokio::test]
async fn a_question_aside_of_the_call_does_not_keep_it() {
    for sections in ["", "bridge: {reuse: never}"] {
        let kept = Kept::before(asking(), sections).await;
        for client in [kept.client.clone(), ModernClient::new(&kept.process.url())] {
            let asked = call(&client, "a_ask_roots", json!({"on": "get"})).await;
            let answer = asked.result().unwrap();
            assert_eq!(answer["structuredContent"]["error"]["code"], -32601, "{answer}");
        }
    }
}

/// Changes that a backend tells of on a kept session alone are found.
#[tokio::test]
async fn a_change_of_lists_that_is_told_on_a_kept_session_is_found() {
    let peer = peers::stateful().offer(
        Kind::Tools,
        &tool("tell"),
        handler(|call: Call| async move {
            call.session.notify("notifications/tools/list_changed", "{}").await;
            Answer::text("told")
        }),
    );
    let kept = Kept::before(peer, "").await;
    assert_eq!(count(&kept.client).await, "1");
    let read = kept.peer.counters().requests("tools/list");
    assert_eq!(call(&kept.client, "a_tell", json!({})).await.text().unwrap(), "told");
    eventually("the list is read again", async || {
        (kept.peer.counters().requests("tools/list") > read).then_some(())
    })
    .await;
}

/// The session is told what the most talkative call wants; each call hears what it wants itself.
#[tokio::test]
async fn each_call_hears_the_logs_that_it_wants() {
    let kept = Kept::before(asking(), "").await;
    let levels = async |level: Option<&str>| {
        let client =
            level.map_or(kept.client.clone(), |level| kept.client.clone().log_level(level));
        let answer = call(&client, "a_log", json!({})).await;
        answer.notifications().len()
    };
    assert_eq!(levels(Some("error")).await, 4);
    assert_eq!(levels(Some("debug")).await, 8);
    assert_eq!(levels(Some("error")).await, 4);
    assert_eq!(levels(None).await, 0);
    assert_eq!(kept.peer.counters().requests("logging/setLevel"), 2);
    assert_eq!(kept.opened(), 1);
}

/// Where all share a session, none finds what a call has left that went wrong.
#[tokio::test]
async fn a_session_that_all_share_is_thrown_away_after_a_bad_end() {
    let gate = Arc::new(Semaphore::new(0));
    let peer = asking().offer(Kind::Tools, &tool("gated"), gated(&gate));
    let sections = "bridge: {reuse: all}\noperational: {timeouts: {default: 1s}}";
    let kept = Kept::before(peer, sections).await;
    let other = kept.named("other").header("x-forwarded-for", "192.0.2.1");
    assert_eq!([count(&kept.client).await, count(&other).await], ["1", "2"]);
    // It is asked.
    call(&kept.client, "a_ask_form", json!({})).await.error().unwrap();
    assert_eq!([count(&other).await, count(&kept.client).await], ["1", "2"]);
    // It takes too long.
    call(&kept.client, "a_gated", json!({})).await.error().unwrap();
    assert_eq!([count(&other).await, count(&kept.client).await], ["1", "2"]);
    // It is left.
    let (leaving, mut left) = (kept.client.clone(), JoinSet::new());
    left.spawn(async move { leaving.call("a_gated", json!({})).await });
    under_way(&kept, "gated", 2).await;
    left.abort_all();
    eventually("it is thrown away", async || (count(&other).await == "1").then_some(())).await;
    eventually("one is left", async || (kept.open() == 1).then_some(())).await;
    // An error of the tool's is no bad end.
    call(&kept.client, "a_none", json!({})).await.error().unwrap();
    assert_eq!(kept.opened(), 4);
}
