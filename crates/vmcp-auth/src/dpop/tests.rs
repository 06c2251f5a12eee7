//! Proofs in, and what they prove.

use http::{HeaderName, HeaderValue};
use proptest::{prelude::*, test_runner::Config};
use serde_json::{Value, json};
use vmcp_testkit::identity::{SigningKey, assemble, hs256, now};

use super::*;
use crate::signatures;

const URL: &str = "https://mcp.example/mcp";
const TOKEN: &str = "token";

fn shown(proofs: &[&str], method: &Method, url: Option<&str>) -> Shown {
    let name = || HeaderName::from_static(PROOF);
    let values = proofs.iter().map(|proof| (name(), HeaderValue::from_str(proof).unwrap()));
    let mut headers = HeaderMap::new();
    for (name, value) in values {
        headers.append(name, value);
    }
    Shown::new(&headers, method, url.map(str::to_owned))
}

fn bound_to(key: &SigningKey) -> Thumbprint {
    URL_SAFE_NO_PAD.decode(key.thumbprint()).unwrap().try_into().unwrap()
}

fn outcome(proof: &str, key: &SigningKey) -> Result<(), NoProof> {
    signatures::install();
    let shown = shown(&[proof], &Method::POST, Some(URL));
    shown.prove(TOKEN, &bound_to(key), now(), &UsedProofs::new())
}

fn claims() -> Value {
    SigningKey::proof_claims("POST", URL, TOKEN)
}

#[test]
fn proofs_with_every_kind_of_key_are_good() {
    for key in [
        SigningKey::rs256("k"),
        SigningKey::ps256("k"),
        SigningKey::es256("k"),
        SigningKey::es384("k"),
        SigningKey::ed25519("k"),
    ] {
        let proof = key.proof("POST", URL, TOKEN);
        assert_eq!(outcome(&proof, &key), Ok(()), "{}", key.algorithm());
        let other = SigningKey::es256("k");
        assert_eq!(outcome(&proof, &other), Err(NoProof::Key), "{}", key.algorithm());
    }
}

