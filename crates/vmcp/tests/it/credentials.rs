//! What a backend is shown that is obtained: tokens of vmcp's own, tokens for callers, and a file that changes.

use std::{collections::BTreeSet, fs, time::Duration};

use vmcp_testkit::{
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    identity::{AUDIENCE, IdentityProvider},
    peers,
    process::Process,
    raw::{Answer, RawServer, Running, Seen, handler},
    token_endpoint::{Given, TokenEndpoint},
};

use crate::serve;

const SECRET: &str = "s3cret-of-the-client";

/// What the backend was shown, each value once.
fn shown(backend: &Running) -> BTreeSet<String> {
    let value = |seen: &Seen| {
        seen.headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    backend.seen().iter().map(value).collect()
}

fn bearers<const N: usize>(tokens: [&str; N]) -> BTreeSet<String> {
    tokens.map(|token| format!("Bearer {token}")).into()
}

/// `outgoingAuth` with a token of vmcp's own for the backend `a`.
fn client_credentials(endpoint: &TokenEndpoint) -> String {
    format!(
        "outgoingAuth:
  backends:
    a:
      type: client_credentials
      clientCredentials: {{tokenUrl: '{}', clientId: vmcp, clientSecret: {SECRET}, scopes: [tools]}}",
        endpoint.url()
    )
}

/// Nothing of these is told by anybody.
async fn tells_nothing_of(process: &Process, secrets: &[&str]) {
    let (_, status) = fetch(&process.url_of("/status")).await.unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&status), process.log());
    for secret in secrets {
        assert!(!told.contains(secret), "{secret} was told: {told}");
    }
}

#[tokio::test]
async fn a_token_of_vmcps_own_is_obtained_once_and_shown_with_every_request() {
    let backend = peers::stateful().start().await.unwrap();
    let endpoint = TokenEndpoint::start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with(&client_credentials(&endpoint));
    let process = serve(&gateway).await;
    let client = Client::connect(&process.url()).await.unwrap();
    for id in 0..20 {
        client.call(&id.to_string(), "a_count", "{}").await.unwrap().result().unwrap();
    }
    assert_eq!(client.delete().await.unwrap(), 200);
    assert_eq!(shown(&backend), bearers(["token-0"]));
    let asked = endpoint.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].field("grant_type"), "client_credentials");
    assert_eq!(asked[0].field("scope"), "tools");
    assert!(asked[0].authorization.as_ref().unwrap().starts_with("Basic "));
    tells_nothing_of(&process, &[SECRET, "token-0"]).await;
}

/// Refuses every call whose token is not this one.
fn takes_only(token: &'static str) -> RawServer {
    peers::stateful().script(
        "tools/call",
        handler(move |call| {
            let shown = call.headers.get("authorization").cloned();
            async move {
                if shown.is_some_and(|shown| shown == format!("Bearer {token}").as_str()) {
                    return Answer::text("taken");
                }
                Answer::Http { status: 401, content_type: None, body: "no".into() }
            }
        }),
    )
}

#[tokio::test]
async fn a_refused_token_is_obtained_anew_once_and_never_in_a_loop() {
    let backend = takes_only("token-1").start().await.unwrap();
    let endpoint = TokenEndpoint::start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with(&client_credentials(&endpoint));
    let process = serve(&gateway).await;
    let client = Client::connect(&process.url()).await.unwrap();
    let calls = || {
        let seen = backend.seen().into_iter();
        seen.filter(|seen| seen.method == "tools/call").count()
    };
    client.call("1", "a_count", "{}").await.unwrap().result().unwrap();
    assert_eq!((endpoint.count(), calls()), (2, 2));
    // Nothing will be taken any more.
    backend.script(
        "tools/call",
        handler(|_call| async {
            Answer::Http { status: 401, content_type: None, body: "no".into() }
        }),
    );
    for id in 2..12 {
        client.call(&id.to_string(), "a_count", "{}").await.unwrap().error().unwrap();
    }
    assert_eq!((endpoint.count(), calls()), (2, 12), "neither asked nor sent again");
}

/// A gateway whose callers show tokens of the provider, which it exchanges for those that the backend is shown.
fn exchanging(backend: &Running, provider: &IdentityProvider, endpoint: &TokenEndpoint) -> Gateway {
    Gateway::before(&[("a", backend.url())])
        .incoming(&format!(
            "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, resource: 'https://mcp.example/mcp', \
             insecureAllowHttp: true, jwksAllowPrivateIp: true}}",
            provider.issuer()
        ))
        .with(&format!(
            "outgoingAuth:
  backends:
    a:
      type: token_exchange
      tokenExchange: {{tokenUrl: '{}', clientId: vmcp, clientSecret: {SECRET}, audience: the-backend}}",
            endpoint.url()
        ))
}

