//! `admin.auth`: who may ask for `/status`, on either listener.

use std::fs;

use bytes::Bytes;
use http::Method;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use vmcp_testkit::{
    client::{Client, fetch},
    gateway::Gateway,
    identity::{AUDIENCE, IdentityProvider},
    peers,
    process::{Process, Program, free_port},
    raw::Running,
};

use super::get;
use crate::serve;

const ROUTES: [&str; 2] = ["/status", "/api/backends/health"];
const TOKEN: &str = "a-token-of-operators";
const PASSED_ON: (&str, &str) = ("x-forwarded-for", "192.0.2.1");

/// A gateway with a listener for operators, whose URL is given, too.
async fn fixture(auth: &str) -> (Running, Process, String) {
    let backend = peers::stateful().start().await.unwrap();
    let admin = free_port().unwrap();
    let section = format!("admin: {{listen: '127.0.0.1:{admin}', auth: {{{auth}}}}}");
    let process = serve(&Gateway::before(&[("a", backend.url())]).with(&section)).await;
    (backend, process, format!("http://127.0.0.1:{admin}"))
}

async fn status(url: &str, headers: &[(&str, &str)]) -> u16 {
    get(url, headers).await.status().as_u16()
}

/// The URLs of everything that is for operators.
fn all(process: &Process, admin: &str) -> Vec<String> {
    let on = |base: &str| ROUTES.map(|route| format!("{base}{route}"));
    [on(&process.url_of("")), on(admin)].concat()
}

#[tokio::test]
async fn without_a_proof_this_machine_may_read() {
    let (_backend, process, admin) = fixture("type: none").await;
    for url in all(&process, &admin) {
        assert_eq!(status(&url, &[]).await, 200, "{url}");
        assert_eq!(status(&url, &[("authorization", "Bearer whatever")]).await, 200, "{url}");
        let (refused, told) = super::json(&url, &[PASSED_ON]).await;
        assert_eq!(refused, 403, "{url}");
        assert!(told.to_string().contains("set admin.auth.type to token"), "{told}");
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let answer = Client::new(&url).send(method, &[], Bytes::new()).await.unwrap();
            assert_eq!(answer.status(), 405, "{url}");
            assert_eq!(answer.header("allow"), Some("GET, HEAD"), "{url}");
        }
        let page = ("origin", "http://localhost:3000");
        let answer = Client::new(&url).send(Method::OPTIONS, &[page], Bytes::new()).await.unwrap();
        assert_eq!(answer.status(), 204, "{url}");
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET, HEAD"), "{url}");
        let allowed = answer.header("access-control-allow-headers").unwrap();
        assert!(allowed.contains("authorization"), "{allowed}");
    }
}

#[tokio::test]
async fn a_token_lets_operators_in_from_anywhere() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    let auth = format!("type: token, tokenFile: '{}'", file.display());
    let (_backend, process, admin) = fixture(&auth).await;
    let good = ("authorization", &*format!("Bearer {TOKEN}"));
    for url in all(&process, &admin) {
        let refused = get(&url, &[]).await;
        assert_eq!(refused.status(), 401, "{url}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"vmcp admin\""));
        for (value, error) in [
            ("Bearer a-token-of-operatorS", "invalid_token"),
            ("Bearer a-token-of-operators-and-more", "invalid_token"),
            ("Basic YTpi", "realm"),
        ] {
            let refused = get(&url, &[("authorization", value)]).await;
            assert_eq!(refused.status(), 401, "{url} {value}");
            let challenge = refused.header("www-authenticate").unwrap();
            assert!(challenge.contains(error), "{challenge}");
        }
        for headers in [&[good][..], &[good, PASSED_ON]] {
            assert_eq!(status(&url, headers).await, 200, "{url}");
        }
        let answer = Client::new(&url).send(Method::POST, &[good], Bytes::new()).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.header("allow")), (405, Some("GET, HEAD")));
    }
    // Probes are for everybody.
    for base in [process.url_of(""), admin.clone()] {
        for probe in ["/health", "/ping", "/readyz"] {
            assert_eq!(status(&format!("{base}{probe}"), &[PASSED_ON]).await, 200, "{probe}");
        }
    }
    // The token is exchanged, and nothing is started anew.
    fs::write(&file, "another-token-of-operators").unwrap();
    let url = format!("{admin}/status");
    assert_eq!(status(&url, &[good]).await, 401);
    let other = ("authorization", "Bearer another-token-of-operators");
    assert_eq!(status(&url, &[other]).await, 200);
    fs::remove_file(&file).unwrap();
    assert_eq!(status(&url, &[other]).await, 503);
    process.logged("operators are refused meanwhile").await;
    // Nobody will ever write to it.
    mknodat(CWD, &file, FileType::Fifo, Mode::RWXU, 0).unwrap();
    assert_eq!(status(&url, &[other]).await, 503);
    process.logged("is not a regular file").await;
    fs::remove_file(&file).unwrap();
    fs::write(&file, TOKEN).unwrap();
    assert_eq!(status(&url, &[good]).await, 200);
    let log = process.logged("can be read again").await;
    assert!(!log.contains(TOKEN) && !log.contains("another-token"), "{log}");
    assert!(!log.contains("reloaded"), "{log}");
}

