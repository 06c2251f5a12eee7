//! Callers with tokens of an authorization server that somebody else has written (npm's oidc-provider).

use std::{io::Write as _, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};
use vmcp_testkit::{
    client::Client,
    gateway::{Gateway, eventually},
    identity::{AUDIENCE, SigningKey},
    peers,
    process::{Process, Program},
    raw::Running,
};

use crate::serve;

mod shown;

/// What stands before the colon of HTTP Basic and behind it, encoded as RFC 6749 wants it: by hand, so that
/// nothing is shared with the code that is tested.
const CALLER: &str = "caller%3Aone:p%40ss%3A+word%25%2B";
const OTHER: &str = "caller-two:two";

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

struct Fixture {
    issuer: Process,
    /// Where the issuer has written the key of its client `vmcp-key`.
    folder: TempDir,
    /// That of vmcp as a client of the issuer.
    secret: NamedTempFile,
    backend: Running,
}

async fn fixture() -> Fixture {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["{port}", folder.path().to_str().unwrap()];
    let program = Program::new(root.join("tools/issuer/run"), &arguments)
        .ready_path("/.well-known/openid-configuration");
    let issuer = program.start().await.unwrap();
    let mut secret = NamedTempFile::new().unwrap();
    secret.write_all(b"s3cret: %+&=\n").unwrap();
    Fixture { issuer, folder, secret, backend: peers::stateful().start().await.unwrap() }
}

impl Fixture {
    /// vmcp before the backend, which takes tokens of the issuer. `keys` are more of its keys.
    async fn vmcp(&self, keys: &str) -> Process {
        serve(&self.gateway(keys)).await
    }

    fn gateway(&self, keys: &str) -> Gateway {
        let issuer = self.issuer.url_of("");
        Gateway::before(&[("a", self.backend.url())]).incoming(&format!(
            "type: oidc, oidc: {{issuer: '{issuer}', audience: {AUDIENCE}, insecureAllowHttp: true, \
             jwksAllowPrivateIp: true, introspectionUrl: '{issuer}/token/introspection', \
             clientId: 'vmcp:gateway', clientSecretFile: '{}'{keys}}}",
            self.secret.path().display()
        ))
    }

    async fn post(&self, path: &str, client: &str, proof: Option<&str>, form: String) -> Value {
        let basic = format!("Basic {}", STANDARD.encode(client));
        let mut headers = vec![
            ("authorization", basic.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        headers.extend(proof.map(|proof| ("dpop", proof)));
        let endpoint = Client::new(&self.issuer.url_of(path));
        let answer = endpoint.send(Method::POST, &headers, form.into()).await.unwrap();
        let status = answer.status();
        let body = answer.bytes().await.unwrap();
        assert_eq!(status, 200, "{body:?}");
        serde_json::from_slice(&body).unwrap_or_default()
    }

    /// A token of a client for itself.
    async fn token(&self, client: &str, resource: &str, proof: Option<&str>) -> String {
        let form = format!("grant_type=client_credentials&resource={resource}&scope=tools");
        let given = self.post("/token", client, proof, form).await;
        given["access_token"].as_str().unwrap().to_owned()
    }

    async fn revoke(&self, client: &str, token: &str) {
        self.post("/token/revocation", client, None, format!("token={token}")).await;
    }
}

async fn connect(vmcp: &Process, token: &str) -> Client {
    let client = Client::new(&vmcp.url()).with_header("authorization", &format!("Bearer {token}"));
    let mut client = client;
    client.initialize().await.unwrap();
    client
}

async fn count(client: &Client) -> String {
    client.call("9", "a_count", "{}").await.unwrap().text().unwrap()
}

#[tokio::test]
async fn opaque_tokens_are_asked_about_until_they_are_revoked() {
    let fixture = fixture().await;
    let vmcp = fixture.vmcp(", requiredScopes: [tools], introspectionInterval: 1s").await;
    let token = fixture.token(CALLER, "urn:vmcp", None).await;
    assert!(!token.contains('.'), "it says nothing itself: {token}");
    let owner = connect(&vmcp, &token).await;
    assert_eq!(count(&owner).await, "1");
    // A token of the same client goes on, one of another does not.
    let second = fixture.token(CALLER, "urn:vmcp", None).await;
    let showing =
        |token: &str| owner.clone().with_header("authorization", &format!("Bearer {token}"));
    assert_eq!(count(&showing(&second)).await, "2");
    let other = fixture.token(OTHER, "urn:vmcp", None).await;
    let thief = showing(&other).post(INITIALIZE.replace("initialize", "ping")).await.unwrap();
    assert_eq!(thief.status(), 404);
    fixture.revoke(CALLER, &token).await;
    eventually("the revoked token is no good", async || {
        (owner.post(INITIALIZE).await.unwrap().status() == 401).then_some(())
    })
    .await;
    assert_eq!(count(&showing(&second)).await, "3");
    // What the issuer does not take for a token of its own is no good either, and it is there.
    for strange in ["nonsense", "a.b.c", "eyJhbGciOiJub25lIn0.e30.e30.e30.e30"] {
        assert_eq!(showing(strange).post(INITIALIZE).await.unwrap().status(), 401, "{strange}");
    }
}

#[tokio::test]
async fn jwts_and_opaque_tokens_are_those_of_one_caller() {
    let fixture = fixture().await;
    let vmcp = fixture.vmcp("").await;
    let opaque = fixture.token(CALLER, "urn:vmcp", None).await;
    let jwt = fixture.token(CALLER, "urn:vmcp:jwt", None).await;
    assert!(jwt.starts_with("eyJ"), "{jwt}");
    let owner = connect(&vmcp, &opaque).await;
    assert_eq!(count(&owner).await, "1");
    let showing = owner.clone().with_header("authorization", &format!("Bearer {jwt}"));
    assert_eq!(count(&showing).await, "2");
}

#[tokio::test]
async fn tokens_that_are_bound_to_a_key_need_proofs() {
    let fixture = fixture().await;
    let vmcp = fixture.vmcp("").await;
    let key = SigningKey::es256("of the client");
    for resource in ["urn:vmcp", "urn:vmcp:jwt"] {
        let proof = key.proof("POST", &fixture.issuer.url_of("/token"), "");
        let token = fixture.token(CALLER, resource, Some(&proof)).await;
        let shown = format!("DPoP {token}");
        let proof = key.proof("POST", &vmcp.url(), &token);
        let anybody = Client::new(&vmcp.url());
        let headers = [("authorization", shown.as_str()), ("dpop", proof.as_str())];
        let answer =
            anybody.send(Method::POST, &headers, Bytes::from_static(INITIALIZE.as_bytes()));
        assert_eq!(answer.await.unwrap().status(), 200, "{resource}");
        let bearer = anybody.with_header("authorization", &format!("Bearer {token}"));
        let answer = bearer.post(INITIALIZE).await.unwrap();
        assert_eq!(answer.status(), 401, "{resource}");
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(body["error"], json!("invalid_token"), "{resource}");
    }
}