/// The example of RFC 7638, section 3.1.
#[test]
fn a_thumbprint_is_that_of_the_standard() {
    let key = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
    let expected = URL_SAFE_NO_PAD.decode("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs").unwrap();
    assert_eq!(thumbprint(key).map(Vec::from), Some(expected));
    for wrong in ["{}", "[]", r#"{"kty":"oct","k":"AA"}"#, r#"{"kty":"OKP","crv":"Ed25519","x":7}"#]
    {
        assert_eq!(thumbprint(wrong), None, "{wrong}");
    }
}

#[test]
fn what_a_proof_says_must_be_so() {
    let key = SigningKey::es256("k");
    let check = |member: &str, value: Value, expected: Result<(), NoProof>| {
        let mut claims = claims();
        claims[member] = value.clone();
        let proof = key.sign_with(&key.proof_header(), &claims);
        assert_eq!(outcome(&proof, &key), expected, "{member}: {value}");
    };
    for (member, value) in [
        ("htu", json!("https://MCP.example:443/mcp")),
        ("htu", json!("https://mcp.example/mcp/")),
        ("htu", json!("https://mcp.example/mcp?query#fragment")),
        ("iat", json!(now() - 58)),
        ("iat", json!(now() + 58)),
        ("nonce", json!("whatever")),
    ] {
        check(member, value, Ok(()));
    }
    for (member, value, expected) in [
        ("htm", json!("GET"), NoProof::Method),
        ("htm", json!("post"), NoProof::Method),
        ("htu", json!("http://mcp.example/mcp"), NoProof::Url),
        ("htu", json!("https://other.example/mcp"), NoProof::Url),
        ("htu", json!("https://mcp.example/"), NoProof::Url),
        ("htu", json!("https://mcp.example:8443/mcp"), NoProof::Url),
        ("htu", json!("/mcp"), NoProof::Url),
        ("iat", json!(now() - 70), NoProof::Time),
        ("iat", json!(now() + 70), NoProof::Time),
        ("iat", json!("now"), NoProof::Malformed),
        ("ath", json!(""), NoProof::Token),
        ("ath", json!("x"), NoProof::Token),
        ("jti", json!(""), NoProof::Malformed),
        ("jti", json!(7), NoProof::Malformed),
        ("jti", Value::Null, NoProof::Malformed),
    ] {
        check(member, value, Err(expected));
    }
}

#[test]
fn a_proof_is_signed_with_the_key_in_it() {
    let key = SigningKey::es256("k");
    let with = |member: &str, value: Value| {
        let mut header = key.proof_header();
        header[member] = value;
        header
    };
    let mut private = key.proof_header();
    private["jwk"]["d"] = json!("AAAA");
    for (header, expected) in [
        (with("typ", json!("JWT")), NoProof::Malformed),
        (with("typ", Value::Null), NoProof::Malformed),
        (with("crit", json!(["exp"])), NoProof::Malformed),
        (with("jwk", Value::Null), NoProof::Malformed),
        (with("alg", json!("none")), NoProof::Algorithm),
        (with("alg", json!("HS256")), NoProof::Algorithm),
        (with("alg", json!("RS256")), NoProof::Algorithm),
        (private, NoProof::Malformed),
    ] {
        assert_eq!(outcome(&key.sign_with(&header, &claims()), &key), Err(expected), "{header}");
    }
    let forged = SigningKey::es256("k").sign_with(&key.proof_header(), &claims());
    assert_eq!(outcome(&forged, &key), Err(NoProof::Signature));
    // A shared secret proves nothing.
    let secret = json!({"typ": "dpop+jwt", "alg": "HS256", "jwk": {"kty": "oct", "k": "c2VjcmV0"}});
    let proof = assemble(&secret, &claims(), |message| hs256(b"secret", message));
    assert_eq!(outcome(&proof, &key), Err(NoProof::Algorithm));
    for malformed in ["", "a.b.c", "e30.e30.e30", "a.b", &"a".repeat(9_000)] {
        assert_eq!(outcome(malformed, &key), Err(NoProof::Malformed), "{malformed}");
    }
}

#[test]
fn there_is_one_proof_for_a_request_whose_url_is_known() {
    signatures::install();
    let key = SigningKey::ed25519("k");
    let (one, two) = (key.proof("GET", URL, TOKEN), key.proof("GET", URL, TOKEN));
    let outcome = |proofs: &[&str], url| {
        shown(proofs, &Method::GET, url).prove(TOKEN, &bound_to(&key), now(), &UsedProofs::new())
    };
    assert_eq!(outcome(&[&one], Some(URL)), Ok(()));
    assert_eq!(outcome(&[], Some(URL)), Err(NoProof::Missing));
    assert_eq!(outcome(&[&one, &two], Some(URL)), Err(NoProof::Several));
    assert_eq!(outcome(&[&one], None), Err(NoProof::UrlUnknown));
}

proptest! {
    #![proptest_config(Config { cases: 256, failure_persistence: None, ..Config::default() })]

    /// A good proof with anything changed is none, and nothing panics.
    #[test]
    fn no_other_proof_passes(at in any::<prop::sample::Index>(), byte in "[ -~]") {
        let key = SigningKey::ed25519("k");
        let good = key.proof("POST", URL, TOKEN);
        let at = at.index(good.len());
        let mut changed = good.clone();
        changed.replace_range(at..=at, &byte);
        prop_assert_eq!(outcome(&changed, &key).is_ok(), changed == good, "{}", changed);
    }

    #[test]
    fn no_key_in_a_proof_panics(member in "[a-z]{1,3}", value in "[ -~]{0,40}") {
        let key = SigningKey::es256("k");
        let mut header = key.proof_header();
        header["jwk"][member] = json!(value);
        let _judged = outcome(&key.sign_with(&header, &claims()), &key);
    }
}

#[tokio::test(start_paused = true)]
async fn a_proof_is_good_once_and_nobody_shuts_others_out() {
    let used = UsedProofs::new();
    let (one, other) = ([1; 32], [2; 32]);
    assert_eq!(used.enter(&one, "1"), Ok(()));
    for _again in 0..3 {
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(used.enter(&one, "1"), Err(NoProof::Replayed));
        assert_eq!(used.enter(&other, &format!("{_again}")), Ok(()));
    }
    tokio::time::advance(2 * UsedProofs::TIME).await;
    assert_eq!(used.enter(&one, "1"), Ok(()), "it is forgotten");
    for index in 2..=UsedProofs::OF_KEY {
        assert_eq!(used.enter(&one, &index.to_string()), Ok(()), "{index}");
    }
    assert_eq!(used.enter(&one, "0"), Err(NoProof::Full));
    assert_eq!(used.enter(&other, "0"), Ok(()));
    tokio::time::advance(UsedProofs::TIME).await;
    assert_eq!(used.enter(&one, "0"), Ok(()));
}
