//! Backends that are shown signatures of AWS: STS is somebody else's (PyPI's moto), and so is whoever judges
//! signatures (PyPI's botocore).

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use vmcp_testkit::{
    client::{Client, fetch},
    conformance::{self, Part},
    gateway::{Gateway, eventually},
    identity::{AUDIENCE, IdentityProvider},
    peers,
    process::{Process, Program},
    raw::{Answer, Running, Seen, handler},
};

use crate::serve;

/// What stands behind the path of the backend: the order and the coding of a query are part of a signature.
const QUERY: &str = "?b=2&a=x%20y%2Fz&empty=&a=1";

struct Fixture {
    aws: Process,
    provider: IdentityProvider,
    backend: Running,
    other: Running,
}

async fn fixture() -> Fixture {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/aws/run");
    let aws = Program::new(tool, &["{port}"]).ready_path("/assumed").start().await.unwrap();
    Fixture {
        aws,
        provider: IdentityProvider::start().await.unwrap(),
        backend: peers::stateful().start().await.unwrap(),
        other: peers::stateful().start().await.unwrap(),
    }
}

impl Fixture {
    fn target(&self) -> String {
        self.backend.url() + QUERY
    }

    /// vmcp before a backend that takes signatures, and one that takes anything. `sts` is a path.
    async fn vmcp(&self, sts: &str) -> Process {
        serve(&self.gateway(sts)).await
    }

