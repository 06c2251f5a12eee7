//! A header that every request to a backend carries gets another value.

use std::fs;

use vmcp_testkit::gateway::{Gateway, eventually};

use super::{named, status, text};
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
