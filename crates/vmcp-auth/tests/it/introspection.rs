//! Tokens that are no JWT: the issuer is asked about them.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::sleep;
use vmcp_auth::{Client, ClientSecret, Introspection, TrustedIssuer};
use vmcp_testkit::{
    gateway::eventually,
    identity::{Health, IdentityProvider, Metadata, now},
};

use crate::{
    after, ask, at_once, authenticator, config, identity, is_refused, is_unavailable, subject,
    trusting,
};

/// An issuer that is asked, for answers that count a minute.
fn asking(provider: &IdentityProvider) -> TrustedIssuer {
    let url = provider.introspection_url().parse().unwrap();
    let introspection = Introspection { url, client: None, interval: Duration::from_secs(60) };
    TrustedIssuer { introspection: Some(introspection), ..config(provider) }
}

fn with_client(provider: &IdentityProvider, id: &str, secret: Option<&str>) -> TrustedIssuer {
    let secret = secret.map(|secret| ClientSecret::from(secret.to_owned()));
    let mut config = asking(provider);
    config.introspection.as_mut().unwrap().client = Some(Client { id: id.to_owned(), secret });
    config
}

#[tokio::test]
async fn a_token_is_asked_about_once_and_known_from_then_on() {
    let provider = IdentityProvider::start().await.unwrap();
    let authenticator = authenticator(&asking(&provider));
    let token = provider.opaque_token("alice");
    assert_eq!(ask(&authenticator, &token).await, Ok(subject(&provider, "alice")));
    for _again in 0..100 {
        assert_eq!(at_once(&authenticator, &token), Some(Ok(subject(&provider, "alice"))));
    }
    assert_eq!(provider.introspections(), 1);
    let proved = identity(&authenticator, &token).await.unwrap();
    let proof = proved.proof().unwrap();
    assert_eq!(proof.token.expose(), token);
    let claims: Value = serde_json::from_slice(proof.claims.json()).unwrap();
    assert_eq!((&claims["sub"], &claims["active"]), (&json!("alice"), &json!(true)));
    // Keys prove what they can prove.
    assert!(ask(&authenticator, &provider.token("bob")).await.is_ok());
    assert_eq!(provider.introspections(), 1);
}

#[tokio::test]
async fn what_is_not_active_is_no_good_and_asked_about_seldom() {
    let provider = IdentityProvider::start().await.unwrap();
    let authenticator = authenticator(&asking(&provider));
    for token in ["unknown", "a.b", "a.b.c", "a.b.c.d.e"] {
        let asked = provider.introspections();
        for _again in 0..50 {
            assert!(is_refused(&ask(&authenticator, token).await), "{token}");
        }
        assert_eq!(provider.introspections() - asked, 1, "{token}");
    }
}

#[tokio::test]
async fn a_token_that_was_revoked_is_good_for_the_interval_at_most() {
    let provider = IdentityProvider::start().await.unwrap();
    let mut config = asking(&provider);
    config.introspection.as_mut().unwrap().interval = Duration::from_secs(1);
    let authenticator = authenticator(&config);
    let token = provider.opaque_token("alice");
    assert!(ask(&authenticator, &token).await.is_ok());
    provider.revoke(&token);
    eventually("it is asked about again", async || {
        is_refused(&ask(&authenticator, &token).await).then_some(())
    })
    .await;
    assert_eq!(provider.introspections(), 2);
}

#[tokio::test]
async fn callers_who_come_at_once_share_one_question() {
    let provider = IdentityProvider::start().await.unwrap();
    let authenticator = Arc::new(authenticator(&asking(&provider)));
    let token = provider.opaque_token("alice");
    // Also if whoever came first goes away again.
    tokio::select! {
        biased;
        answer = ask(&authenticator, &token) => panic!("nobody was asked: {answer:?}"),
        () = tokio::task::yield_now() => {}
    }
    let mut running = tokio::task::JoinSet::new();
    for _caller in 0..500 {
        let (authenticator, token) = (Arc::clone(&authenticator), token.clone());
        running.spawn(async move { ask(&authenticator, &token).await });
    }
    for answer in running.join_all().await {
        assert_eq!(answer, Ok(subject(&provider, "alice")));
    }
    assert_eq!(provider.introspections(), 1);
}

