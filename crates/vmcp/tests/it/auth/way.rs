//! The way to a token: metadata of the protected resource (RFC 9728).

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use vmcp_testkit::{
    client::{Client, fetch},
    gateway::Gateway,
    peers,
};

use super::{RESOURCE, gateway, guarded};
use crate::serve;

const METADATA: &str = "/.well-known/oauth-protected-resource";

#[tokio::test]
async fn metadata_is_for_everybody() {
    let guarded = guarded().await;
    for path in ["", "/mcp", "/mcp/"] {
        let url = guarded.process.url_of(&format!("{METADATA}{path}"));
        let (status, text) = fetch(&url).await.unwrap();
        assert_eq!(status, 200, "{path}");
        let metadata: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            metadata,
            json!({
                "resource": RESOURCE,
                "authorization_servers": [guarded.provider.issuer()],
                "scopes_supported": ["openid"],
                "bearer_methods_supported": ["header"],
                "dpop_signing_alg_values_supported": [
                    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
                ],
            })
        );
        let client = Client::new(&url);
        assert_eq!(client.post("{}").await.unwrap().status(), 405);
        let strange = client.with_header("host", "evil.example.com");
        let answer = strange.send(Method::GET, &[], Bytes::new()).await.unwrap();
        assert_eq!(answer.status(), 403);
    }
    for path in ["/", "/other", "s"] {
        let url = guarded.process.url_of(&format!("{METADATA}{path}"));
        assert_eq!(fetch(&url).await.unwrap().0, 404, "{path}");
    }
}

#[tokio::test]
async fn a_page_may_read_it() {
    let guarded = guarded().await;
    let gateway = gateway(&guarded.backend, &guarded.provider)
        .with("allowedOrigins: ['https://console.example.com']");
    let process = serve(&gateway).await;
    let origin = ("origin", "https://console.example.com");
    let client = Client::new(&process.url_of(METADATA));
    let answer = client.send(Method::GET, &[origin], Bytes::new()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin.1));
    let preflight = client.send(Method::OPTIONS, &[origin], Bytes::new()).await.unwrap();
    assert_eq!(preflight.status(), 204);
    // Nobody has a token when it asks whether it may send one.
    let endpoint = client.at(&process.url());
    let preflight = endpoint.send(Method::OPTIONS, &[origin], Bytes::new()).await.unwrap();
    assert_eq!(preflight.status(), 204);
    let allowed = preflight.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("authorization"), "{allowed}");
    let refused = endpoint.send(Method::POST, &[origin], Bytes::new()).await.unwrap();
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.header("access-control-allow-origin"), Some(origin.1));
    let exposed = refused.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("www-authenticate"), "{exposed}");
}

#[tokio::test]
async fn without_a_resource_there_is_none() {
    let backend = peers::stateful().start().await.unwrap();
    for incoming in ["type: anonymous", "type: local"] {
        let gateway = Gateway::before(&[("a", backend.url())]).incoming(incoming);
        let process = serve(&gateway).await;
        for path in ["", "/mcp"] {
            let url = process.url_of(&format!("{METADATA}{path}"));
            assert_eq!(fetch(&url).await.unwrap().0, 404, "{incoming} {path}");
        }
    }
}