#[tokio::test]
async fn a_token_that_is_made_is_in_no_log() {
    let (_backend, process, admin) = fixture("type: token").await;
    let log = process.logged("set admin.auth.tokenFile").await;
    // 32 bytes in Base64.
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let words = log.split(|c| !is_of_token(c));
    assert!(words.into_iter().all(|word| word.len() != 43), "{log}");
    assert_eq!(status(&format!("{admin}/status"), &[]).await, 401);
}

/// The same tokens as of callers, and a role in them.
#[tokio::test]
async fn a_role_of_the_issuer_makes_an_operator() {
    let backend = peers::stateful().start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    let admin = free_port().unwrap();
    let incoming = format!(
        "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, resource: 'https://mcp.example/mcp', \
         insecureAllowHttp: true, jwksAllowPrivateIp: true}}",
        provider.issuer()
    );
    let auth = "{type: oidc, roles: [admin, ops], rolesClaim: realm_access.roles}";
    let gateway = Gateway::before(&[("a", backend.url())])
        .incoming(&incoming)
        .with(&format!("admin: {{listen: '127.0.0.1:{admin}', auth: {auth}}}"));
    let process = serve(&gateway).await;
    let admin = format!("http://127.0.0.1:{admin}");
    let token = |access: Value| {
        let mut claims = provider.claims("alice");
        claims["realm_access"] = access;
        format!("Bearer {}", provider.key().sign(&claims))
    };
    let operator = token(json!({"roles": ["dev", "ops"]}));
    let caller = token(json!({"roles": ["dev"]}));
    let mut forged = operator.clone();
    forged.truncate(forged.len() - 8);
    for url in all(&process, &admin) {
        let asked = async |value: &str, more: &[(&str, &str)]| {
            get(&url, &[&[("authorization", value)], more].concat()).await
        };
        assert_eq!(asked(&operator, &[]).await.status(), 200, "{url}");
        assert_eq!(asked(&operator, &[PASSED_ON]).await.status(), 200, "{url}");
        let refused = asked(&caller, &[]).await;
        assert_eq!(refused.status(), 403, "{url}");
        let told = refused.bytes().await.unwrap();
        assert!(String::from_utf8_lossy(&told).contains("admin.auth.roles"), "{told:?}");
        assert_eq!(asked(&forged, &[]).await.status(), 401, "{url}");
        let refused = get(&url, &[]).await;
        assert_eq!(refused.status(), 401, "{url}");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"vmcp admin\""));
    }
    let calling = Client::new(&process.url()).with_header("authorization", &caller);
    assert_eq!(calling.post(super::INITIALIZE).await.unwrap().status(), 200, "it may call");
}

/// A listener that other machines reach goes on, for its probes; whoever is here may ask there.
#[tokio::test]
async fn a_listener_for_others_is_warned_of() {
    let backend = peers::stateful().start().await.unwrap();
    let admin = free_port().unwrap();
    let gateway = Gateway::before(&[("a", backend.url())])
        .with(&format!("admin: {{listen: '0.0.0.0:{admin}'}}"));
    let process = serve(&gateway).await;
    process.logged("set admin.auth.type to token or oidc").await;
    let admin = format!("http://127.0.0.1:{admin}");
    assert_eq!(fetch(&format!("{admin}/readyz")).await.unwrap().0, 200);
    assert_eq!(status(&format!("{admin}/status"), &[]).await, 200);
    assert_eq!(status(&format!("{admin}/status"), &[PASSED_ON]).await, 403);
}

#[tokio::test]
async fn where_operators_are_listened_to_is_told() {
    let backend = peers::stateful().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("admin: {listen: '127.0.0.1:0'}");
    let process = serve(&gateway).await;
    let log = process.logged("serving operators").await;
    let line = log.lines().find(|line| line.contains("serving operators")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let url = line.to_string();
    let url = url.split('"').find(|text| text.ends_with("/status")).unwrap();
    assert_eq!(status(url, &[]).await, 200, "{url}");
}

#[tokio::test]
async fn a_proof_that_nobody_can_show_is_warned_of() {
    let backend = peers::stateful().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("admin: {auth: {type: token}}");
    let arguments = ["serve", "--config", "{config}", "--host", "0.0.0.0", "--port", "{port}"];
    let program = Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments).config(&gateway.yaml());
    let process = program.start().await.unwrap();
    process.logged("admin.auth has no effect").await;
    assert_eq!(fetch(&process.url_of("/status")).await.unwrap().0, 404);
}
