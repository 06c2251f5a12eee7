//! Headers that every request to a backend carries, whatever it speaks.

use std::{collections::BTreeSet, fs};

use http::{HeaderMap, Method};
use serde_json::json;
use vmcp_testkit::{
    client::{Client, fetch},
    conformance::{self, Part},
    gateway::{Gateway, eventually},
    modern_client::ModernClient,
    peers,
    process::Process,
    raw::{Answer, Call, Kind, RawServer, handler},
};

use crate::connect;

/// The variable of the backend `name`, which must be in lower case.
async fn serve(gateway: &Gateway, names: &[&str]) -> Process {
    let mut program = gateway.program(env!("CARGO_BIN_EXE_vmcp"));
    let manifest = r#"{"addPlaintextHeaders": {"X-Plain": "of-variable"}, "addHeadersFromSecret": {"X-Key": "A_KEY"}}"#;
    for name in names {
        let variable = format!("TOOLHIVE_HEADER_FORWARD_{}", name.to_ascii_uppercase());
        program = program.environment(&variable, manifest);
    }
    let program = program.environment("TOOLHIVE_SECRET_A_KEY", "s3cret-of-variable");
    program.environment("OWN", "s3cret-of-own").start().await.unwrap()
}

/// Whether each of these requests carries all of the headers, once.
#[track_caller]
fn check(seen: &[(Method, HeaderMap)], verbs: &[Method], expected: &[(&str, &str)]) {
    for (verb, headers) in seen {
        for (name, value) in expected {
            let values: Vec<_> = headers.get_all(*name).iter().collect();
            assert_eq!(values, [value], "{name} of {verb} in {headers:?}");
        }
    }
    let sent: BTreeSet<_> = seen.iter().map(|(verb, _)| verb.as_str()).collect();
    assert!(verbs.iter().all(|verb| sent.contains(verb.as_str())), "{sent:?}");
}

#[tokio::test]
async fn they_are_in_every_request_of_every_transport_and_era() {
    let legacy = peers::stateful().start().await.unwrap();
    let modern = peers::modern().start().await.unwrap();
    let old = conformance::start_sse(Part::All, 0).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    fs::write(&file, "s3cret-of-file\n").unwrap();
    let own = format!(
        "headers: {{User-Agent: agent, X-Own: 'Bearer ${{OWN}}'}}, headersFromFile: {{X-File: '{}'}}",
        file.display()
    );
    let gateway = Gateway::before(&[])
        .backend(&format!("name: legacy, url: '{}', {own}", legacy.url()))
        .backend(&format!("name: modern, url: '{}', {own}", modern.url()))
        .backend(&format!("name: old, url: '{}', transport: sse, {own}", old.url()));
    let process = serve(&gateway, &["legacy", "modern", "old", "nobody"]).await;
    let client = connect(&process).await;
    let get = client.listen(None).await.unwrap();
    let newer = ModernClient::new(&process.url());
    for tool in ["legacy_count", "modern_count", "old_test_simple_text"] {
        client.call("1", tool, "{}").await.unwrap().result().unwrap();
        newer.call(tool, json!({})).await.unwrap().text().unwrap();
    }
    eventually("the backend is listened to", async || {
        legacy.seen().iter().any(|seen| seen.verb == Method::GET).then_some(())
    })
    .await;
    assert_eq!(client.delete().await.unwrap(), 200);
    drop(get);
    eventually("the session is given back", async || {
        (legacy.counters().deletes() > 0).then_some(())
    })
    .await;
    let expected = [
        ("user-agent", "agent"),
        ("x-own", "Bearer s3cret-of-own"),
        ("x-file", "s3cret-of-file"),
        ("x-plain", "of-variable"),
        ("x-key", "s3cret-of-variable"),
    ];
    let seen: Vec<_> = legacy.seen().into_iter().map(|seen| (seen.verb, seen.headers)).collect();
    check(&seen, &[Method::POST, Method::GET, Method::DELETE], &expected);
    let seen: Vec<_> = modern.seen().into_iter().map(|seen| (seen.verb, seen.headers)).collect();
    check(&seen, &[Method::POST], &expected);
    check(&old.seen(), &[Method::POST, Method::GET], &expected);

    let (_, status) = fetch(&process.url_of("/status")).await.unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&status), process.log());
    assert!(!told.contains("s3cret-of") && !told.contains("of-variable"), "{told}");
    assert!(told.contains("the variable TOOLHIVE_HEADER_FORWARD_NOBODY is set"), "{told}");
}

/// What a backend repeats of them is told to nobody.
#[tokio::test]
async fn what_a_backend_repeats_of_them_is_masked() {
    let tool = r#"{"name":"x","inputSchema":{"type":"object"}}"#;
    let refusing = handler(async |call: Call| {
        let said = ["x-key", "x-own", "x-file"].map(|name| call.headers[name].to_str().unwrap());
        let body = format!("not good: {}", said.join(", ")).into();
        Answer::Http { status: 500, content_type: None, body }
    });
    let backend = RawServer::builder().offer(Kind::Tools, tool, refusing.clone());
    let backend = backend.script("tools/call", refusing).start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    fs::write(&file, "s3cret-of-file").unwrap();
    let (url, file) = (backend.url(), file.display());
    let flow = format!(
        "name: a, url: '{url}', headers: {{X-Own: '${{OWN}}'}}, headersFromFile: {{X-File: '{file}'}}"
    );
    let process = serve(&Gateway::before(&[]).backend(&flow), &["a"]).await;
    let client: Client = connect(&process).await;
    let answer = client.call("1", "a_x", "{}").await.unwrap();
    let error = answer.error().unwrap();
    assert!(error.contains("not good: ***, ***, ***"), "{error}");
    assert!(!process.log().contains("s3cret"), "{}", process.log());
}
