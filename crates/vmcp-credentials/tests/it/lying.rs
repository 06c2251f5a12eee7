//! Token endpoints that are slow, down, or lie: one clear error in time, and nothing of what was sent or said.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout};
use vmcp_credentials::{Grant, Unavailable, Wanted};
use vmcp_testkit::token_endpoint::Given;

use crate::stand::{SECRET, Stand, caller, credential, place};

/// What everybody is told while the endpoint answers so.
async fn told(given: Given) -> String {
    let stand = Stand::of_client().await;
    stand.endpoint.set_script(move |_asked| given.clone());
    let error = stand.ask(None).await.expect_err("it is of no use");
    assert!(matches!(error, Unavailable::Source(_)), "{error:?}");
    for _ in 0..100 {
        assert_eq!(stand.ask(None).await, Err(error.clone()));
    }
    assert_eq!(stand.endpoint.count(), 1, "it is left alone for a while");
    let text = error.to_string();
    assert!(!text.contains("s3cret") && text.lines().count() == 1, "{text}");
    text.replace(&stand.endpoint.url(), "URL")
}

fn token(change: impl FnOnce(&mut serde_json::Value)) -> Given {
    let mut body =
        json!({"access_token": "s3cret-token", "token_type": "Bearer", "expires_in": 60});
    change(&mut body);
    Given::json(200, &body)
}

#[tokio::test]
async fn what_cannot_be_used_is_said_in_one_line() {
    for (given, expected) in [
        (
            Given::text(200, "text/html", "<p>s3cret</p>"),
            "URL answers with something that is not called JSON",
        ),
        (
            Given::text(200, "application/json", "s3cret"),
            "URL answers no object with what a token endpoint says",
        ),
        (
            Given::text(200, "application/json", "[\"s3cret\"]"),
            "URL answers no object with what a token endpoint says",
        ),
        (
            token(|body| body["access_token"] = json!(5)),
            "URL answers no object with what a token endpoint says",
        ),
        (token(|body| body["access_token"] = json!("")), "URL answers without an access_token"),
        (
            token(|body| body["access_token"] = json!("s3cret\r\nX: y")),
            "URL answers with a token that no header can hold",
        ),
        (token(|body| body["token_type"] = json!(null)), "URL answers without a token_type"),
        (
            token(|body| body["token_type"] = json!("mac")),
            "URL answers with a token_type that is not Bearer",
        ),
        (
            token(|body| body["expires_in"] = json!("s3cret")),
            "URL answers with an expires_in that is no number",
        ),
        (
            Given::error(200, "server_error", "not today"),
            "URL answers 200: server_error (not today)",
        ),
        (
            Given::error(401, "invalid_client", &format!("secret {SECRET} is wrong")),
            "URL answers 401: invalid_client",
        ),
        // What is about a caller elsewhere is about vmcp here.
        (Given::error(400, "invalid_grant", "no"), "URL answers 400: invalid_grant (no)"),
        (Given::text(503, "text/html", "s3cret"), "URL answers 503"),
        (Given::redirect("http://127.0.0.1:1/s3cret"), "URL answers 307, which is not followed"),
        (
            Given::text(200, "application/json", vec![b' '; 10 << 20]),
            "URL answers something that cannot be used: length limit exceeded",
        ),
    ] {
        assert_eq!(told(given).await, format!("cannot be obtained: {expected}"));
    }
}

#[tokio::test]
async fn one_that_breaks_off_or_is_not_there_is_said_so() {
    let broken = told(Given::nothing()).await;
    assert!(
        broken.starts_with("cannot be obtained: URL answers something that cannot"),
        "{broken}"
    );
    let stand = Stand::of_client().await;
    let place = place(&stand.endpoint);
    drop(stand);
    let credential =
        credential(Grant::ClientCredentials { endpoint: place, wanted: Wanted::default() });
    let error = crate::stand::ask(&credential, None).await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached"), "{error}");
}

#[tokio::test]
async fn one_that_never_answers_has_ten_seconds_for_all_who_wait() {
    let stand = Stand::of_client().await;
    stand.endpoint.set_script(|asked| Given::next(asked).after(Duration::from_secs(3600)));
    let began = Instant::now();
    let waiting = (0..100).map(|_| stand.ask(None));
    let mut waiting: Vec<_> = waiting.map(Box::pin).collect();
    // The connection must stand before the clock does.
    let first = timeout(Duration::from_secs(5), async {
        tokio::select! {
            outcome = &mut waiting[0] => panic!("{outcome:?}"),
            () = async {
                while stand.endpoint.count() == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            } => {}
        }
    });
    first.await.unwrap();
    tokio::time::pause();
    for one in waiting {
        let error = one.await.unwrap_err().to_string();
        assert_eq!(error, "cannot be obtained: that takes longer than 10 s");
    }
    assert!(began.elapsed() < Duration::from_secs(11), "{:?}", began.elapsed());
    assert_eq!(stand.endpoint.count(), 1);
}

#[tokio::test]
async fn odd_lives_are_taken() {
    for (life, is_kept) in [
        (json!("3600"), true),
        (json!(null), true),
        (json!(0), false),
        (json!(-1), false),
        (json!(4), false),
    ] {
        let stand = Stand::of_client().await;
        let given = token(|body| body["expires_in"] = life.clone());
        stand.endpoint.set_script(move |_asked| given.clone());
        for _ in 0..3 {
            stand.ask(None).await.unwrap();
        }
        assert_eq!(stand.endpoint.count(), if is_kept { 1 } else { 3 }, "{life}");
    }
}

#[tokio::test]
async fn what_is_about_a_caller_is_told_apart() {
    let stand = Stand::of_callers().await;
    stand.endpoint.set_script(|asked| match asked.field("subject_token") {
        "good" => Given::next(asked),
        "s3cret-bad" => Given::error(400, "invalid_grant", "s3cret-bad has ended"),
        _ => Given::error(401, "invalid_client", "who are you?"),
    });
    let (good, bad) = (caller("a", "good"), caller("b", "s3cret-bad"));
    let error = stand.ask(Some(&bad)).await.unwrap_err();
    let expected =
        format!("is refused for this caller: {} answers 400: invalid_grant", stand.endpoint.url());
    assert_eq!(error, Unavailable::Caller(expected.into()));
    assert!(stand.ask(Some(&good)).await.is_ok());
    let error = stand.ask(Some(&caller("c", "other"))).await.unwrap_err();
    assert!(matches!(error, Unavailable::Source(_)), "{error:?}");
}

#[tokio::test]
async fn one_that_is_away_is_not_asked_for_every_caller() {
    let stand = Stand::of_callers().await;
    stand.endpoint.set_script(|_asked| Given::text(503, "text/html", ""));
    for number in 0..50 {
        let caller = caller("a", &format!("t{number}"));
        let error = stand.ask(Some(&caller)).await.unwrap_err().to_string();
        assert!(error.ends_with("answers 503"), "{error}");
    }
    // A slow machine may see a pause end.
    assert!((3..10).contains(&stand.endpoint.count()), "{}", stand.endpoint.count());
}
