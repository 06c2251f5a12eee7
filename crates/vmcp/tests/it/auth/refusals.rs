//! Requests without a good token get nowhere.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use vmcp_testkit::{
    client::Client,
    gateway::eventually,
    identity::{SigningKey, assemble, hs256, now},
};

use super::{
    CALL, Guarded, INITIALIZE, authorized, count, every_request, guarded, send, showing, told,
};

#[tokio::test]
async fn a_good_token_opens_and_a_refreshed_one_goes_on() {
    let guarded = guarded().await;
    let client = guarded.connect("alice").await;
    assert_eq!(count(&client).await, "1");
    let refreshed = showing(&client, &guarded.provider.token("alice"));
    assert_eq!(count(&refreshed).await, "2", "the same session, with the same state");
    // Whatever signs it now.
    let other = SigningKey::rs256("other");
    guarded.provider.set_keys(&[&other]);
    let refreshed = showing(&client, &guarded.provider.token("alice"));
    assert_eq!(count(&refreshed).await, "3");
    assert_eq!(refreshed.delete().await.unwrap(), 200);
    assert_eq!(client.send(Method::DELETE, &[], Bytes::new()).await.unwrap().status(), 401);
}

/// A token is meant for vmcp, and for nobody behind it.
#[tokio::test]
async fn no_token_reaches_a_backend() {
    let guarded = guarded().await;
    let client = guarded.connect("alice").await;
    let _stream = client.listen(None).await.unwrap();
    assert_eq!(count(&client).await, "1");
    assert_eq!(client.delete().await.unwrap(), 200);
    let seen = guarded.backend.seen();
    assert!(seen.iter().any(|seen| seen.method == "tools/call"));
    for seen in seen {
        assert!(!seen.headers.contains_key("authorization"), "{:?}", seen.method);
        assert!(!seen.body.windows(3).any(|part| part == b"eyJ"), "{:?}", seen.method);
    }
}

/// What is wrong with a token, the token, and a word of how that is told.
fn bad_tokens(guarded: &Guarded) -> Vec<(&'static str, String, &'static str)> {
    let provider = &guarded.provider;
    let (key, now) = (provider.key(), now());
    let with = |member: &str, value: Value| {
        let mut claims = provider.claims("alice");
        claims[member] = value;
        key.sign(&claims)
    };
    let without = |member: &str| {
        let mut claims = provider.claims("alice");
        claims.as_object_mut().unwrap().remove(member);
        key.sign(&claims)
    };
    let claims = provider.claims("alice");
    let none = json!({"alg": "none", "typ": "JWT", "kid": "first"});
    let shared = json!({"alg": "HS256", "typ": "JWT", "kid": "first"});
    let public = key.jwk().to_string();
    let secret = |message: &[u8]| hs256(public.as_bytes(), message);
    let good = key.sign(&claims);
    let (head, rest) = good.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    let other = with("sub", json!("bob"));
    let payload = other.split('.').nth(1).unwrap();
    vec![
        ("garbage", "garbage".to_owned(), "not a JWT"),
        ("three parts of garbage", "a.b.c".to_owned(), "not a JWT"),
        ("too long", "a".repeat(20_000), "longer"),
        ("expired", with("exp", json!(now - 120)), "expired"),
        ("not yet valid", with("nbf", json!(now + 120)), "not valid yet"),
        ("issued tomorrow", with("iat", json!(now + 86_400)), "not valid yet"),
        ("of another issuer", with("iss", json!("https://other.example")), "another issuer"),
        ("for another audience", with("aud", json!("other")), "another audience"),
        ("for nobody", without("aud"), "another audience"),
        ("unsigned", assemble(&none, &claims, |_| Vec::new()), "algorithm"),
        ("signed with the public key", assemble(&shared, &claims, secret), "algorithm"),
        (
            "signed with an unknown key",
            SigningKey::es256("x").sign(&claims),
            "not signed with a key that the issuer publishes",
        ),
        ("signed with another key", SigningKey::es256("first").sign(&claims), "signature"),
        ("tampered with", format!("{head}.{payload}.{signature}"), "signature"),
        ("without a subject", without("sub"), "subject"),
        ("with an empty subject", with("sub", json!("")), "subject"),
        ("without an end", without("exp"), "expiry"),
    ]
}

