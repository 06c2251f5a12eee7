//! The issuer exchanges its keys, is asked seldom, and goes away.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;
use vmcp_testkit::{
    client::Client,
    gateway::{Gateway, eventually},
    identity::{AUDIENCE, Health, IdentityProvider, SigningKey, now},
    peers,
    process::free_port,
};

use super::{CALL, INITIALIZE, count, guarded, oidc, showing, told};
use crate::serve;

#[tokio::test]
async fn keys_are_exchanged_without_a_restart() {
    let guarded = guarded().await;
    let client = guarded.connect("alice").await;
    assert_eq!(count(&client).await, "1");
    let (old, new) = (guarded.provider.key(), SigningKey::ed25519("new"));
    guarded.provider.set_keys(&[&new, &old]);
    assert_eq!(count(&showing(&client, &guarded.provider.token("alice"))).await, "2");
    assert_eq!(count(&client).await, "3", "the old key still counts");
    let newest = SigningKey::rs256("newest");
    guarded.provider.set_keys(&[&newest]);
    assert_eq!(count(&showing(&client, &guarded.provider.token("alice"))).await, "4");
    let (status, _, body) = told(client.post(CALL).await.unwrap()).await;
    assert_eq!(status, 401, "the old key is gone, and its tokens with it: {body}");
}

#[tokio::test]
async fn a_key_is_exchanged_under_the_name_of_the_old_one() {
    let guarded = guarded().await;
    let client = guarded.connect("alice").await;
    let mut calls = 1;
    assert_eq!(count(&client).await, "1");
    let name = guarded.provider.key().header()["kid"].as_str().unwrap().to_owned();
    // Of the same kind as the last one, and of another.
    for new in [SigningKey::es256(&name), SigningKey::es256(&name), SigningKey::ed25519(&name)] {
        guarded.provider.set_keys(&[&new]);
        calls += 1;
        let showing = showing(&client, &guarded.provider.token("alice"));
        assert_eq!(count(&showing).await, calls.to_string());
    }
    let (status, _, body) = told(client.post(CALL).await.unwrap()).await;
    assert_eq!(status, 401, "the old key is gone, and its tokens with it: {body}");
}

#[tokio::test]
async fn forged_tokens_do_not_bother_the_issuer() {
    let guarded = guarded().await;
    let client = guarded.connect("alice").await;
    let asked = guarded.provider.key_fetches();
    let known = guarded.provider.key();
    let name = known.header()["kid"].as_str().unwrap().to_owned();
    // With the name of the issuer's key, and not signed by it.
    let mut parts: Vec<_> = guarded.provider.token("alice").split('.').map(str::to_owned).collect();
    let forged = SigningKey::es256(&name).sign(&guarded.provider.claims("mallory"));
    parts[2] = forged.split('.').next_back().unwrap().to_owned();
    for index in 0..100 {
        let claims = guarded.provider.claims(&format!("mallory{index}"));
        let signed = known.sign(&claims);
        let (signed, _) = signed.rsplit_once('.').unwrap();
        let token = format!("{signed}.{}", parts[2]);
        let (status, _, body) = told(showing(&client, &token).post(CALL).await.unwrap()).await;
        assert_eq!(status, 401, "{body}");
        assert!(body.to_string().contains("wrong signature"), "{body}");
    }
    let asked = guarded.provider.key_fetches() - asked;
    assert!((1..=5).contains(&asked), "{asked} times");
    assert_eq!(count(&client).await, "1");
}

#[tokio::test]
async fn made_up_keys_do_not_bother_the_issuer() {
    let guarded = guarded().await;
    let client = guarded.connect("alice").await;
    let asked = guarded.provider.key_fetches();
    let key = SigningKey::es256("x");
    let claims = guarded.provider.claims("alice");
    let tokens: Vec<_> =
        (0..200).map(|index| key.named(&format!("x{index}")).sign(&claims)).collect();
    for tokens in tokens.chunks(20) {
        let asking = tokens.iter().map(|token| showing(&client, token));
        let mut running = tokio::task::JoinSet::new();
        for client in asking {
            running.spawn(async move { client.post(CALL).await.unwrap().status() });
        }
        for status in running.join_all().await {
            assert_eq!(status, StatusCode::UNAUTHORIZED);
        }
    }
    let asked = guarded.provider.key_fetches() - asked;
    assert!(asked <= 5, "{asked} times");
    assert_eq!(count(&client).await, "1");
}

#[tokio::test]
async fn an_issuer_that_is_not_there_yet_is_waited_for() {
    let backend = peers::stateful().start().await.unwrap();
    let port = free_port().unwrap();
    let issuer = format!("http://127.0.0.1:{port}");
    let keys = "insecureAllowHttp: true, jwksAllowPrivateIp: true";
    let process =
        serve(&Gateway::before(&[("a", backend.url())]).incoming(&oidc(&issuer, keys))).await;
    let key = SigningKey::es256("key");
    let claims = json!({"iss": issuer, "sub": "alice", "aud": AUDIENCE, "exp": now() + 600});
    let mut client = Client::new(&process.url())
        .with_header("authorization", &format!("Bearer {}", key.sign(&claims)));
    for _request in 0..3 {
        let answer = client.post(INITIALIZE).await.unwrap();
        assert_eq!(answer.header("retry-after"), Some("1"));
        let (status, challenge, body) = told(answer).await;
        assert_eq!((status, challenge.as_str()), (503, ""), "{body}");
    }
    // Without a token there is nothing to look up.
    assert_eq!(Client::new(&process.url()).post(INITIALIZE).await.unwrap().status(), 401);
    let provider = IdentityProvider::start_at(port, "").await.unwrap();
    provider.set_keys(&[&key]);
    eventually("it is there", async || {
        let answer = client.post(INITIALIZE).await.unwrap();
        (answer.status() == StatusCode::OK).then_some(())
    })
    .await;
    client.initialize().await.unwrap();
    assert_eq!(count(&client).await, "1");
    let log = process.logged("the issuer's keys cannot be fetched").await;
    let warnings = log.matches("the issuer's keys cannot be fetched").count();
    assert_eq!(warnings, 1, "it is said once: {log}");
}

#[tokio::test]
async fn an_issuer_that_goes_away_is_not_needed_for_a_while() {
    for health in [Health::Down, Health::Failing(503), Health::Hanging] {
        let guarded = guarded().await;
        let client = guarded.connect("alice").await;
        guarded.provider.set_health(health);
        let stranger = SigningKey::es256("x").sign(&guarded.provider.claims("alice"));
        let stranger = showing(&client, &stranger).with_patience(Duration::from_secs(20));
        let status = stranger.post(CALL).await.unwrap().status();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "nobody can tell: {health:?}");
        assert_eq!(count(&client).await, "1", "{health:?}");
        let bob = guarded.connect("bob").await;
        assert_eq!(count(&bob).await, "1", "{health:?}");
        assert_eq!(Client::new(&guarded.process.url()).post(CALL).await.unwrap().status(), 401);
    }
}
