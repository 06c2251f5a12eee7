//! Keys are found, fetched seldom, and exchanged when the issuer exchanges them.

use std::time::Duration;

use vmcp_auth::{Authentication, Authenticator};
use vmcp_model::{Identity, Principal};
use vmcp_testkit::{
    gateway::eventually,
    identity::{IdentityProvider, Metadata, SigningKey},
};

use crate::{
    after, ask, at_once, authentication, authenticator, config, identity, is_refused,
    is_unavailable, shown, subject,
};

#[tokio::test]
async fn a_token_names_its_caller_and_is_known_from_then_on() {
    let provider = IdentityProvider::start().await.unwrap();
    let authenticator = authenticator(&config(&provider));
    let token = provider.token("alice");
    assert_eq!(ask(&authenticator, &token).await, Ok(subject(&provider, "alice")));
    for _again in 0..100 {
        assert_eq!(at_once(&authenticator, &token), Some(Ok(subject(&provider, "alice"))));
    }
    let refreshed = provider.token("alice");
    assert_ne!(refreshed, token);
    assert_eq!(at_once(&authenticator, &refreshed), Some(Ok(subject(&provider, "alice"))));
    assert_eq!(provider.key_fetches(), 1);
}

/// Who decides by more than the principal is given all that the token says, and the token.
#[tokio::test]
async fn what_proves_a_caller_goes_on_with_it() {
    let provider = IdentityProvider::start().await.unwrap();
    let authenticator = authenticator(&config(&provider));
    let token = provider.token("alice");
    for _again in 0..2 {
        let identity = identity(&authenticator, &token).await.unwrap();
        let proof = identity.proof().expect("it was proved");
        assert_eq!(proof.token.expose(), token);
        let claims: serde_json::Value = serde_json::from_slice(proof.claims.json()).unwrap();
        assert_eq!(claims["sub"], "alice");
        assert_eq!(claims["iss"], provider.issuer());
        assert!(proof.expires >= claims["exp"].as_u64().unwrap());
    }
}

#[tokio::test]
async fn nobody_is_asked_where_nobody_need_prove_anything() {
    for (authenticator, expected) in [
        (Authenticator::anonymous(), Principal::Anonymous),
        (
            Authenticator::local("alice"),
            Principal::Subject { issuer: "local".into(), subject: "alice".into() },
        ),
    ] {
        for headers in [http::HeaderMap::new(), shown("whatever")] {
            let Authentication::Known(known) = authentication(&authenticator, &headers) else {
                panic!("there is nothing to wait for");
            };
            assert_eq!(known, Ok(Identity::unproved(expected.clone())));
        }
    }
}

/// One issuer's `alice` is not another's.
#[tokio::test]
async fn a_subject_belongs_to_its_issuer() {
    let one = IdentityProvider::start().await.unwrap();
    let two = IdentityProvider::start().await.unwrap();
    let key = SigningKey::es256("shared");
    one.set_keys(&[&key]);
    two.set_keys(&[&key]);
    let (of_one, of_two) = (authenticator(&config(&one)), authenticator(&config(&two)));
    let alice = ask(&of_one, &one.token("alice")).await.unwrap();
    let other = ask(&of_two, &two.token("alice")).await.unwrap();
    assert_ne!(alice, other);
    // Not even with a good signature.
    assert!(is_refused(&ask(&of_one, &two.token("alice")).await));
    let local = Authenticator::local("alice");
    assert_ne!(Ok(alice), ask(&local, "").await);
}