#[tokio::test]
async fn a_bad_token_is_refused_with_what_is_wrong_and_where_to_go() {
    let guarded = guarded().await;
    let owner = guarded.connect("alice").await;
    assert_eq!(count(&owner).await, "1");
    let initializes = guarded.backend.counters().initializes();
    let way = "Bearer resource_metadata=\"https://mcp.example/.well-known/oauth-protected-resource/mcp\", scope=\"openid\"";
    for (what, token, why) in bad_tokens(&guarded) {
        let thief = showing(&owner, &token);
        for body in [CALL, INITIALIZE] {
            let (status, challenge, body) = told(thief.post(body).await.unwrap()).await;
            assert_eq!(status, 401, "{what}: {body}");
            assert_eq!(body["error"], "invalid_token", "{what}: {body}");
            let description = body["error_description"].as_str().unwrap();
            assert!(description.contains(why), "{what}: {description}");
            assert_eq!(
                challenge,
                format!("{way}, error=\"invalid_token\", error_description=\"{description}\""),
                "{what}"
            );
            let all = format!("{challenge}{body}");
            for secret in [token.as_str(), "alice", "bob", "other.example"] {
                assert!(secret.len() > 1000 || !all.contains(secret), "{what}: {all}");
            }
        }
    }
    assert_eq!(count(&owner).await, "2", "nothing came of all that");
    assert_eq!(guarded.backend.counters().initializes(), initializes);
    assert!(!guarded.process.log().contains("eyJ"), "no token stands in the log");
}

#[tokio::test]
async fn without_a_token_there_is_nothing_on_any_method() {
    let guarded = guarded().await;
    let owner = guarded.connect("alice").await;
    let mut claims = guarded.provider.claims("alice");
    claims["exp"] = json!(now() - 120);
    let expired = guarded.provider.key().sign(&claims);
    let none =
        Client::new(&guarded.process.url()).with_session(owner.session().unwrap(), "2025-11-25");
    let callers = [
        (none.clone(), "unauthorized"),
        (authorized(&owner, "Basic YWxpY2U6cw=="), "unauthorized"),
        (authorized(&owner, "Bearer"), "unauthorized"),
        (showing(&owner, &expired), "invalid_token"),
    ];
    let initialize = (Method::POST, INITIALIZE, None);
    for (caller, error) in &callers {
        for request in every_request().iter().chain([&initialize]) {
            let (status, challenge, body) = told(send(caller, request).await).await;
            assert_eq!(status, 401, "{request:?}: {body}");
            assert_eq!(body["error"], *error, "{request:?}");
            assert!(challenge.starts_with("Bearer resource_metadata="), "{challenge}");
            assert_eq!(challenge.contains("error="), *error == "invalid_token", "{challenge}");
        }
        // It makes no difference whether the session exists.
        let nowhere = caller.clone().with_session("nowhere", "2025-11-25");
        assert_eq!(send(&nowhere, &every_request()[0]).await.status(), 401);
    }
    assert_eq!(guarded.backend.counters().calls("count"), 0);
    assert_eq!(count(&owner).await, "1");
}

#[tokio::test]
async fn two_tokens_are_none() {
    let guarded = guarded().await;
    let client = guarded.connect("alice").await;
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-session-id: {}\r\n\
         authorization: Bearer {}\r\nauthorization: Bearer x\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{CALL}",
        client.session().unwrap(),
        guarded.provider.token("alice"),
        CALL.len()
    );
    let answer = said(&guarded, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(guarded.backend.counters().calls("count"), 0);
}

/// Who may not call is told so before the body is read, and the probes ask nobody.
#[tokio::test]
async fn the_body_is_not_waited_for() {
    let guarded = guarded().await;
    let head = "POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
                accept: application/json, text/event-stream\r\ncontent-length: 1000\r\n\r\n";
    let answer = said(&guarded, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let anybody = Client::new(&guarded.process.url());
    for path in ["/health", "/readyz", "/status"] {
        let probe = anybody.at(&guarded.process.url_of(path));
        let answer = probe.send(Method::GET, &[("accept", "*/*")], Bytes::new()).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    // The doors come first.
    let strange = anybody.with_header("host", "evil.example.com");
    assert_eq!(strange.post(CALL).await.unwrap().status(), 403);
}

/// Sends bytes, and reads the beginning of the answer.
async fn said(guarded: &Guarded, bytes: &[u8]) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut socket =
        tokio::net::TcpStream::connect(("127.0.0.1", guarded.process.port())).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    let mut answer = vec![0; 2048];
    let reading = socket.read(&mut answer);
    let read = tokio::time::timeout(std::time::Duration::from_secs(10), reading).await;
    answer.truncate(read.unwrap().unwrap());
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_token_that_was_good_expires() {
    let guarded = guarded().await;
    let owner = guarded.connect("alice").await;
    let mut claims = guarded.provider.claims("alice");
    // Clocks may be 60 s apart.
    claims["exp"] = json!(now() - 57);
    let ending = showing(&owner, &guarded.provider.key().sign(&claims));
    assert_eq!(count(&ending).await, "1");
    eventually("it expires", async || {
        let answer = ending.post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await.unwrap();
        let (status, _, body) = told(answer).await;
        assert!(status == 200 || status == 401, "{status} {body}");
        (status == 401).then(|| assert!(body.to_string().contains("has expired"), "{body}"))
    })
    .await;
    assert_eq!(count(&owner).await, "2");
}
