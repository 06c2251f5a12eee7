//! What a backend is shown: the credential meant for it, and nothing that the client meant for vmcp.

use std::fs;

use vmcp_testkit::{
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    peers,
    raw::Running,
};

/// The value of a header in every request that the backend has seen.
fn values(backend: &Running, header: &str) -> Vec<Option<String>> {
    let seen = backend.seen();
    let value = |seen: &vmcp_testkit::raw::Seen| {
        seen.headers.get(header).map(|value| value.to_str().unwrap().to_owned())
    };
    seen.iter().map(value).collect()
}

#[tokio::test]
async fn each_backend_gets_its_own_header_on_every_request() {
    let mut backends = Vec::new();
    for _ in 0..4 {
        backends.push(peers::stateful().start().await.unwrap());
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    fs::write(&file, "from-file\n").unwrap();
    let gateway = Gateway::before(&[
        ("value", backends[0].url()),
        ("env", backends[1].url()),
        ("file", backends[2].url()),
        ("none", backends[3].url()),
    ])
    .with(&format!(
        "outgoingAuth:
  source: inline
  backends:
    value: {{type: header_injection, headerInjection: {{headerName: X-Key, headerValue: from-value}}}}
    env: {{type: header_injection, headerInjection: {{headerName: X-Key, headerValueEnv: SECRET_OF_ENV}}}}
    file: {{type: header_injection, headerInjection: {{headerName: X-Key, headerValueFile: '{}'}}}}
    none: {{type: unauthenticated}}",
        file.display()
    ));
    let program = gateway.program(env!("CARGO_BIN_EXE_vmcp"));
    let process = program.environment("SECRET_OF_ENV", "from-env").start().await.unwrap();
    let client = Client::connect(&process.url()).await.unwrap();
    let get = client.listen(None).await.unwrap();
    for (backend, name) in backends.iter().zip(["value", "env", "file", "none"]) {
        client.call("1", &format!("{name}_count"), "{}").await.unwrap().result().unwrap();
        eventually("the backend is listened to", async || {
            backend.sessions().iter().all(|session| session.listens()).then_some(())
        })
        .await;
    }
    assert_eq!(client.delete().await.unwrap(), 200);
    drop(get);
    for (backend, expected) in
        backends.iter().zip([Some("from-value"), Some("from-env"), Some("from-file"), None])
    {
        eventually("the session is given back", async || {
            (backend.counters().deletes() > 0).then_some(())
        })
        .await;
        let values = values(backend, "x-key");
        assert!(values.iter().all(|value| value.as_deref() == expected), "{values:?}");
        let verbs: Vec<_> = backend.seen().iter().map(|seen| seen.verb.to_string()).collect();
        assert!(["POST", "GET", "DELETE"].iter().all(|verb| verbs.iter().any(|one| one == verb)));
    }
    let (_, status) = fetch(&process.url_of("/status")).await.unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&status), process.log());
    for secret in ["from-value", "from-env", "from-file"] {
        assert!(!told.contains(secret), "a secret was told");
    }
}

/// Of a Deployment that does not set what the configuration names.
#[tokio::test]
async fn a_backend_whose_variable_is_not_set_is_out_and_keeps_nobody_else() {
    let (good, bad) =
        (peers::stateful().start().await.unwrap(), peers::stateful().start().await.unwrap());
    let gateway = Gateway::before(&[("good", good.url()), ("bad", bad.url())]).with(
        "outgoingAuth: {source: inline, backends: {bad: {type: header_injection, \
         headerInjection: {headerName: X-Key, headerValueEnv: NOT_THERE}}}}",
    );
    let process = gateway.start(env!("CARGO_BIN_EXE_vmcp")).await.unwrap();
    assert_eq!(fetch(&process.url_of("/readyz")).await.unwrap().0, 200);
    let client = Client::connect(&process.url()).await.unwrap();
    client.call("1", "good_count", "{}").await.unwrap().result().unwrap();
    let refused = client.call("2", "bad_count", "{}").await.unwrap();
    let told = refused.result().unwrap_err();
    assert!(
        !format!("{told:?}").contains("NOT_THERE"),
        "clients are told what vmcp lacks: {told:?}"
    );
    let (_, status) = fetch(&process.url_of("/status")).await.unwrap();
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
    let backends = status["backends"].as_array().unwrap();
    let backend = backends.iter().find(|backend| backend["name"] == "bad").unwrap();
    assert_eq!(backend["state"], "unhealthy");
    let error = backend["last_error"].as_str().unwrap();
    assert!(error.contains("the environment variable NOT_THERE is not set"), "{error}");
    assert!(bad.seen().is_empty(), "it was asked without its credential");
}

#[tokio::test]
async fn a_default_holds_for_backends_without_an_entry() {
    let (one, two) = (peers::slow().start().await.unwrap(), peers::slow().start().await.unwrap());
    let gateway = Gateway::before(&[("one", one.url()), ("two", two.url())]).with(
        "outgoingAuth:
  source: inline
  default: {type: header_injection, headerInjection: {headerName: Authorization, headerValue: Bearer of-vmcp}}
  backends: {two: {type: unauthenticated}}",
    );
    let process = crate::serve(&gateway).await;
    let mut client = Client::new(&process.url())
        .with_header("authorization", "Bearer of-the-client")
        .with_header("cookie", "session=of-the-client")
        .with_header("x-api-key", "of-the-client");
    client.initialize().await.unwrap();
    for tool in ["one_slow", "two_slow"] {
        client.call("1", tool, r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    }
    let expected = Some("Bearer of-vmcp".to_owned());
    assert!(values(&one, "authorization").iter().all(|value| *value == expected));
    assert!(values(&two, "authorization").iter().all(Option::is_none));
    let ours = client.session().unwrap();
    for seen in one.seen().iter().chain(&two.seen()) {
        for (name, value) in &seen.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            assert!(!value.contains("of-the-client") && value != ours, "{name}: {value}");
        }
    }
}
