//! What a token endpoint is asked, grant by grant.

use std::collections::BTreeMap;

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use vmcp_credentials::{
    Client, ClientProof, CrossApp, Grant, InvalidKey, SigningKey, TokenEndpoint as Place,
    TokenExchange, TokenType, Wanted,
};
use vmcp_model::Secret;
use vmcp_testkit::token_endpoint::{Asked, Given, TokenEndpoint};

use crate::stand::{SECRET, Stand, ask, caller, credential, exchange, place};

#[track_caller]
fn check(asked: &Asked, expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert_eq!(asked.form, expected);
}

fn wanted() -> Wanted {
    Wanted {
        scopes: vec!["read".to_owned(), "write&more".to_owned()],
        audience: Some("the api".to_owned()),
        resource: Some("https://backend.example/mcp?a=b".to_owned()),
    }
}

const WANTED: [(&str, &str); 3] = [
    ("scope", "read write&more"),
    ("audience", "the api"),
    ("resource", "https://backend.example/mcp?a=b"),
];

/// Both parts of the header are encoded before they are put together.
fn basic() -> Option<String> {
    Some(format!("Basic {}", STANDARD.encode("vmcp:s3cret%20of%3Athe%2Fclient")))
}

#[tokio::test]
async fn client_credentials() {
    let stand =
        Stand::new(|endpoint| Grant::ClientCredentials { endpoint, wanted: wanted() }).await;
    for caller in [None, Some(caller("a", "t"))] {
        let shown = stand.ask(caller.as_ref()).await.unwrap();
        assert_eq!(shown, "authorization: Bearer token-0");
    }
    let asked = stand.endpoint.asked();
    assert_eq!(asked[0].authorization, basic());
    check(&asked[0], &[&[("grant_type", "client_credentials")], &WANTED[..]].concat());
    assert_eq!(asked.len(), 1);
}

#[tokio::test]
async fn whom_the_authorities_of_the_bundle_vouch_for_is_asked() {
    let endpoint = TokenEndpoint::start_with_tls().await.unwrap();
    let bundle = endpoint.authority().as_bytes().into();
    for (ca_bundle, is_trusted) in [(Some(bundle), true), (None, false)] {
        let place = Place { ca_bundle, ..place(&endpoint) };
        let grant = Grant::ClientCredentials { endpoint: place, wanted: Wanted::default() };
        let outcome = ask(&credential(grant), None).await;
        assert_eq!(outcome.is_ok(), is_trusted, "{outcome:?}");
    }
    assert_eq!(endpoint.count(), 1);
}

#[tokio::test]
async fn a_client_proves_itself_in_the_form_or_not_at_all() {
    for (proof, more) in [
        (ClientProof::None, vec![]),
        (ClientProof::Post(Secret::new(SECRET)), vec![("client_secret", SECRET)]),
    ] {
        let stand = Stand::new(|mut endpoint| {
            endpoint.client.proof = proof;
            Grant::ClientCredentials { endpoint, wanted: Wanted::default() }
        })
        .await;
        stand.ask(None).await.unwrap();
        let asked = &stand.endpoint.asked()[0];
        assert_eq!(asked.authorization, None);
        let form = [("grant_type", "client_credentials"), ("client_id", "vmcp")];
        check(asked, &[&form[..], &more[..]].concat());
    }
}

/// A key in PEM, and what checks its signatures.
fn key(algorithm: &'static rcgen::SignatureAlgorithm) -> (String, Vec<u8>) {
    let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
    (pair.serialize_pem(), rcgen::PublicKeyData::der_bytes(&pair).to_vec())
}

#[tokio::test]
async fn a_client_proves_itself_by_a_signature() {
    let p256 = key(&rcgen::PKCS_ECDSA_P256_SHA256);
    let ed25519 = key(&rcgen::PKCS_ED25519);
    for (algorithm, (pem, public)) in [("ES256", p256), ("EdDSA", ed25519), ("RS256", rsa_key())] {
        let key = SigningKey::from_pem(pem.as_bytes(), Some("key-1"), None).unwrap();
        let stand = Stand::new(|mut endpoint| {
            endpoint.client.proof = ClientProof::Key(key);
            Grant::ClientCredentials { endpoint, wanted: Wanted::default() }
        })
        .await;
        stand.ask(None).await.unwrap();
        let asked = &stand.endpoint.asked()[0];
        assert_eq!(asked.field("client_id"), "vmcp");
        assert_eq!(
            asked.field("client_assertion_type"),
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        let assertion = asked.field("client_assertion");
        let (text, signature) = assertion.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let check: &dyn ring::signature::VerificationAlgorithm = match algorithm {
            "ES256" => &ECDSA_P256_SHA256_FIXED,
            "EdDSA" => &ED25519,
            _ => &ring::signature::RSA_PKCS1_2048_8192_SHA256,
        };
        let public = UnparsedPublicKey::new(check, public);
        public.verify(text.as_bytes(), &signature).expect(algorithm);
        let (header, claims) = text.split_once('.').unwrap();
        assert_eq!(json_of(header), json!({"alg": algorithm, "typ": "JWT", "kid": "key-1"}));
        let claims = json_of(claims);
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("vmcp"), &json!("vmcp")));
        assert_eq!(claims["aud"], json!(stand.endpoint.url()));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 120);
        assert_eq!(claims["jti"].as_str().unwrap().len(), 22);
    }
}