#[tokio::test]
async fn each_caller_is_shown_with_a_token_of_its_own() {
    let backend = peers::stateful().start().await.unwrap();
    let endpoint = TokenEndpoint::start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    let tokens = [provider.token("alice"), provider.token("bob")];
    let known = tokens.clone();
    endpoint.set_script(move |asked| {
        let of = known.iter().position(|token| token == asked.field("subject_token"));
        let name = of.map_or("vmcp", |index| ["alice", "bob"][index]);
        Given::token(&format!("token-of-{name}"), 3600).after(Duration::from_millis(20))
    });
    let process = serve(&exchanging(&backend, &provider, &endpoint)).await;
    for (token, name) in tokens.iter().zip(["alice", "bob"]) {
        let mut client =
            Client::new(&process.url()).with_header("authorization", &format!("Bearer {token}"));
        client.initialize().await.unwrap();
        let before = backend.seen().len();
        for id in 0..5 {
            client.call(&id.to_string(), "a_count", "{}").await.unwrap().result().unwrap();
        }
        let seen = backend.seen();
        let of_calls = seen[before..].iter().filter(|seen| seen.method == "tools/call");
        for seen in of_calls {
            assert_eq!(seen.headers["authorization"], format!("Bearer token-of-{name}").as_str());
        }
    }
    let exchanged: Vec<_> = endpoint
        .asked()
        .into_iter()
        .filter(|asked| !asked.field("subject_token").is_empty())
        .collect();
    assert_eq!(exchanged.len(), 2, "once for each");
    assert!(exchanged.iter().all(|asked| asked.field("audience") == "the-backend"));
    assert!(shown(&backend).is_subset(&bearers([
        "token-of-alice",
        "token-of-bob",
        "token-of-vmcp"
    ])));
    let secrets = [SECRET, "token-of-", &tokens[0], &tokens[1]];
    tells_nothing_of(&process, &secrets).await;
}

#[tokio::test]
async fn a_source_that_is_away_is_the_trouble_of_its_backend_alone() {
    let (one, two) =
        (peers::stateful().start().await.unwrap(), peers::stateful().start().await.unwrap());
    let endpoint = TokenEndpoint::start().await.unwrap();
    let gateway =
        Gateway::before(&[("a", one.url()), ("b", two.url())]).with(&client_credentials(&endpoint));
    let process = serve(&gateway).await;
    let client = Client::connect(&process.url()).await.unwrap();
    client.call("1", "a_count", "{}").await.unwrap().result().unwrap();
    // Nothing is at hand any more, and nothing comes.
    endpoint.set_script(|_asked| Given::error(503, "temporarily_unavailable", "come back later"));
    one.script(
        "tools/call",
        handler(|_call| async {
            Answer::Http { status: 401, content_type: None, body: "no".into() }
        }),
    );
    for id in 2..22 {
        let answer = client.call(&id.to_string(), "a_count", "{}").await.unwrap();
        let error = answer.error().unwrap().to_owned();
        assert!(error.contains("its credential cannot be obtained"), "{error}");
        assert!(error.contains("503: temporarily_unavailable (come back later)"), "{error}");
        client.call("\"b\"", "b_count", "{}").await.unwrap().result().unwrap();
    }
    assert!(endpoint.count() < 10, "asked {} times", endpoint.count());
}

#[tokio::test]
async fn a_file_with_a_header_is_read_again_when_it_changes() {
    let backend = peers::stateful().start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, "Bearer s3cret-first\n").unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with(&format!(
        "operational: {{reload: {{watchFile: false}}}}
outgoingAuth: {{backends: {{a: {{type: header_injection, headerInjection: {{headerName: Authorization, \
         headerValueFile: '{}'}}}}}}}}",
        file.display()
    ));
    let process = serve(&gateway).await;
    let client = Client::connect(&process.url()).await.unwrap();
    client.call("1", "a_count", "{}").await.unwrap().result().unwrap();
    assert_eq!(shown(&backend), bearers(["s3cret-first"]));
    let sessions = backend.sessions().len();
    fs::remove_file(&file).unwrap();
    eventually("that the file is gone is told", async || {
        client.call("2", "a_count", "{}").await.unwrap().result().unwrap();
        process.log().contains("what it held before is used").then_some(())
    })
    .await;
    fs::write(&file, "Bearer s3cret-second\n").unwrap();
    let mut id = 3;
    eventually("the new value is shown", async || {
        id += 1;
        client.call(&id.to_string(), "a_count", "{}").await.unwrap().result().unwrap();
        shown(&backend).contains("Bearer s3cret-second").then_some(())
    })
    .await;
    assert_eq!(shown(&backend), bearers(["s3cret-first", "s3cret-second"]));
    // The session goes on.
    assert_eq!(backend.sessions().len(), sessions);
    tells_nothing_of(&process, &["s3cret"]).await;
}

/// Whatever it says reaches people, too.
#[tokio::test]
async fn a_backend_that_repeats_what_it_is_shown_tells_nobody() {
    let bare = |call: &vmcp_testkit::raw::Call| {
        let shown = call.headers["authorization"].to_str().unwrap();
        shown.rsplit(' ').next().unwrap().to_owned()
    };
    let backend = peers::stateful()
        .script(
            "tools/call",
            handler(move |call| async move {
                let body = format!("the token {} is not good", bare(&call)).into();
                Answer::Http { status: 500, content_type: None, body }
            }),
        )
        .start()
        .await
        .unwrap();
    let endpoint = TokenEndpoint::start().await.unwrap();
    endpoint.set_script(|_asked| Given::token("opaque-token-of-vmcp", 3600));
    let gateway = Gateway::before(&[("a", backend.url())]).with(&client_credentials(&endpoint));
    let process = serve(&gateway).await;
    let client = Client::connect(&process.url()).await.unwrap();
    let answer = client.call("1", "a_count", "{}").await.unwrap();
    let error = answer.error().unwrap();
    assert!(error.contains("the token *** is not good"), "{error}");
    tells_nothing_of(&process, &[SECRET, "opaque-token-of-vmcp"]).await;
}