    fn gateway(&self, sts: &str) -> Gateway {
        Gateway::before(&[("a", format!("'{}'", self.target())), ("b", self.other.url())])
            .incoming(&format!(
                "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, resource: 'https://mcp.example/mcp', \
                 insecureAllowHttp: true, jwksAllowPrivateIp: true}}",
                self.provider.issuer()
            ))
            .with(&format!(
                "outgoingAuth:
  backends:
    a:
      type: aws_sts
      awsSts:
        region: eu-west-1
        service: bedrock-agentcore
        stsEndpoint: '{}'
        roleClaim: realm_access.roles
        roleMappings:
          - {{claim: readers, roleArn: 'arn:aws:iam::123456789012:role/readers'}}
          - {{matcher: \"claims.email.endsWith('@example.org')\", priority: 1, roleArn: 'arn:aws:iam::123456789012:role/staff'}}",
                self.aws.url_of(sts)
            ))
    }

    async fn connect(&self, vmcp: &Process, subject: &str, more: &Value) -> Client {
        let mut client =
            Client::new(&vmcp.url()).with_header("authorization", &self.shown(subject, more));
        client.initialize().await.unwrap();
        client
    }

    /// A token that says more of its subject.
    fn shown(&self, subject: &str, more: &Value) -> String {
        let mut claims = self.provider.claims(subject);
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("Bearer {}", self.provider.key().sign(&claims))
    }

    async fn asked(&self, path: &str, asked: &Value) -> Value {
        let client = Client::new(&self.aws.url_of(path));
        let answer = client.send(Method::POST, &[], asked.to_string().into()).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// What botocore says of a request.
    async fn judged(&self, seen: &Seen) -> Value {
        let headers = seen.headers.iter();
        let headers: Vec<_> =
            headers.map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        let asked = json!({
            "method": seen.verb.as_str(),
            "url": self.target(),
            "headers": headers,
            "body": STANDARD.encode(&seen.body),
        });
        self.asked("/judge", &asked).await
    }

    /// The sessions of roles that STS has given.
    async fn assumed(&self) -> Vec<Value> {
        let (_, said) = fetch(&self.aws.url_of("/assumed")).await.unwrap();
        serde_json::from_slice(&said).unwrap()
    }
}

async fn count(client: &Client, id: usize) -> String {
    client.call(&id.to_string(), "a_count", "{}").await.unwrap().text().unwrap()
}

#[tokio::test]
async fn every_request_is_signed_by_the_role_of_its_caller() {
    let fixture = fixture().await;
    let vmcp = fixture.vmcp("/").await;
    for (subject, claims, role, session) in [
        ("alice", json!({"realm_access": {"roles": ["readers"]}}), "readers", "alice"),
        ("auth0|bob", json!({"email": "bob@example.org"}), "staff", "auth0-bob"),
        // The same caller in another role.
        ("alice", json!({"email": "alice@example.org"}), "staff", "alice"),
    ] {
        let before = fixture.backend.seen().len();
        let client = fixture.connect(&vmcp, subject, &claims).await;
        let stream = client.listen(None).await.unwrap();
        for id in 0..10 {
            assert_eq!(count(&client, id).await, (id + 1).to_string());
        }
        drop(stream);
        assert_eq!(client.delete().await.unwrap(), 200);
        let seen = eventually("the session at the backend is ended, too", async || {
            let seen = fixture.backend.seen().split_off(before);
            seen.iter().any(|seen| seen.verb == Method::DELETE).then_some(seen)
        })
        .await;
        assert!(seen.iter().any(|seen| seen.verb == Method::GET), "a stream: {seen:?}");
        for seen in &seen {
            let judged = fixture.judged(seen).await;
            let expected = json!({
                "role": format!("arn:aws:iam::123456789012:role/{role}"),
                "session": session,
                "right": true,
                "for": "bedrock-agentcore in eu-west-1",
            });
            assert_eq!(judged, expected, "{seen:?}");
        }
    }
    // One session of a role for each token, and nothing of what it holds is told.
    let assumed = fixture.assumed().await;
    assert_eq!(assumed.len(), 3, "{assumed:?}");
    let (_, status) = fetch(&vmcp.url_of("/status")).await.unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&status), vmcp.log());
    for secret in assumed.iter().flat_map(|one| one["secrets"].as_array().unwrap()) {
        assert!(!told.contains(secret.as_str().unwrap()), "{told}");
    }
}

/// However many calls wait for them, keys are asked for once.
#[tokio::test]
async fn keys_are_obtained_once() {
    let fixture = fixture().await;
    let vmcp = fixture.vmcp("/").await;
    let client =
        fixture.connect(&vmcp, "alice", &json!({"realm_access": {"roles": "readers"}})).await;
    let mut calls = JoinSet::new();
    for id in 0..50 {
        let client = client.clone();
        calls.spawn(async move { count(&client, id).await.parse::<u64>().unwrap() });
    }
    let mut counted = calls.join_all().await;
    counted.sort_unstable();
    assert_eq!(counted, (1..=50).collect::<Vec<_>>());
    assert_eq!(fixture.assumed().await.len(), 1);
}

#[tokio::test]
async fn who_gets_no_role_is_told_why_and_nothing_else() {
    let fixture = fixture().await;
    let vmcp = fixture.vmcp("/").await;
    let client = fixture.connect(&vmcp, "mallory", &json!({"email": 7})).await;
    let answer = client.call("1", "a_count", "{}").await.unwrap();
    let error = answer.error().unwrap();
    assert!(
        error.contains("is refused for this caller: nothing in roleMappings fits its token"),
        "{error}"
    );
    client.call("2", "b_count", "{}").await.unwrap().result().unwrap();
    assert_eq!(fixture.assumed().await.len(), 0);
    assert!(fixture.backend.seen().iter().all(|seen| seen.method != "tools/call"));

    let vmcp = fixture.vmcp("/refuses").await;
    let claims = json!({"realm_access": {"roles": ["readers"]}});
    let client = fixture.connect(&vmcp, "alice", &claims).await;
    let answer = client.call("1", "a_count", "{}").await.unwrap();
    let error = answer.error().unwrap();
    assert!(error.contains("STS refuses the role"), "{error}");
    assert!(error.contains("InvalidIdentityToken: no provider has given ***"), "{error}");
    assert!(!error.contains("eyJ") && !vmcp.log().contains("eyJ"), "{error}");
    client.call("2", "b_count", "{}").await.unwrap().result().unwrap();
}

/// Over HTTP+SSE a backend knows one caller a session: one that has lost its role does not go on in it.
#[tokio::test]
async fn a_session_over_sse_keeps_to_its_role() {
    let fixture = fixture().await;
    let old = conformance::start_sse(Part::All, 0).await.unwrap();
    let gateway =
        fixture.gateway("/").backend(&format!("name: old, url: '{}', transport: sse", old.url()));
    let text =
        gateway.yaml().replace("    a:\n      type: aws_sts", "    old:\n      type: aws_sts");
    let vmcp = Program::vmcp(env!("CARGO_BIN_EXE_vmcp"), &text).start().await.unwrap();
    let client =
        fixture.connect(&vmcp, "alice", &json!({"realm_access": {"roles": ["readers"]}})).await;
    let call =
        async |client: &Client| client.call("1", "old_test_simple_text", "{}").await.unwrap();
    call(&client).await.result().unwrap();
    for claims in [json!({}), json!({"email": "alice@example.org"})] {
        let other = client.clone().with_header("authorization", &fixture.shown("alice", &claims));
        let answer = call(&other).await;
        let error = answer.error().unwrap();
        assert!(error.contains("is that of another role than the session began in"), "{error}");
    }
    let renewed = json!({"realm_access": {"roles": ["readers", "guests"]}});
    let renewed = client.clone().with_header("authorization", &fixture.shown("alice", &renewed));
    call(&renewed).await.result().unwrap();
    let staff = fixture.connect(&vmcp, "alice", &json!({"email": "alice@example.org"})).await;
    call(&staff).await.result().unwrap();
}

/// AWS says 403 of keys that have ended: others are obtained, once.
#[tokio::test]
async fn keys_that_are_refused_are_obtained_anew_once() {
    let fixture = fixture().await;
    let vmcp = fixture.vmcp("/").await;
    let claims = json!({"realm_access": {"roles": ["readers"]}});
    let client = fixture.connect(&vmcp, "alice", &claims).await;
    assert_eq!(count(&client, 0).await, "1");
    let key = |headers: &HeaderMap| {
        let shown = headers["authorization"].to_str().unwrap().to_owned();
        let (_, rest) = shown.split_once("Credential=").unwrap();
        rest.split('/').next().unwrap().to_owned()
    };
    let first = key(&fixture.backend.seen().last().unwrap().headers);
    let refused =
        |body: &'static str| Answer::Http { status: 403, content_type: None, body: body.into() };
    fixture.backend.script(
        "tools/call",
        handler(move |call| {
            let is_first = key(&call.headers) == first;
            async move {
                if is_first { refused("ExpiredTokenException") } else { Answer::text("taken") }
            }
        }),
    );
    assert_eq!(count(&client, 1).await, "taken");
    assert_eq!(fixture.assumed().await.len(), 2);
    // Who may not do something is not asked about again and again.
    fixture
        .backend
        .script("tools/call", handler(move |_call| async move { refused("AccessDenied") }));
    for id in 2..12 {
        client.call(&id.to_string(), "a_count", "{}").await.unwrap().error().unwrap();
    }
    assert_eq!(fixture.assumed().await.len(), 2);
}
