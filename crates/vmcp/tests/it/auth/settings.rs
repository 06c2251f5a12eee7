//! Every key of `incomingAuth` does something.

use std::fs;

use rustix::process::Signal;
use vmcp_testkit::{
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    identity::{AUDIENCE, IdentityProvider},
    peers,
    process::{Process, Program},
    raw::Running,
};

use super::{INITIALIZE, count, guarded, oidc, told};
use crate::{connect, serve};

const BOTH: &str = "insecureAllowHttp: true, jwksAllowPrivateIp: true";

async fn before(backend: &Running, incoming: &str) -> Process {
    serve(&Gateway::before(&[("a", backend.url())]).incoming(incoming)).await
}

/// The status of an `initialize` with a good token.
async fn opened(process: &Process, provider: &IdentityProvider) -> u16 {
    let token = format!("Bearer {}", provider.token("alice"));
    let client = Client::new(&process.url()).with_header("authorization", &token);
    client.post(INITIALIZE).await.unwrap().status().into()
}

#[tokio::test]
async fn where_keys_come_from() {
    let backend = peers::stateful().start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    let elsewhere = IdentityProvider::start().await.unwrap();
    elsewhere.set_keys(&[&provider.key()]);
    let keys = format!("{BOTH}, jwksUrl: '{}'", elsewhere.jwks_url());
    let process = before(&backend, &oidc(&provider.issuer(), &keys)).await;
    assert_eq!(opened(&process, &provider).await, 200);
    assert_eq!((provider.discoveries(), provider.key_fetches()), (0, 0));
    assert!(elsewhere.key_fetches() > 0);
}

#[tokio::test]
async fn which_addresses_may_be_asked() {
    let backend = peers::stateful().start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    for (keys, expected) in [
        ("insecureAllowHttp: true", 503),
        ("insecureAllowHttp: true, jwksAllowPrivateIp: false", 503),
        ("insecureAllowHttp: true, jwksAllowPrivateIp: true", 200),
        ("insecureAllowHttp: true, protectedResourceAllowPrivateIp: true", 200),
    ] {
        let asked = provider.discoveries();
        let process = before(&backend, &oidc(&provider.issuer(), keys)).await;
        assert_eq!(opened(&process, &provider).await, expected, "{keys}");
        let said = "which is not a public address";
        if expected == 503 {
            process.logged(said).await;
        }
        assert_eq!(process.log().contains(said), expected == 503, "{}", process.log());
        assert_eq!(provider.discoveries() > asked, expected == 200, "{keys}");
    }
    // Without TLS nothing starts, unless that is allowed.
    let refused = Gateway::before(&[("a", backend.url())])
        .incoming(&oidc(&provider.issuer(), "jwksAllowPrivateIp: true"))
        .start(env!("CARGO_BIN_EXE_vmcp"))
        .await;
    let why = format!("{:#}", refused.unwrap_err());
    assert!(why.contains("is not an https URL"), "{why}");
}

#[tokio::test]
async fn who_vouches_for_the_issuer() {
    let backend = peers::stateful().start().await.unwrap();
    let provider = IdentityProvider::start_with_tls().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("ca.pem");
    fs::write(&bundle, provider.authority()).unwrap();
    let keys = format!("jwksAllowPrivateIp: true, caBundlePath: '{}'", bundle.display());
    let process = before(&backend, &oidc(&provider.issuer(), &keys)).await;
    assert_eq!(opened(&process, &provider).await, 200, "{}", process.log());
    let stranger = IdentityProvider::start_with_tls().await.unwrap();
    fs::write(&bundle, stranger.authority()).unwrap();
    let process = before(&backend, &oidc(&provider.issuer(), &keys)).await;
    assert_eq!(opened(&process, &provider).await, 503);
}

