//! Tokens in, subjects or refusals out.

use proptest::{prelude::*, test_runner::Config};
use serde_json::{Value, json};
use vmcp_testkit::identity::{SigningKey, assemble, now};

use super::{Expected, Refusal, verify};
use crate::keys::{InvalidKeys, Keys};

const ISSUER: &str = "https://idp.example";

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "alice", "aud": "api", "exp": now() + 600})
}

fn with(member: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[member] = value;
    claims
}

fn without(member: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(member);
    claims
}

fn published(keys: &[Value]) -> Keys {
    Keys::parse(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

fn outcome(token: &str, keys: &Keys) -> Result<String, Refusal> {
    let expected =
        Expected { issuer: ISSUER.to_owned(), audience: "api".to_owned(), scopes: Vec::new() };
    verify(token, keys, &expected).map(|verified| verified.subject)
}

fn every_kind() -> Vec<SigningKey> {
    vec![
        SigningKey::rs256("k"),
        SigningKey::ps256("k"),
        SigningKey::es256("k"),
        SigningKey::es384("k"),
        SigningKey::ed25519("k"),
    ]
}

#[test]
fn good_tokens_of_every_kind_are_accepted() {
    for key in every_kind() {
        let keys = published(&[key.jwk()]);
        let token = key.sign(&claims());
        assert_eq!(outcome(&token, &keys), Ok("alice".to_owned()), "{}", key.algorithm());
    }
}

#[test]
fn claims_must_be_those_expected() {
    let key = SigningKey::ed25519("k");
    let keys = published(&[key.jwk()]);
    let now = now();
    let check = |claims: &Value, expected: Result<&str, Refusal>| {
        let found = outcome(&key.sign(claims), &keys);
        assert_eq!(found.as_deref().map_err(|refusal| *refusal), expected, "{claims}");
    };
    for good in [
        with("aud", json!(["other", "api"])),
        with("exp", json!(now - 30)),
        with("exp", json!((now + 30) as f64 + 0.5)),
        with("nbf", json!(now + 30)),
        with("iat", json!(now + 30)),
        with("scope", json!("anything")),
    ] {
        check(&good, Ok("alice"));
    }
    for (bad, refusal) in [
        (with("iss", json!("https://idp.example/")), Refusal::Issuer),
        (with("iss", json!("HTTPS://idp.example")), Refusal::Issuer),
        (with("iss", json!([ISSUER])), Refusal::Issuer),
        (without("iss"), Refusal::Issuer),
        (with("aud", json!("other")), Refusal::Audience),
        (with("aud", json!(["other"])), Refusal::Audience),
        (with("aud", json!([])), Refusal::Audience),
        (with("aud", json!({"api": 1})), Refusal::Audience),
        (without("aud"), Refusal::Audience),
        (with("exp", json!(now - 90)), Refusal::Expired),
        (with("exp", json!(0)), Refusal::Expired),
        (with("exp", json!(-1)), Refusal::NoExpiry),
        (with("exp", json!("never")), Refusal::NoExpiry),
        (with("exp", json!(1e300)), Refusal::NoExpiry),
        (with("exp", Value::Null), Refusal::NoExpiry),
        (without("exp"), Refusal::NoExpiry),
        (with("nbf", json!(now + 90)), Refusal::NotYetValid),
        (with("nbf", json!("x")), Refusal::Claims),
        (with("iat", json!(now + 90)), Refusal::NotYetValid),
        (with("iat", json!("x")), Refusal::Claims),
        (with("sub", json!("")), Refusal::Subject),
        (with("sub", json!(7)), Refusal::Subject),
        (with("sub", json!(["alice"])), Refusal::Claims),
        (without("sub"), Refusal::Subject),
        (json!([]), Refusal::Claims),
        (json!("alice"), Refusal::Claims),
    ] {
        check(&bad, Err(refusal));
    }
}

#[test]
fn what_is_said_twice_is_not_believed() {
    let key = SigningKey::ed25519("k");
    let keys = published(&[key.jwk()]);
    let now = now();
    // Whoever reads it must read the same out of it.
    let text = format!(
        r#"{{"iss":"{ISSUER}","sub":"bob","sub":"alice","aud":"api","exp":{}}}"#,
        now + 600
    );
    let token = sign_text(&key, &text);
    assert_eq!(outcome(&token, &keys), Err(Refusal::Claims));
}

/// A token with claims that serde would not write.
fn sign_text(key: &SigningKey, claims: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    key.sign_text(&URL_SAFE_NO_PAD.encode(key.header().to_string()), claims)
}

#[test]
fn only_listed_algorithms_count() {
    let key = SigningKey::rs256("k");
    let keys = published(&[key.jwk()]);
    let jwk = key.jwk().to_string();
    for algorithm in ["none", "None", "NONE", "", "HS256", "HS384", "HS512", "ES256K", "RS1"] {
        let header = json!({"alg": algorithm, "typ": "JWT", "kid": "k"});
        // The public key as a shared secret, the oldest trick.
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, jwk.as_bytes());
        for token in [
            assemble(&header, &claims(), |_| Vec::new()),
            assemble(&header, &claims(), |text| ring::hmac::sign(&secret, text).as_ref().to_vec()),
            key.sign_with(&header, &claims()),
        ] {
            assert_eq!(outcome(&token, &keys), Err(Refusal::Algorithm), "{algorithm}");
        }
    }
}

#[test]
fn a_key_is_used_for_what_it_is_meant_for_only() {
    let key = SigningKey::es256("k");
    let token = key.sign(&claims());
    let altered = |member: &str, value: Value| {
        let mut jwk = key.jwk();
        jwk[member] = value;
        outcome(&token, &published(&[jwk]))
    };
    assert_eq!(altered("key_ops", json!(["verify"])), Ok("alice".to_owned()));
    assert_eq!(altered("alg", Value::Null), Ok("alice".to_owned()));
    for (member, value) in [
        ("use", json!("enc")),
        ("alg", json!("ES384")),
        ("alg", json!("ECDH-ES")),
        ("key_ops", json!(["sign"])),
        ("crv", json!("P-384")),
        ("crv", json!("secp256k1")),
        ("kty", json!("oct")),
        ("x", json!("AA")),
        ("kid", json!("other")),
    ] {
        assert_eq!(altered(member, value.clone()), Err(Refusal::UnknownKey), "{member} {value}");
    }
    let rsa = SigningKey::rs256("k");
    let as_pss = rsa.sign_with(&json!({"alg": "PS256", "kid": "k"}), &claims());
    assert_eq!(outcome(&as_pss, &published(&[rsa.jwk()])), Err(Refusal::UnknownKey));
    let mut jwk = rsa.jwk();
    jwk["alg"] = Value::Null;
    assert_eq!(outcome(&as_pss, &published(&[jwk])), Err(Refusal::Signature));
}

#[test]
fn keys_that_are_not_understood_are_passed_over() {
    let key = SigningKey::es256("k");
    let keys = published(&[
        json!({"kty": "OKP", "crv": "X25519", "x": "AA", "kid": "k"}),
        json!({"kty": "future", "kid": "k"}),
        json!({"kid": 7}),
        json!("what"),
        json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "k", "use": "sig"}),
        key.jwk(),
    ]);
    assert_eq!(keys.len(), 1);
    assert_eq!(outcome(&key.sign(&claims()), &keys), Ok("alice".to_owned()));
}

