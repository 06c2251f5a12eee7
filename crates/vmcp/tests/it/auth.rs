//! Who may call: access tokens, what becomes of requests without a good one, and whose a session is.

mod bound;
mod ends;
mod issuers;
mod keys;
mod refusals;
mod settings;
mod theft;
mod way;

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use vmcp_testkit::{
    client::{Client, Response},
    gateway::Gateway,
    identity::{AUDIENCE, IdentityProvider},
    peers,
    process::Process,
    raw::{RawServer, Running},
};

use crate::serve;

/// The endpoint's URL as its clients are told it.
const RESOURCE: &str = "https://mcp.example/mcp";

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a_count","arguments":{}}}"#;

/// A gateway that asks for tokens, before a backend that counts.
struct Guarded {
    backend: Running,
    provider: IdentityProvider,
    process: Process,
}

async fn guarded() -> Guarded {
    guarding(peers::stateful()).await
}

async fn guarding(backend: RawServer) -> Guarded {
    let backend = backend.start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    let process = serve(&gateway(&backend, &provider)).await;
    Guarded { backend, provider, process }
}

fn gateway(backend: &Running, provider: &IdentityProvider) -> Gateway {
    Gateway::before(&[("a", backend.url())])
        .incoming(&oidc(&provider.issuer(), "insecureAllowHttp: true, jwksAllowPrivateIp: true"))
}

/// `incomingAuth` for tokens of this issuer, with more keys.
fn oidc(issuer: &str, keys: &str) -> String {
    format!(
        "type: oidc, oidc: {{issuer: '{issuer}', audience: {AUDIENCE}, resource: '{RESOURCE}', {keys}}}"
    )
}

impl Guarded {
    /// A client that shows this token and has said nothing yet.
    fn client(&self, token: &str) -> Client {
        Client::new(&self.process.url()).with_header("authorization", &format!("Bearer {token}"))
    }

    /// A client with a session of its own.
    async fn connect(&self, subject: &str) -> Client {
        let mut client = self.client(&self.provider.token(subject));
        client.initialize().await.unwrap();
        client
    }
}

/// The same session, with another token.
fn showing(client: &Client, token: &str) -> Client {
    client.clone().with_header("authorization", &format!("Bearer {token}"))
}

/// The same session, with another value of the header.
fn authorized(client: &Client, value: &str) -> Client {
    client.clone().with_header("authorization", value)
}

/// Everything that a response says, but for the time of day.
async fn whole(response: Response) -> (u16, Vec<(String, String)>, Bytes) {
    let status = response.status().as_u16();
    let mut headers: Vec<_> = response
        .headers()
        .iter()
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (status, headers, response.bytes().await.unwrap())
}

/// The status of an answer, its challenge and its body.
async fn told(response: Response) -> (u16, String, Value) {
    let challenge = response.header("www-authenticate").unwrap_or_default().to_owned();
    let status = response.status().as_u16();
    let body = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default();
    (status, challenge, body)
}

/// A request: how it is sent, its body, and one more header.
type Request = (Method, &'static str, Option<(&'static str, &'static str)>);

/// Every kind of request that a session takes.
fn every_request() -> Vec<Request> {
    let message = |body| (Method::POST, body, None);
    vec![
        message(CALL),
        message(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#),
        message(r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#),
        message(
            r#"{"jsonrpc":"2.0","id":4,"method":"logging/setLevel","params":{"level":"debug"}}"#,
        ),
        message(r#"{"jsonrpc":"2.0","id":5,"method":"no/such"}"#),
        message(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
        message(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#),
        message(r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#),
        message(r#"{"jsonrpc":"2.0","id":"vmcp.a:0","result":{"action":"accept","content":{}}}"#),
        message(r#"{"jsonrpc":"2.0","id":"vmcp.a:0","error":{"code":-1,"message":"no"}}"#),
        message(r#"[{"jsonrpc":"2.0","id":6,"method":"ping"}]"#),
        (Method::GET, "", None),
        (Method::GET, "", Some(("last-event-id", "0-0"))),
        (Method::DELETE, "", None),
    ]
}

async fn send(client: &Client, (verb, body, extra): &Request) -> Response {
    let extra: Vec<_> = extra.iter().copied().collect();
    client.send(verb.clone(), &extra, Bytes::from_static(body.as_bytes())).await.unwrap()
}

async fn count(client: &Client) -> String {
    client.call("9", "a_count", "{}").await.unwrap().text().unwrap()
}
