//! Tokens that are bound to a key, each request with a proof of it.

use bytes::Bytes;
use http::Method;
use serde_json::json;
use vmcp_testkit::{
    client::{Client, Response},
    gateway::Gateway,
    identity::{AUDIENCE, IdentityProvider, SigningKey},
    peers,
};

use super::{CALL, INITIALIZE, RESOURCE, authorized, guarded, told};
use crate::serve;

/// A client that proves with each request that it has a key.
struct Bound {
    client: Client,
    key: SigningKey,
    token: String,
    /// The URL of the endpoint as it has it.
    url: String,
}

impl Bound {
    fn new(client: &Client, provider: &IdentityProvider, url: &str) -> Self {
        let key = SigningKey::es256("of the client");
        let mut claims = provider.claims("alice");
        claims["cnf"] = json!({"jkt": key.thumbprint()});
        let token = provider.key().sign(&claims);
        let client = authorized(client, &format!("DPoP {token}"));
        Self { client, key, token, url: url.to_owned() }
    }

    async fn send(&self, method: Method, body: &'static str) -> Response {
        let proof = self.key.proof(method.as_str(), &self.url, &self.token);
        self.with_proof(method, body, &proof).await
    }

    async fn with_proof(&self, method: Method, body: &'static str, proof: &str) -> Response {
        let body = Bytes::from_static(body.as_bytes());
        self.client.send(method, &[("dpop", proof)], body).await.unwrap()
    }

    async fn initialize(&mut self) {
        let answer = self.send(Method::POST, INITIALIZE).await;
        assert_eq!(answer.status(), 200);
        let session = answer.header("mcp-session-id").unwrap().to_owned();
        self.client = self.client.clone().with_session(&session, "2025-11-25");
    }
}

#[tokio::test]
async fn each_request_needs_a_proof_of_its_own() {
    let guarded = guarded().await;
    let anybody = Client::new(&guarded.process.url());
    let mut bound = Bound::new(&anybody, &guarded.provider, RESOURCE);
    bound.initialize().await;
    for _call in 0..3 {
        assert_eq!(bound.send(Method::POST, CALL).await.status(), 200);
    }
    assert_eq!(guarded.backend.counters().calls("count"), 3);
    let used = bound.key.proof("POST", RESOURCE, &bound.token);
    assert_eq!(bound.with_proof(Method::POST, CALL, &used).await.status(), 200);
    let elsewhere = bound.key.proof("POST", &guarded.process.url(), &bound.token);
    let thief = SigningKey::es256("x").proof("POST", RESOURCE, &bound.token);
    for (proof, why) in [
        (&*used, "was used before"),
        (&elsewhere, "for another URL"),
        (&thief, "of another key"),
        (&bound.key.proof("GET", RESOURCE, &bound.token), "for another HTTP method"),
        (&bound.key.proof("POST", RESOURCE, "other"), "for another token"),
        ("", "malformed"),
    ] {
        let answer = bound.with_proof(Method::POST, CALL, proof).await;
        let (status, challenge, body) = told(answer).await;
        assert_eq!((status, &body["error"]), (401, &json!("invalid_dpop_proof")), "{body}");
        assert!(body["error_description"].as_str().unwrap().contains(why), "{body}");
        assert!(challenge.starts_with("DPoP error=\"invalid_dpop_proof\", "), "{challenge}");
        assert!(challenge.ends_with("EdDSA\""), "{challenge}");
    }
    // As somebody's who has only the token.
    let bearer = authorized(&bound.client, &format!("Bearer {}", bound.token));
    let (status, challenge, _) = told(bearer.post(CALL).await.unwrap()).await;
    assert_eq!(status, 401);
    assert!(challenge.contains("is bound to a key"), "{challenge}");
    assert_eq!(guarded.backend.counters().calls("count"), 4);
    assert_eq!(bound.send(Method::GET, "").await.status(), 200);
    assert_eq!(bound.send(Method::DELETE, "").await.status(), 200);
    for seen in guarded.backend.seen() {
        assert!(!seen.headers.contains_key("dpop"), "{:?}", seen.method);
    }
}

#[tokio::test]
async fn without_a_resource_a_proof_is_for_the_url_that_was_asked() {
    let backend = peers::stateful().start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    let incoming = format!(
        "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, insecureAllowHttp: true, jwksAllowPrivateIp: true}}",
        provider.issuer()
    );
    let gateway = Gateway::before(&[("a", backend.url())])
        .incoming(&incoming)
        .with("allowedHosts: [mcp.example.com]\ntrustedProxies: [127.0.0.1]");
    let process = serve(&gateway).await;
    let anybody = Client::new(&process.url());
    let direct = Bound::new(&anybody, &provider, &process.url());
    assert_eq!(direct.send(Method::POST, INITIALIZE).await.status(), 200);
    let passed_on = anybody
        .with_header("x-forwarded-for", "192.0.2.1")
        .with_header("x-forwarded-proto", "https")
        .with_header("x-forwarded-host", "mcp.example.com");
    let public = Bound::new(&passed_on, &provider, "https://mcp.example.com/mcp");
    assert_eq!(public.send(Method::POST, INITIALIZE).await.status(), 200);
    let inside = Bound::new(&passed_on, &provider, &process.url());
    assert_eq!(inside.send(Method::POST, INITIALIZE).await.status(), 401);
}