fn json_of(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The same for RSA, of which rcgen makes no keys.
fn rsa_key() -> (String, Vec<u8>) {
    let der = include_bytes!("../../../vmcp-testkit/peers/rsa-key.der");
    let pair = ring::rsa::KeyPair::from_pkcs8(der).unwrap();
    let text = STANDARD.encode(der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    (pem, pair.public().as_ref().to_vec())
}

#[test]
fn what_is_no_key_is_said_so() {
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let sec1 = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
    let other = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let key = |pem: &str| SigningKey::from_pem(pem.as_bytes(), None, None).unwrap_err();
    assert_eq!(key("s3cret"), InvalidKey::NotPem);
    assert_eq!(key(certificate), InvalidKey::NotPem);
    assert_eq!(key(sec1), InvalidKey::Sec1);
    assert_eq!(key(other), InvalidKey::Kind);
    let (pem, _) = self::key(&rcgen::PKCS_ED25519);
    let key = SigningKey::from_pem(pem.as_bytes(), None, Some(b"s3cret"));
    assert_eq!(key.unwrap_err(), InvalidKey::Certificate);
    let key =
        SigningKey::from_pem(pem.as_bytes(), Some("id"), Some(certificate.as_bytes())).unwrap();
    let shown = format!("{key:?}");
    assert!(shown.contains("x5t#S256") && !shown.contains("PRIVATE"), "{shown}");
}

#[tokio::test]
async fn token_exchange() {
    let stand = Stand::new(|endpoint| {
        Grant::TokenExchange(TokenExchange {
            endpoint,
            wanted: wanted(),
            subject_token_type: TokenType::Jwt,
            requested_token_type: TokenType::AccessToken,
        })
    })
    .await;
    let alice = caller("alice", "t-of-alice");
    assert_eq!(stand.ask(Some(&alice)).await.unwrap(), "authorization: Bearer token-0");
    // For nobody's sake the client asks for itself.
    assert_eq!(stand.ask(None).await.unwrap(), "authorization: Bearer token-1");
    let asked = stand.endpoint.asked();
    assert!(asked.iter().all(|asked| asked.authorization == basic()));
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", "t-of-alice"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
    ];
    check(&asked[0], &[&form[..], &WANTED[..]].concat());
    check(&asked[1], &[&[("grant_type", "client_credentials")], &WANTED[..]].concat());
}

#[tokio::test]
async fn an_exchange_says_what_it_gave() {
    let stand = Stand::of_callers().await;
    let body = |kind: &str| json!({"access_token": "t", "token_type": kind});
    let given = Given::json(200, &body("Bearer"));
    stand.endpoint.set_script(move |_asked| given.clone());
    let error = stand.ask(Some(&caller("a", "t"))).await.unwrap_err().to_string();
    assert!(error.ends_with("answers without an issued_token_type"), "{error}");
    // A token that is no access token may be called one that is not shown.
    let mut not_shown = body("N_A");
    not_shown["issued_token_type"] = json!(TokenType::Jwt.urn());
    for (requested, is_taken) in [(TokenType::AccessToken, false), (TokenType::Jwt, true)] {
        let stand = Stand::new(|endpoint| {
            let Grant::TokenExchange(exchange) = exchange(endpoint) else { unreachable!() };
            Grant::TokenExchange(TokenExchange { requested_token_type: requested, ..exchange })
        })
        .await;
        let given = Given::json(200, &not_shown);
        stand.endpoint.set_script(move |_asked| given.clone());
        assert_eq!(stand.ask(Some(&caller("a", "t"))).await.is_ok(), is_taken, "{requested:?}");
    }
}

#[tokio::test]
async fn for_nobodys_sake_a_public_client_gets_nothing() {
    let stand = Stand::new(|mut endpoint| {
        endpoint.client = Client::default();
        exchange(endpoint)
    })
    .await;
    assert_eq!(stand.ask(None).await.unwrap(), "");
    assert_eq!(stand.endpoint.count(), 0);
}

#[tokio::test]
async fn on_behalf_of() {
    for (scope, own) in [("api://files/.default", true), ("api://files/read", false)] {
        let scopes = vec![scope.to_owned()];
        let stand = Stand::new(|mut endpoint| {
            endpoint.client.proof = ClientProof::Post(Secret::new(SECRET));
            Grant::OnBehalfOf { endpoint, scopes }
        })
        .await;
        stand.ask(Some(&caller("alice", "t-of-alice"))).await.unwrap();
        let client = [("client_id", "vmcp"), ("client_secret", SECRET), ("scope", scope)];
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", "t-of-alice"),
            ("requested_token_use", "on_behalf_of"),
        ];
        check(&stand.endpoint.asked()[0], &[&form[..], &client[..]].concat());
        assert_eq!(stand.ask(None).await.unwrap().is_empty(), !own);
        if own {
            let form = [("grant_type", "client_credentials")];
            check(&stand.endpoint.asked()[1], &[&form[..], &client[..]].concat());
        }
    }
}