#[test]
fn a_token_names_its_key_unless_there_is_only_one() {
    let (one, two) = (SigningKey::es256("one"), SigningKey::es256("two"));
    let other_kind = SigningKey::ed25519("three");
    let nameless = one.nameless().sign(&claims());
    assert!(outcome(&nameless, &published(&[one.jwk(), other_kind.jwk()])).is_ok());
    let several = published(&[one.jwk(), two.jwk()]);
    assert_eq!(outcome(&nameless, &several), Err(Refusal::UnknownKey));
    assert!(outcome(&two.sign(&claims()), &several).is_ok());
    let swapped = one.named("two").sign(&claims());
    assert_eq!(outcome(&swapped, &several), Err(Refusal::Signature));
    assert_eq!(outcome(&one.sign(&claims()), &published(&[])), Err(Refusal::UnknownKey));
}

#[test]
fn a_tampered_token_is_refused() {
    for key in every_kind() {
        let keys = published(&[key.jwk()]);
        let token = key.sign(&claims());
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        let other = key.sign(&with("sub", json!("bob")));
        let payload = other.split('.').nth(1).unwrap();
        for forged in [format!("{header}.{payload}.{signature}"), format!("{message}.")] {
            assert_eq!(outcome(&forged, &keys), Err(Refusal::Signature), "{}", key.algorithm());
        }
    }
}

