//! One program for all sessions: they must not notice each other.

use serde_json::Value;

use super::{kid, text};

const SHARED: &str = ", isolation: shared";

#[tokio::test]
async fn all_sessions_use_one_program() {
    let kid = kid("", SHARED, "").await;
    let (one, other) = (kid.client().await, kid.client().await);
    assert_eq!(text(&one.call("1", "kid_count", "{}").await.unwrap()), "1");
    assert_eq!(text(&other.call("1", "kid_count", "{}").await.unwrap()), "2");
    assert_eq!(one.delete().await.unwrap(), 200);
    assert_eq!(text(&other.call("2", "kid_count", "{}").await.unwrap()), "3");
    assert_eq!(kid.processes().len(), 1);
}

#[tokio::test]
async fn equal_ids_and_progress_tokens_of_two_sessions_are_not_mixed_up() {
    let kid = kid("", SHARED, "").await;
    let (one, other) = (kid.client().await, kid.client().await);
    let call = async |client: &vmcp_testkit::client::Client, steps: usize| {
        let params = format!(
            r#"{{"name":"kid_progress","arguments":{{"steps":{steps}}},"_meta":{{"progressToken":"same"}}}}"#
        );
        let answer = client.request("\"same\"", "tools/call", &params).await.unwrap();
        let progress = answer.before.iter().map(|message| message.json()["params"].clone());
        let progress: Vec<Value> = progress.collect();
        assert!(progress.iter().all(|one| one["progressToken"] == "same"), "{progress:?}");
        progress.len()
    };
    let (of_one, of_other) = tokio::join!(call(&one, 3), call(&other, 9));
    assert_eq!((of_one, of_other), (3, 9));
}

#[tokio::test]
async fn it_is_told_of_no_client_and_offers_nothing_that_tells_them_apart() {
    let kid = kid("", SHARED, "").await;
    let mut client = vmcp_testkit::client::Client::new(&kid.process.url());
    let hello = client.initialize().await.unwrap().json();
    assert_eq!(hello["result"]["instructions"], "{}");
    let capabilities = &hello["result"]["capabilities"];
    assert!(capabilities["logging"].is_null(), "{capabilities}");
    assert!(capabilities["resources"]["subscribe"].is_null(), "{capabilities}");
    assert!(capabilities["tools"].is_object(), "{capabilities}");
    // What it asks nevertheless is declined, and what it logs may be about somebody else's call.
    let answer = client.call("1", "kid_ask", "{}").await.unwrap();
    assert!(text(&answer).contains("no client"), "{}", text(&answer));
    assert!(client.call("2", "kid_log", "{}").await.unwrap().before.is_empty());
}

#[tokio::test]
async fn when_it_dies_the_sessions_go_on_with_a_new_one() {
    let kid = kid("", SHARED, "").await;
    let (one, other) = (kid.client().await, kid.client().await);
    assert_eq!(text(&other.call("1", "kid_count", "{}").await.unwrap()), "1");
    assert!(super::error(&one.call("1", "kid_die", "{}").await.unwrap()).contains("SIGKILL"));
    assert_eq!(text(&other.call("2", "kid_count", "{}").await.unwrap()), "1");
    assert_eq!(text(&one.call("2", "kid_count", "{}").await.unwrap()), "2");
    kid.until_processes(1).await;
}

#[tokio::test]
async fn what_needs_callers_to_be_told_apart_is_refused() {
    let kid = kid("", SHARED, "").await;
    let client = kid.client().await;
    let task = r#"{"name":"kid_echo","arguments":{},"task":{"ttl":1000}}"#;
    for (method, params) in [
        ("resources/subscribe", r#"{"uri":"child://one"}"#),
        ("resources/unsubscribe", r#"{"uri":"child://one"}"#),
        ("tools/call", task),
        ("tasks/result", r#"{"taskId":"kid:1"}"#),
        ("made/up", "{}"),
    ] {
        let answer = client.request("1", method, params).await.unwrap();
        assert!(super::error(&answer).contains("the program is shared"), "{method}");
    }
}