#[tokio::test]
async fn the_issuer_is_told_who_asks() {
    for secret in [None, Some("s3cret: with % and ü")] {
        let provider = IdentityProvider::start().await.unwrap();
        provider.set_asking_client(("vmcp:one".to_owned(), secret.map(str::to_owned)));
        let token = provider.opaque_token("alice");
        let told = authenticator(&with_client(&provider, "vmcp:one", secret));
        assert!(ask(&told, &token).await.is_ok(), "{secret:?}");
        for config in [
            asking(&provider),
            with_client(&provider, "other", secret),
            with_client(&provider, "vmcp:one", Some("wrong")),
        ] {
            // The token may be good: it is vmcp that may not ask.
            let answer = ask(&authenticator(&config), &token).await;
            assert!(is_unavailable(&answer), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn without_an_answer_nobody_can_tell() {
    for health in [
        Health::Down,
        Health::Failing(500),
        Health::Failing(302),
        Health::Failing(400),
        Health::Babbling,
        Health::Flooding,
    ] {
        let provider = IdentityProvider::start().await.unwrap();
        let authenticator = authenticator(&asking(&provider));
        let known = provider.opaque_token("alice");
        for token in [&known, &provider.token("carol")] {
            assert!(ask(&authenticator, token).await.is_ok());
        }
        provider.set_health(health);
        let token = provider.opaque_token("bob");
        for _request in 0..5 {
            let answer = ask(&authenticator, &token).await;
            assert!(is_unavailable(&answer), "{health:?}: {answer:?}");
        }
        assert!(ask(&authenticator, &known).await.is_ok(), "{health:?}");
        assert!(ask(&authenticator, &provider.token("carol")).await.is_ok(), "{health:?}");
        provider.set_health(Health::Up);
        eventually("it answers", async || ask(&authenticator, &token).await.ok()).await;
    }
}

#[tokio::test]
async fn an_answer_of_another_type_is_none() {
    let provider = IdentityProvider::start().await.unwrap();
    let authenticator = authenticator(&asking(&provider));
    let token = provider.opaque_token("alice");
    for content_type in ["text/html", "application/token-introspection+jwt", "application/jsonp"] {
        provider.set_answer_type(content_type);
        let answer = ask(&authenticator, &token).await;
        assert!(is_unavailable(&answer), "{content_type}: {answer:?}");
    }
    for said in [json!({}), json!({"active": "true"}), json!([]), json!(null)] {
        provider.set_answer_type("application/json");
        let answer = ask(&authenticator, &provider.opaque_token_of(said.clone())).await;
        assert!(is_unavailable(&answer), "{said}: {answer:?}");
    }
    provider.set_answer_type("Application/JSON ; charset=utf-8");
    assert!(ask(&authenticator, &token).await.is_ok());
}

#[tokio::test]
async fn an_endpoint_that_hangs_is_given_up() {
    let provider = IdentityProvider::start().await.unwrap();
    provider.set_health(Health::Hanging);
    let authenticator = authenticator(&asking(&provider));
    let token = provider.opaque_token("alice");
    tokio::select! {
        answer = ask(&authenticator, &token) => assert!(is_unavailable(&answer), "{answer:?}"),
        () = sleep(Duration::from_secs(60)) => panic!("still waiting"),
    }
    // Whoever comes next is not kept waiting.
    let next = provider.opaque_token("bob");
    let answer = tokio::time::timeout(Duration::from_secs(4), ask(&authenticator, &next)).await;
    assert!(is_unavailable(&answer.unwrap()));
}

/// Anybody can make up tokens. Those who do have one another in their way.
#[tokio::test]
async fn strangers_keep_nobody_waiting_who_is_known() {
    let provider = IdentityProvider::start().await.unwrap();
    let mut config = asking(&provider);
    config.introspection.as_mut().unwrap().interval = Duration::from_secs(1);
    let authenticator = Arc::new(authenticator(&config));
    let token = provider.opaque_token("alice");
    assert!(ask(&authenticator, &token).await.is_ok());
    provider.keep_strangers_waiting();
    let mut strangers = tokio::task::JoinSet::new();
    for index in 0..100 {
        let authenticator = Arc::clone(&authenticator);
        strangers.spawn(async move { ask(&authenticator, &format!("stranger-{index}")).await });
    }
    eventually("it is asked about strangers", async || {
        (provider.introspections() >= 33).then_some(())
    })
    .await;
    assert_eq!(provider.introspections(), 33, "and about no more of them at once");
    eventually("it is asked about the known token again", async || {
        assert_eq!(ask(&authenticator, &token).await, Ok(subject(&provider, "alice")));
        (provider.introspections() > 33).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_jwt_is_asked_about_where_there_are_no_keys() {
    for metadata in [Metadata::WithoutKeys, Metadata::None] {
        let provider = IdentityProvider::start().await.unwrap();
        provider.set_metadata(metadata);
        let asking_too = authenticator(&asking(&provider));
        let token = provider.token("alice");
        assert!(is_refused(&ask(&asking_too, &token).await), "it is not known: {metadata:?}");
        let known = provider.token("alice");
        let mut said = provider.claims("alice");
        said["active"] = json!(true);
        provider.say_of(&known, said);
        let answer = ask(&asking_too, &known).await;
        assert_eq!(answer, Ok(subject(&provider, "alice")), "{metadata:?}");
        // Without the endpoint nobody can tell.
        let never = authenticator(&config(&provider));
        assert!(is_unavailable(&ask(&never, &known).await), "{metadata:?}");
    }
    let provider = IdentityProvider::start().await.unwrap();
    provider.set_keys(&[]);
    let token = provider.opaque_token("alice");
    assert!(ask(&authenticator(&asking(&provider)), &token).await.is_ok());
}

/// While keys cannot be fetched nobody knows whether there are some.
#[tokio::test]
async fn a_jwt_waits_for_keys_that_may_come() {
    let provider = IdentityProvider::start().await.unwrap();
    provider.set_health(Health::Failing(500));
    let authenticator = authenticator(&asking(&provider));
    let token = provider.token("alice");
    assert!(is_unavailable(&ask(&authenticator, &token).await));
    provider.set_health(Health::Up);
    eventually("the keys come", async || ask(&authenticator, &token).await.ok()).await;
    assert_eq!(provider.introspections(), 0);
}

#[tokio::test]
async fn an_expired_token_is_forgotten_before_the_interval_is_over() {
    let provider = IdentityProvider::start().await.unwrap();
    let authenticator = authenticator(&asking(&provider));
    let mut said = provider.claims("alice");
    said["active"] = json!(true);
    // Clocks may be 60 s apart.
    said["exp"] = json!(now() - 56);
    let token = provider.opaque_token_of(said);
    assert!(ask(&authenticator, &token).await.is_ok());
    eventually("it expires", async || is_refused(&ask(&authenticator, &token).await).then_some(()))
        .await;
}

#[tokio::test]
async fn of_several_issuers_the_one_that_knows_a_token_counts() {
    let (one, two) =
        (IdentityProvider::start().await.unwrap(), IdentityProvider::start().await.unwrap());
    let neither = IdentityProvider::start().await.unwrap();
    let both = trusting(&[asking(&one), config(&neither), asking(&two)]);
    assert_eq!(ask(&both, &one.opaque_token("alice")).await, Ok(subject(&one, "alice")));
    assert_eq!(two.introspections(), 0);
    let of_two = two.opaque_token("alice");
    assert_eq!(ask(&both, &of_two).await, Ok(subject(&two, "alice")));
    assert!(is_refused(&ask(&both, "unknown").await));
    assert_eq!((one.introspections(), two.introspections()), (3, 2));
    // One that is away can know it.
    one.set_health(Health::Down);
    assert_eq!(ask(&both, &two.opaque_token("bob")).await, Ok(subject(&two, "bob")));
    assert!(is_unavailable(&ask(&both, "nobody's").await));
    one.set_health(Health::Up);
    after(Duration::from_secs(2)).await;
    assert!(is_refused(&ask(&both, "nobody's").await));
}
