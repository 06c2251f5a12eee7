//! Tokens that are bound to a key.

use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::{Value, json};
use vmcp_auth::{Asking, Authentication, Authenticator};
use vmcp_model::Identity;
use vmcp_testkit::identity::{IdentityProvider, SigningKey};
use vmcp_wire::Fault;

use crate::{ask, authenticator, config, is_refused};

const URL: &str = "https://mcp.example/mcp";

fn bound(provider: &IdentityProvider, confirmation: &Value) -> String {
    let mut claims = provider.claims("alice");
    claims["cnf"] = confirmation.clone();
    provider.key().sign(&claims)
}

async fn with_proof(
    authenticator: &Authenticator,
    token: &str,
    proof: &str,
) -> Result<Identity, Fault> {
    let value = |text: &str| HeaderValue::from_str(text).unwrap();
    let mut headers =
        HeaderMap::from_iter([(header::AUTHORIZATION, value(&format!("DPoP {token}")))]);
    headers.insert("dpop", value(proof));
    let url = || Some(URL.to_owned());
    let asking = Asking { headers: &headers, method: &Method::POST, url: &url };
    match authenticator.authenticate(&asking) {
        Authentication::Known(known) => known,
        Authentication::Wait(known) => known.await,
    }
}

#[tokio::test]
async fn a_token_is_good_with_a_proof_of_its_key() {
    let provider = IdentityProvider::start().await.unwrap();
    let authenticator = authenticator(&config(&provider));
    let key = SigningKey::es256("of the client");
    let token = bound(&provider, &json!({"jkt": key.thumbprint()}));
    // Both while the keys of the issuer are waited for and from then on.
    for _again in 0..3 {
        let proof = key.proof("POST", URL, &token);
        let identity = with_proof(&authenticator, &token, &proof).await.unwrap();
        assert_eq!(identity.proof().unwrap().token.expose(), token);
        let replayed = with_proof(&authenticator, &token, &proof).await;
        assert!(matches!(replayed, Err(Fault::InvalidProof(_))), "{replayed:?}");
        assert!(is_refused(&ask(&authenticator, &token).await), "as a bearer token it is no good");
    }
    let thief = SigningKey::es256("of a thief").proof("POST", URL, &token);
    let refused = with_proof(&authenticator, &token, &thief).await;
    assert!(matches!(refused, Err(Fault::InvalidProof(_))), "{refused:?}");
    let plain = provider.token("alice");
    let refused = with_proof(&authenticator, &plain, &key.proof("POST", URL, &plain)).await;
    assert!(matches!(refused, Err(Fault::InvalidToken(_))), "{refused:?}");
}

#[tokio::test]
async fn what_cannot_be_checked_is_refused_by_name() {
    let provider = IdentityProvider::start().await.unwrap();
    let authenticator = authenticator(&config(&provider));
    let key = SigningKey::es256("of the client");
    for (confirmation, why) in [
        (json!({"x5t#S256": "abc"}), "is bound to a client certificate (cnf with x5t#S256)"),
        (
            json!({"x5t#S256": "abc", "jkt": key.thumbprint()}),
            "is bound to a client certificate (cnf with x5t#S256)",
        ),
        (json!({"jwk": key.jwk()}), "is bound to a key (cnf) in a way that is not known here"),
        (json!({"kid": "k"}), "is bound to a key (cnf) in a way that is not known here"),
        (json!({}), "is bound to a key (cnf) in a way that is not known here"),
        (json!({"jkt": "short"}), "has malformed claims"),
        (json!("jkt"), "has malformed claims"),
        (json!({"jkt": key.thumbprint()}), "is bound to a key (cnf with jkt): show it with"),
    ] {
        let token = bound(&provider, &confirmation);
        let Err(Fault::InvalidToken(found)) = ask(&authenticator, &token).await else {
            panic!("it was taken: {confirmation}");
        };
        assert!(found.starts_with(why), "{confirmation}: {found}");
    }
}
