//! Several issuers, and scopes that a token must have.

use serde_json::{Value, json};
use vmcp_auth::TrustedIssuer;
use vmcp_testkit::{
    gateway::eventually,
    identity::{Health, IdentityProvider},
};
use vmcp_wire::Fault;

use crate::{ask, authenticator, config, is_refused, is_unavailable, subject, trusting};

#[tokio::test]
async fn a_token_is_judged_by_the_issuer_that_it_names() {
    let (one, two) =
        (IdentityProvider::start().await.unwrap(), IdentityProvider::start().await.unwrap());
    let stranger = IdentityProvider::start().await.unwrap();
    let both = trusting(&[config(&one), config(&two)]);
    for _again in 0..2 {
        assert_eq!(ask(&both, &one.token("alice")).await, Ok(subject(&one, "alice")));
        assert_eq!(ask(&both, &two.token("alice")).await, Ok(subject(&two, "alice")));
        assert!(is_refused(&ask(&both, &stranger.token("alice")).await));
    }
    // Signed by one in the name of the other.
    let forged = one.key().sign(&two.claims("alice"));
    assert!(is_refused(&ask(&both, &forged).await));
    assert_eq!(stranger.key_fetches() + stranger.discoveries(), 0);
}

#[tokio::test]
async fn each_issuer_has_an_audience_of_its_own() {
    let (one, two) =
        (IdentityProvider::start().await.unwrap(), IdentityProvider::start().await.unwrap());
    let other = TrustedIssuer { audience: "other".to_owned(), ..config(&two) };
    let both = trusting(&[config(&one), other]);
    assert!(ask(&both, &one.token("alice")).await.is_ok());
    assert!(is_refused(&ask(&both, &two.token("alice")).await));
    let mut claims = two.claims("alice");
    claims["aud"] = json!("other");
    assert!(ask(&both, &two.key().sign(&claims)).await.is_ok());
}

#[tokio::test]
async fn one_issuer_that_is_away_is_its_own_trouble() {
    let (one, two) =
        (IdentityProvider::start().await.unwrap(), IdentityProvider::start().await.unwrap());
    one.set_health(Health::Hanging);
    let both = trusting(&[config(&one), config(&two)]);
    assert_eq!(ask(&both, &two.token("alice")).await, Ok(subject(&two, "alice")));
    one.set_health(Health::Down);
    assert!(is_unavailable(&ask(&both, &one.token("alice")).await));
    one.set_health(Health::Up);
    eventually("it is back", async || ask(&both, &one.token("alice")).await.ok()).await;
    // Keys that are exchanged make nobody else's tokens unknown.
    let of_two = two.token("bob");
    assert!(ask(&both, &of_two).await.is_ok());
    one.set_keys(&[&vmcp_testkit::identity::SigningKey::ed25519("new")]);
    assert!(ask(&both, &one.token("alice")).await.is_ok());
    assert!(crate::at_once(&both, &of_two).is_some_and(|known| known.is_ok()));
}

#[tokio::test]
async fn a_token_must_have_the_scopes_of_its_issuer() {
    let provider = IdentityProvider::start().await.unwrap();
    let owned = |scopes: &[&str]| scopes.iter().map(|&scope| scope.to_owned()).collect::<Vec<_>>();
    let demanding = TrustedIssuer {
        scopes: owned(&["openid"]),
        required_scopes: owned(&["tools", "mcp:read"]),
        ..config(&provider)
    };
    let authenticator = authenticator(&demanding);
    let with = |member: &str, value: &Value| {
        let mut claims = provider.claims("alice");
        claims[member] = value.clone();
        provider.key().sign(&claims)
    };
    for (member, value, is_enough) in [
        ("scope", json!("openid mcp:read tools"), true),
        ("scp", json!(["tools", "mcp:read"]), true),
        ("scp", json!("tools mcp:read"), true),
        ("scope", json!("tools"), false),
        ("scope", json!("tools mcp:reads"), false),
        ("scope", json!(""), false),
        ("scp", json!(["tools mcp:read"]), false),
        ("scope", json!(7), false),
        ("roles", json!("tools mcp:read"), false),
    ] {
        let answer = ask(&authenticator, &with(member, &value)).await;
        if is_enough {
            assert_eq!(answer, Ok(subject(&provider, "alice")), "{member}: {value}");
        } else {
            let lacking = Fault::InsufficientScope {
                required: "tools mcp:read".to_owned(),
                wanted: "openid tools mcp:read".to_owned(),
            };
            assert_eq!(answer, Err(lacking), "{member}: {value}");
        }
    }
}
