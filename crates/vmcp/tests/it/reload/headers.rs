//! A header that every request to a backend carries gets another value.

use std::fs;

use vmcp_testkit::gateway::{Gateway, eventually};

use super::{named, reload, reloaded, status, text};
use crate::{connect, serve};

/// A file that a header stands in is looked at as the configuration's own is.
#[tokio::test]
async fn a_file_with_a_header_is_taken_up_when_it_changes() {
    let backend = named("one").start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    fs::write(&file, "s3cret-1").unwrap();
    let (url, path) = (backend.url(), file.display());
    let flow = format!("name: a, url: '{url}', headersFromFile: {{X-Key: '{path}'}}");
    let process = serve(&Gateway::before(&[]).backend(&flow)).await;
    let client = connect(&process).await;
    let last = || {
        let seen = backend.seen();
        let call = seen.iter().rfind(|seen| seen.method == "tools/call").unwrap();
        call.headers["x-key"].to_str().unwrap().to_owned()
    };
    assert_eq!(text(&client, "a_one").await, "one");
    assert_eq!(last(), "s3cret-1");
    let initializes = backend.counters().initializes();

    fs::write(&file, "s3cret-2\n").unwrap();
    eventually("it is taken up", async || {
        let status = status(&process).await;
        (status["reload"]["succeeded"] == true).then_some(())
    })
    .await;
    assert_eq!(text(&client, "a_one").await, "one");
    assert_eq!(last(), "s3cret-2");
    // What was opened with the other value is not used for this one.
    assert!(backend.counters().initializes() > initializes);
}

/// The environment of a process does not change: what a file names that is not there is a mistake, or meant for the
/// next start.
#[tokio::test]
async fn no_reload_puts_a_backend_out_for_a_variable() {
    let (one, two) = (named("one").start().await.unwrap(), named("two").start().await.unwrap());
    let gateway = |of_one: &str, more: &[(&str, &str)]| {
        let backends = Gateway::before(&[("a", one.url()), ("lacking", two.url())]);
        let backends = more.iter().fold(backends, |gateway, (name, rest)| {
            gateway.backend(&format!("name: {name}, {rest}"))
        });
        backends.with(&format!(
            "outgoingAuth: {{source: inline, backends: {{\
             a: {{type: header_injection, headerInjection: {{headerName: X-Key, {of_one}}}}}, \
             lacking: {{type: header_injection, headerInjection: {{headerName: X-Key, headerValueEnv: NOT_THERE}}}}}}}}"
        ))
    };
    let process = serve(&gateway("headerValue: k1", &[])).await;
    let client = connect(&process).await;
    assert_eq!(text(&client, "a_one").await, "one");
    let url = format!("url: '{}', headers: {{X-Other: '${{NOT_YET}}'}}", two.url());
    for (of_one, more) in
        [("headerValueEnv: NOT_YET", &[][..]), ("headerValue: k2", &[("new", &*url)][..])]
    {
        let outcome = reload(&process, &gateway(of_one, more).yaml()).await;
        assert_eq!(outcome["succeeded"], false, "{outcome}");
        let problem = outcome["problem"].as_str().unwrap();
        assert!(problem.contains("NOT_YET") && problem.contains("restart vmcp"), "{problem}");
        assert_eq!(text(&client, "a_one").await, "one", "what runs stays as it is");
    }
    // What was out from the start stays so, and keeps nothing else from changing.
    reloaded(&process, &gateway("headerValue: k3", &[])).await;
    assert_eq!(text(&client, "a_one").await, "one");
    let seen = one.seen();
    assert_eq!(seen.last().unwrap().headers["x-key"], "k3");
    assert!(two.seen().is_empty());
}
