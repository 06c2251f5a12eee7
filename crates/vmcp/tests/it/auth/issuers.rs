//! Several issuers, tokens that are no JWT, and scopes: what clients see of them.

use http::Method;
use serde_json::{Value, json};
use vmcp_testkit::{
    client::{Client, fetch},
    gateway::Gateway,
    identity::{AUDIENCE, Health, IdentityProvider},
    peers,
    process::Process,
    raw::Running,
};

use super::{CALL, count, every_request, send, showing, told};
use crate::serve;

const OPEN: &str = "insecureAllowHttp: true, jwksAllowPrivateIp: true";

struct Fixture {
    backend: Running,
    one: IdentityProvider,
    two: IdentityProvider,
    process: Process,
}

/// A gateway for tokens of two issuers, with more keys of the second.
async fn fixture(keys: &str) -> Fixture {
    let backend = peers::stateful().start().await.unwrap();
    let (one, two) =
        (IdentityProvider::start().await.unwrap(), IdentityProvider::start().await.unwrap());
    let issuer = |of: &IdentityProvider, keys: &str| {
        format!("{{issuer: '{}', audience: {AUDIENCE}, {OPEN}{keys}}}", of.issuer())
    };
    let issuers = format!("type: oidc, issuers: [{}, {}]", issuer(&one, ""), issuer(&two, keys));
    let gateway = Gateway::before(&[("a", backend.url())]).incoming(&issuers);
    let process = serve(&gateway).await;
    Fixture { backend, one, two, process }
}

impl Fixture {
    fn client(&self, token: &str) -> Client {
        Client::new(&self.process.url()).with_header("authorization", &format!("Bearer {token}"))
    }

    async fn connect(&self, token: &str) -> Client {
        let mut client = self.client(token);
        client.initialize().await.unwrap();
        client
    }
}

#[tokio::test]
async fn each_issuer_has_callers_of_its_own() {
    let fixture = fixture("").await;
    let alice = fixture.connect(&fixture.one.token("alice")).await;
    let namesake = fixture.connect(&fixture.two.token("alice")).await;
    assert_eq!(count(&alice).await, "1");
    assert_eq!(count(&namesake).await, "1");
    let thief = showing(&alice, &fixture.two.token("alice"));
    assert_eq!(thief.post(CALL).await.unwrap().status(), 404);
    fixture.one.set_health(Health::Down);
    let other = fixture.connect(&fixture.two.token("bob")).await;
    assert_eq!(count(&other).await, "1");
    let url = fixture.process.url_of("/.well-known/oauth-protected-resource/mcp");
    let metadata: Value = serde_json::from_slice(&fetch(&url).await.unwrap().1).unwrap();
    assert_eq!(
        metadata["authorization_servers"],
        json!([fixture.one.issuer(), fixture.two.issuer()])
    );
}

#[tokio::test]
async fn a_token_that_is_no_jwt_is_asked_about() {
    let one = IdentityProvider::start().await.unwrap();
    one.set_asking_client(("vmcp".to_owned(), Some("s3cret%".to_owned())));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "first-s3cret\n").unwrap();
    let backend = peers::stateful().start().await.unwrap();
    let incoming = format!(
        "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, {OPEN}, introspectionUrl: '{}', clientId: vmcp, \
         clientSecretFile: '{}'}}",
        one.issuer(),
        one.introspection_url(),
        file.display()
    );
    let process = serve(&Gateway::before(&[("a", backend.url())]).incoming(&incoming)).await;
    let token = one.opaque_token("alice");
    let mut client =
        Client::new(&process.url()).with_header("authorization", &format!("Bearer {token}"));
    let answer = client.post(super::INITIALIZE).await.unwrap();
    assert_eq!(answer.header("retry-after"), Some("1"));
    let (status, challenge, body) = told(answer).await;
    assert_eq!((status, challenge.as_str()), (503, ""), "vmcp may not ask: {body}");
    // The secret is exchanged without a restart.
    std::fs::write(&file, "s3cret%\n").unwrap();
    client.initialize().await.unwrap();
    for expected in 1..=20 {
        assert_eq!(count(&client).await, expected.to_string());
    }
    assert_eq!(one.introspections(), 2);
    let (status, challenge, _) = told(showing(&client, "other").post(CALL).await.unwrap()).await;
    assert_eq!(status, 401);
    assert!(challenge.contains("invalid_token"), "{challenge}");
    let log = process.log();
    for secret in [token.as_str(), "s3cret%", "first-s3cret"] {
        assert!(!log.contains(secret), "{log}");
    }
    for seen in backend.seen() {
        assert!(!seen.headers.contains_key("authorization"), "{:?}", seen.method);
    }
}

#[tokio::test]
async fn a_token_without_a_scope_is_told_which_to_ask_for() {
    let fixture = fixture(", requiredScopes: [tools, 'mcp:read']").await;
    let mut claims = fixture.two.claims("alice");
    claims["scope"] = json!("openid tools mcp:read");
    let owner = fixture.connect(&fixture.two.key().sign(&claims)).await;
    assert_eq!(count(&owner).await, "1");
    claims["scope"] = json!("openid tools");
    let poor = showing(&owner, &fixture.two.key().sign(&claims));
    let calls = fixture.backend.counters().calls("count");
    for request in every_request() {
        let (status, challenge, body) = told(send(&poor, &request).await).await;
        assert_eq!(status, 403, "{request:?}");
        assert_eq!(body["error"], "insufficient_scope", "{request:?}");
        let metadata = fixture.process.url_of("/.well-known/oauth-protected-resource/mcp");
        let way = format!(
            "Bearer resource_metadata=\"{metadata}\", scope=\"openid tools mcp:read\", error=\"insufficient_scope\", "
        );
        assert!(challenge.starts_with(&way), "{challenge}");
    }
    assert_eq!(fixture.backend.counters().calls("count"), calls);
    // The other issuer asks for nothing, and is told first to those without a token.
    let other = fixture.connect(&fixture.one.token("bob")).await;
    assert_eq!(count(&other).await, "1");
    let none = Client::new(&fixture.process.url());
    let (status, challenge, _) = told(none.send(Method::GET, &[], "".into()).await.unwrap()).await;
    assert_eq!(status, 401);
    assert!(challenge.ends_with("scope=\"openid\""), "{challenge}");
}
