//! The issuer cannot be reached, or answers nonsense.

use std::time::Duration;

use tokio::time::sleep;
use vmcp_testkit::{
    gateway::eventually,
    identity::{Health, IdentityProvider, SigningKey},
};

use crate::{ask, authenticator, config, is_refused, is_unavailable, subject};

const TROUBLES: [Health; 4] =
    [Health::Down, Health::Failing(500), Health::Babbling, Health::Flooding];

#[tokio::test]
async fn without_keys_nobody_can_tell_until_they_come() {
    for health in TROUBLES {
        let provider = IdentityProvider::start().await.unwrap();
        provider.set_health(health);
        let authenticator = authenticator(&config(&provider));
        let token = provider.token("alice");
        for _request in 0..20 {
            let answer = ask(&authenticator, &token).await;
            assert!(is_unavailable(&answer), "{health:?}: {answer:?}");
        }
        assert!(provider.key_fetches() + provider.discoveries() < 10, "{health:?}");
        provider.set_health(Health::Up);
        eventually("the keys come", async || ask(&authenticator, &token).await.ok()).await;
    }
}

#[tokio::test]
async fn known_keys_are_used_while_the_issuer_is_away() {
    for health in TROUBLES {
        let provider = IdentityProvider::start().await.unwrap();
        let authenticator = authenticator(&config(&provider));
        assert!(ask(&authenticator, &provider.token("alice")).await.is_ok());
        provider.set_health(health);
        let unknown = SigningKey::es256("unknown").sign(&provider.claims("alice"));
        // It may be a new one: who can tell?
        let answer = ask(&authenticator, &unknown).await;
        assert!(is_unavailable(&answer), "{health:?}: {answer:?}");
        let bob = ask(&authenticator, &provider.token("bob")).await;
        assert_eq!(bob, Ok(subject(&provider, "bob")), "{health:?}");
        provider.set_health(Health::Up);
        assert!(is_refused(&ask(&authenticator, &unknown).await), "{health:?}");
    }
}

#[tokio::test]
async fn an_issuer_that_hangs_is_given_up() {
    let provider = IdentityProvider::start().await.unwrap();
    provider.set_health(Health::Hanging);
    let authenticator = authenticator(&config(&provider));
    let token = provider.token("alice");
    tokio::select! {
        answer = ask(&authenticator, &token) => assert!(is_unavailable(&answer), "{answer:?}"),
        () = sleep(Duration::from_secs(60)) => panic!("still waiting"),
    }
}