#[tokio::test]
async fn keys_are_found_in_every_way() {
    for (path, metadata) in [
        ("", Metadata::OpenId),
        ("/realms/a", Metadata::OpenId),
        ("/realms/a/", Metadata::OpenId),
        ("", Metadata::OAuth),
        ("/realms/a", Metadata::OAuth),
    ] {
        let provider = IdentityProvider::start_at(0, path).await.unwrap();
        provider.set_metadata(metadata);
        let authenticator = authenticator(&config(&provider));
        let answer = ask(&authenticator, &provider.token("alice")).await;
        assert_eq!(answer, Ok(subject(&provider, "alice")), "{path} {metadata:?}");
    }
    let provider = IdentityProvider::start().await.unwrap();
    let mut known = config(&provider);
    known.jwks_url = Some(provider.jwks_url().parse().unwrap());
    let authenticator = authenticator(&known);
    assert!(ask(&authenticator, &provider.token("alice")).await.is_ok());
    assert_eq!(provider.discoveries(), 0, "there was no need to ask");
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_believed() {
    let provider = IdentityProvider::start().await.unwrap();
    provider.set_metadata(Metadata::OfAnother);
    let authenticator = authenticator(&config(&provider));
    assert!(is_unavailable(&ask(&authenticator, &provider.token("alice")).await));
    assert_eq!(provider.key_fetches(), 0);
}

#[tokio::test]
async fn new_keys_are_fetched_when_a_token_names_one() {
    let provider = IdentityProvider::start().await.unwrap();
    let authenticator = authenticator(&config(&provider));
    let old = provider.token("alice");
    assert!(ask(&authenticator, &old).await.is_ok());
    let second = SigningKey::rs256("second");
    let first = provider.key();
    provider.set_keys(&[&second, &first]);
    assert_eq!(
        ask(&authenticator, &provider.token("alice")).await,
        Ok(subject(&provider, "alice"))
    );
    assert_eq!(at_once(&authenticator, &old).unwrap(), Ok(subject(&provider, "alice")));
    // The old key is withdrawn: what it signed counts no longer, however often it did before.
    let third = SigningKey::ed25519("third");
    provider.set_keys(&[&third]);
    assert!(ask(&authenticator, &provider.token("alice")).await.is_ok());
    assert!(is_refused(&ask(&authenticator, &old).await));
}

#[tokio::test]
async fn made_up_keys_cause_few_fetches() {
    let provider = IdentityProvider::start().await.unwrap();
    let authenticator = authenticator(&config(&provider));
    let good = provider.token("alice");
    assert!(ask(&authenticator, &good).await.is_ok());
    let stranger = SigningKey::es256("unknown-0");
    for index in 0..300 {
        let token = stranger.named(&format!("unknown-{index}")).sign(&provider.claims("alice"));
        assert!(is_refused(&ask(&authenticator, &token).await));
    }
    assert!(provider.key_fetches() <= 4, "{}", provider.key_fetches());
    assert_eq!(at_once(&authenticator, &good).unwrap(), Ok(subject(&provider, "alice")));
}

#[tokio::test]
async fn unknown_keys_are_looked_for_again_after_a_while() {
    let provider = IdentityProvider::start().await.unwrap();
    let authenticator = authenticator(&config(&provider));
    let unknown = SigningKey::es256("unknown");
    let token = unknown.sign(&provider.claims("alice"));
    for _request in 0..10 {
        assert!(is_refused(&ask(&authenticator, &token).await));
    }
    provider.set_keys(&[&unknown]);
    assert!(is_refused(&ask(&authenticator, &token).await), "its budget is used up");
    after(Duration::from_secs(10)).await;
    assert_eq!(ask(&authenticator, &token).await, Ok(subject(&provider, "alice")));
}

#[tokio::test]
async fn old_keys_are_fetched_again_while_they_are_used() {
    let provider = IdentityProvider::start().await.unwrap();
    let authenticator = authenticator(&config(&provider));
    let token = provider.token("alice");
    assert!(ask(&authenticator, &token).await.is_ok());
    provider.set_keys(&[&SigningKey::es256("second")]);
    after(Duration::from_secs(599)).await;
    assert!(ask(&authenticator, &token).await.is_ok());
    assert_eq!(provider.key_fetches(), 1);
    after(Duration::from_secs(2)).await;
    let answer = at_once(&authenticator, &token);
    assert!(answer.is_some_and(|answer| answer.is_ok()), "nobody waits for that");
    eventually("it is noticed that the key is withdrawn", async || {
        is_refused(&ask(&authenticator, &token).await).then_some(())
    })
    .await;
    assert!(provider.key_fetches() <= 3, "{}", provider.key_fetches());
}

#[tokio::test]
async fn callers_who_come_at_once_share_one_fetch() {
    let provider = IdentityProvider::start().await.unwrap();
    let authenticator = authenticator(&config(&provider));
    let tokens: Vec<_> = (0..50).map(|index| provider.token(&format!("user-{index}"))).collect();
    let mut waiting = Vec::new();
    for token in &tokens {
        waiting.push(Box::pin(ask(&authenticator, token)));
    }
    for (index, answer) in waiting.into_iter().enumerate() {
        assert_eq!(answer.await, Ok(subject(&provider, &format!("user-{index}"))));
    }
    assert_eq!(provider.key_fetches(), 1);
}