#[test]
fn what_a_header_demands_must_be_understood() {
    let key = SigningKey::ed25519("k");
    let keys = published(&[key.jwk()]);
    for critical in [json!(["exp"]), json!([]), json!("b64")] {
        let header = json!({"alg": "EdDSA", "kid": "k", "crit": critical, "b64": false});
        let token = key.sign_with(&header, &claims());
        assert_eq!(outcome(&token, &keys), Err(Refusal::Critical), "{critical}");
    }
    // A key that comes with the token proves nothing.
    let stranger = SigningKey::ed25519("k");
    let header = json!({"alg": "EdDSA", "kid": "k", "jwk": stranger.jwk()});
    let token = stranger.sign_with(&header, &claims());
    assert_eq!(outcome(&token, &keys), Err(Refusal::Signature));
}

#[test]
fn what_is_no_jwt_is_refused() {
    let key = SigningKey::ed25519("k");
    let keys = published(&[key.jwk()]);
    let good = key.sign(&claims());
    for token in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "e30.e30.e30",
        &format!("{good}."),
        &format!(" {good}"),
    ] {
        assert_eq!(outcome(token, &keys), Err(Refusal::NotAJwt), "{token}");
    }
    let long = key.sign(&with("x", json!("a".repeat(16 << 10))));
    assert_eq!(outcome(&long, &keys), Err(Refusal::TooLong));
}

#[test]
fn a_set_of_keys_is_known_by_its_keys() {
    let (one, two) = (SigningKey::es256("one"), SigningKey::es256("two"));
    let digest = |keys: &[Value]| published(keys).digest();
    assert_eq!(digest(&[one.jwk(), two.jwk()]), digest(&[two.jwk(), one.jwk()]));
    let all = [
        digest(&[]),
        digest(&[one.jwk()]),
        digest(&[two.jwk()]),
        digest(&[one.named("two").jwk()]),
        digest(&[one.nameless().jwk()]),
        digest(&[one.named("").jwk()]),
        digest(&[one.jwk(), two.jwk()]),
    ];
    for (index, digest) in all.iter().enumerate() {
        assert!(!all[..index].contains(digest), "{index}");
    }
    for text in ["", "{}", "[]", r#"{"keys":{}}"#, "<html>"] {
        assert_eq!(Keys::parse(text.as_bytes()).unwrap_err(), InvalidKeys::NotASet, "{text}");
    }
    let many = vec![one.jwk(); 300];
    let many = json!({"keys": many}).to_string();
    assert_eq!(Keys::parse(many.as_bytes()).unwrap_err(), InvalidKeys::TooMany);
}

proptest! {
    #![proptest_config(Config { cases: 512, failure_persistence: None, ..Config::default() })]

    /// A good token with anything changed is no good, and nothing panics.
    #[test]
    fn no_other_token_passes(at in any::<prop::sample::Index>(), byte in "[ -~]") {
        let key = SigningKey::ed25519("k");
        let keys = published(&[key.jwk()]);
        let good = key.sign(&claims());
        let at = at.index(good.len());
        let mut changed = good.clone();
        changed.replace_range(at..=at, &byte);
        let found = outcome(&changed, &keys);
        prop_assert_eq!(found.is_ok(), changed == good, "{}", changed);
    }

    #[test]
    fn no_text_is_a_token(text in "[ -~]{0,200}|[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}") {
        let keys = published(&[SigningKey::ed25519("k").jwk()]);
        prop_assert!(outcome(&text, &keys).is_err());
    }

    #[test]
    fn no_key_set_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), member in "[a-z]{1,3}", value in "[ -~]{0,40}") {
        let _unread = Keys::parse(&bytes);
        let mut jwk = SigningKey::es256("k").jwk();
        jwk[member] = json!(value);
        let token = SigningKey::es256("k").sign(&claims());
        let keys = Keys::parse(json!({"keys": [jwk]}).to_string().as_bytes()).unwrap();
        prop_assert!(outcome(&token, &keys).is_err());
    }
}
