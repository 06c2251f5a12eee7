//! Tokens in, and whether they are those of operators.

use std::{fs, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, header::AUTHORIZATION};
use vmcp_model::{Claims, Principal, Proof};

use super::*;

const TOKEN: &str = "0123456789abcdef";

async fn checked(operators: &Operators, value: &str) -> Result<(), Fault> {
    let mut headers = HeaderMap::new();
    if !value.is_empty() {
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    }
    let asking = Asking { headers: &headers, method: &Method::GET, url: &|| None };
    operators.check(&asking, &Authenticator::anonymous()).await
}

async fn shown(operators: &Operators, token: &str) -> Result<(), Fault> {
    checked(operators, &format!("Bearer {token}")).await
}

#[tokio::test]
async fn a_file_holds_the_token_as_it_is_now() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    fs::write(&path, format!(" {TOKEN}\r\n")).unwrap();
    let operators = Operators::new(&OperatorAuth::Token(Some(path.clone()))).unwrap();
    assert!(operators.ask_for_proof());
    assert_eq!(operators.made_token(), None);
    assert_eq!(shown(&operators, TOKEN).await, Ok(()));
    for other in ["0123456789abcdeF", "0123456789abcde", "0123456789abcdef0", "x"] {
        let told = shown(&operators, other).await;
        assert_eq!(told, Err(Fault::InvalidToken("is not that of operators")), "{other}");
    }
    for none in ["", "Basic YTpi", "Bearer ", TOKEN] {
        assert_eq!(checked(&operators, none).await, Err(Fault::Unauthenticated), "{none}");
    }
    fs::write(&path, "fedcba9876543210").unwrap();
    assert!(shown(&operators, TOKEN).await.is_err());
    assert_eq!(shown(&operators, "fedcba9876543210").await, Ok(()));
}

/// A file that is not good lets nobody in, whatever it held before.
#[tokio::test]
async fn a_file_that_cannot_be_used_lets_nobody_in() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let operators = Operators::new(&OperatorAuth::Token(Some(path.clone()))).unwrap();
    assert!(matches!(shown(&operators, TOKEN).await, Err(Fault::Unavailable(_))));
    for held in ["", "short", "two words and more", "\u{e9}0123456789abcdef"] {
        fs::write(&path, held).unwrap();
        let told = shown(&operators, "short").await;
        assert!(matches!(told, Err(Fault::Unavailable(_))), "{held}: {told:?}");
    }
    fs::write(&path, vec![b'a'; 65 << 10]).unwrap();
    assert!(token_file::token_of(&path).is_err());
    fs::write(&path, TOKEN).unwrap();
    assert_eq!(shown(&operators, TOKEN).await, Ok(()));
}

#[tokio::test]
async fn a_token_that_is_made_is_another_one_each_time() {
    let [one, other] = [(); 2].map(|()| Operators::new(&OperatorAuth::Token(None)).unwrap());
    let token = one.made_token().unwrap();
    assert_eq!(token.len(), 43, "32 bytes in Base64");
    assert_eq!(shown(&one, token).await, Ok(()));
    assert!(shown(&other, token).await.is_err());
    assert!(!format!("{one:?}").contains(token));
}

fn proved(claims: &'static str) -> Identity {
    let principal = Principal::Subject { issuer: "https://i".into(), subject: "alice".into() };
    let claims = Claims::new(Bytes::from_static(claims.as_bytes()));
    Identity::proved(principal, Arc::new(Proof::new(claims, "t", 1)))
}

#[test]
fn one_role_makes_an_operator() {
    let roles = |claim: &str| Roles {
        claim: claim.to_owned(),
        any_of: vec!["admin".to_owned(), "ops".to_owned()],
    };
    for (claim, claims, expected) in [
        ("roles", r#"{"roles":["dev","ops"]}"#, true),
        ("roles", r#"{"roles":"admin"}"#, true),
        ("roles", r#"{"roles":["dev"]}"#, false),
        ("roles", r#"{"roles":["Admin","admin2"," admin"]}"#, false),
        ("roles", r#"{"roles":"admin ops"}"#, false),
        ("roles", r#"{"roles":[["admin"],{"admin":true}]}"#, false),
        ("roles", r#"{"roles":{"admin":true}}"#, false),
        ("roles", r#"{"roles":null}"#, false),
        ("roles", r#"{"groups":["admin"]}"#, false),
        ("roles", "{}", false),
        ("realm_access.roles", r#"{"realm_access":{"roles":["admin"]}}"#, true),
        ("realm_access.roles", r#"{"realm_access":["roles","admin"]}"#, false),
        ("https://a.example/roles", r#"{"https://a.example/roles":["admin"]}"#, true),
        ("a.b", r#"{"a.b":["dev"],"a":{"b":["admin"]}}"#, false),
    ] {
        let found = roles(claim).check(&proved(claims));
        assert_eq!(found.is_ok(), expected, "{claim} {claims}");
        assert!(matches!(found, Ok(()) | Err(Fault::Forbidden(_))), "{found:?}");
    }
    let nobody = Identity::unproved(Principal::Anonymous);
    assert!(roles("roles").check(&nobody).is_err());
}

/// Who has proved nothing has no role, whatever is configured.
#[tokio::test]
async fn where_callers_prove_nothing_nobody_has_a_role() {
    let roles = Roles { claim: "roles".to_owned(), any_of: vec!["admin".to_owned()] };
    let operators = Operators::new(&OperatorAuth::Oidc(roles)).unwrap();
    assert!(operators.ask_for_proof());
    for value in ["", "Bearer whatever"] {
        let told = checked(&operators, value).await;
        assert!(matches!(told, Err(Fault::Forbidden(_))), "{told:?}");
    }
}

#[test]
fn a_challenge_says_what_was_wrong() {
    let told =
        |fault: &Fault| Operators::challenge(fault).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(told(&Fault::Unauthenticated).unwrap(), "Bearer realm=\"vmcp admin\"");
    assert!(
        told(&Fault::InvalidToken("is wrong")).unwrap().ends_with("=\"the access token is wrong\"")
    );
    assert_eq!(told(&Fault::SessionUnknown), None);
}