const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// A JWT that nobody has signed.
fn assertion(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"typ": "oauth-id-jag+jwt"})), part(claims))
}

async fn cross_app(answer: Value) -> (TokenEndpoint, TokenEndpoint, Result<String, String>) {
    let provider = TokenEndpoint::start().await.unwrap();
    let target = TokenEndpoint::start().await.unwrap();
    provider.set_script(move |_asked| Given::json(200, &answer));
    let mut target_place = place(&target);
    target_place.client = Client { id: Some("at-target".to_owned()), proof: ClientProof::None };
    let credential = credential(Grant::CrossApp(CrossApp {
        provider: place(&provider),
        target: target_place,
        audience: "https://as.example".to_owned(),
        resource: Some("https://backend.example/mcp".to_owned()),
        scopes: vec!["read".to_owned()],
    }));
    let outcome = ask(&credential, Some(&caller("alice", "id-of-alice"))).await;
    assert_eq!(ask(&credential, None).await.unwrap(), "", "it has no proof at the target");
    (provider, target, outcome.map_err(|error| error.to_string()))
}

#[tokio::test]
async fn cross_app_access() {
    let assertion = assertion(&json!({
        "aud": ["https://as.example"],
        "resource": "https://backend.example/mcp",
    }));
    let answer = json!({
        "access_token": assertion, "token_type": "n_a", "issued_token_type": ID_JAG, "expires_in": 60,
    });
    let (provider, target, outcome) = cross_app(answer).await;
    assert_eq!(outcome.unwrap(), "authorization: Bearer token-0");
    let asked = provider.asked();
    assert_eq!(asked[0].authorization, basic());
    check(
        &asked[0],
        &[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", "id-of-alice"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
            ("requested_token_type", ID_JAG),
            ("audience", "https://as.example"),
            ("resource", "https://backend.example/mcp"),
            ("scope", "read"),
        ],
    );
    check(
        &target.asked()[0],
        &[
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", &assertion),
            ("client_id", "at-target"),
            ("scope", "read"),
        ],
    );
}

#[tokio::test]
async fn an_assertion_for_others_goes_to_nobody() {
    let good = json!({"aud": "https://as.example", "resource": "https://backend.example/mcp"});
    let answer = |claims: &Value| json!({"access_token": assertion(claims), "token_type": "N_A", "issued_token_type": ID_JAG});
    let mut bearer = answer(&good);
    bearer["token_type"] = json!("Bearer");
    let mut other = answer(&good);
    other["issued_token_type"] = json!(TokenType::AccessToken.urn());
    let mut opaque = answer(&good);
    opaque["access_token"] = json!("s3cret");
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        answer(&claims)
    };
    for (answer, expected) in [
        (bearer, "with a token_type that is not N_A"),
        (other, "with an issued_token_type that is not id-jag"),
        (opaque, "with an assertion that is no JWT"),
        (
            with("aud", json!(["https://as.example", "https://other.example"])),
            "with an assertion for another audience than targetAudience",
        ),
        (
            with("aud", json!("https://other.example")),
            "with an assertion for another audience than targetAudience",
        ),
        (
            with("resource", json!(["https://other.example"])),
            "with an assertion for another resource than targetResource",
        ),
    ] {
        let (provider, target, outcome) = cross_app(answer).await;
        let expected = format!("cannot be obtained: {} answers {expected}", provider.url());
        assert_eq!(outcome, Err(expected));
        assert_eq!(target.count(), 0);
    }
}