#[tokio::test]
async fn what_clients_are_told() {
    let backend = peers::stateful().start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    for (scopes, expected) in [
        ("", "scope=\"openid\""),
        (", scopes: [openid, 'mcp:tools']", "scope=\"openid mcp:tools\""),
        (", scopes: []", "oauth-protected-resource/mcp\""),
    ] {
        let keys = format!("{BOTH}{scopes}");
        let process = before(&backend, &oidc(&provider.issuer(), &keys)).await;
        let answer = Client::new(&process.url()).post(INITIALIZE).await.unwrap();
        let (status, challenge, _) = told(answer).await;
        assert_eq!(status, 401);
        assert!(challenge.ends_with(expected), "{challenge}");
    }
    let issuer = provider.issuer();
    let without = format!("type: oidc, oidc: {{issuer: '{issuer}', audience: {AUDIENCE}, {BOTH}}}");
    let process = before(&backend, &without).await;
    let answer = Client::new(&process.url()).post(INITIALIZE).await.unwrap();
    let metadata = process.url_of("/.well-known/oauth-protected-resource");
    let expected = format!("Bearer resource_metadata=\"{metadata}/mcp\", scope=\"openid\"");
    assert_eq!(told(answer).await.1, expected);
    assert_eq!(fetch(&metadata).await.unwrap().0, 200);
    process.logged("without a resource").await;
}

#[tokio::test]
async fn nobody_is_asked_for_proof() {
    let backend = peers::stateful().start().await.unwrap();
    for incoming in ["type: anonymous", "type: local"] {
        let process = before(&backend, incoming).await;
        let client = connect(&process).await;
        for value in ["Bearer whatever", "Basic YTpi", ""] {
            client
                .clone()
                .with_header("authorization", value)
                .call("1", "a_count", "{}")
                .await
                .unwrap();
        }
        assert_eq!(count(&client).await, "4", "{incoming}");
    }
}

/// One address may be that of many callers, and one caller may have many.
#[tokio::test]
async fn sessions_are_counted_by_principal() {
    let backend = peers::stateful().start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())])
        .incoming(&oidc(&provider.issuer(), BOTH))
        .with("limits: {sessionsPerClient: 2}");
    let process = serve(&gateway).await;
    let mut statuses = Vec::new();
    for subject in ["alice", "alice", "alice", "bob", "bob", "bob", "carol"] {
        let token = format!("Bearer {}", provider.token(subject));
        let client = Client::new(&process.url()).with_header("authorization", &token);
        statuses.push(client.post(INITIALIZE).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 429, 200, 200, 429, 200]);
}

#[tokio::test]
async fn strangers_are_warned_of() {
    let backend = peers::stateful().start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    let beyond = "listening beyond this machine";
    for (incoming, warning) in [
        ("type: anonymous".to_owned(), Some("without incoming authentication")),
        ("type: local".to_owned(), Some("as the user who runs vmcp")),
        (oidc(&provider.issuer(), BOTH), None),
    ] {
        let gateway = Gateway::before(&[("a", backend.url())]).incoming(&incoming);
        let arguments = ["serve", "--config", "{config}", "--host", "0.0.0.0", "--port", "{port}"];
        let program = Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments).config(&gateway.yaml());
        let process = program.start().await.unwrap();
        for warning in warning.into_iter().chain(warning.map(|_| beyond)) {
            process.logged(warning).await;
        }
        let log = process.logged("\"serving\"").await;
        assert_eq!(log.contains(beyond), warning.is_some(), "{log}");
    }
}

#[tokio::test]
async fn a_change_takes_effect_at_the_next_start() {
    let guarded = guarded().await;
    let client = guarded.connect("alice").await;
    let anonymous = Gateway::before(&[("a", guarded.backend.url())]);
    guarded.process.write_config(&anonymous.yaml()).unwrap();
    guarded.process.signal(Signal::HUP).unwrap();
    eventually("it is named", async || {
        let log = guarded.process.log();
        let named = |line: &&str| line.contains("take effect at the next start");
        log.lines().find(named).map(|line| assert!(line.contains("incomingAuth"), "{line}"))
    })
    .await;
    assert_eq!(Client::new(&guarded.process.url()).post(INITIALIZE).await.unwrap().status(), 401);
    assert_eq!(count(&client).await, "1");
}
