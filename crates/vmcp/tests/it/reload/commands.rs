//! What a backend runs changes only where the running configuration allows it.

use serde_json::Value;
use vmcp_testkit::{
    CHILD,
    gateway::{Gateway, eventually},
};

use super::{named, reload, reloaded, text, tools};
use crate::{connect, serve, stdio::processes};

const ALLOWED: &str = "operational: {reload: {allowCommands: true}}";

/// A gateway in front of `http` and, if there is a tag, a program with it among its arguments.
fn gateway(http: &str, tag: Option<&str>) -> Gateway {
    let gateway = Gateway::before(&[("http", http.to_owned())]);
    match tag {
        Some(tag) => {
            gateway.backend(&format!("name: kid, command: python3, args: ['{CHILD}', '{tag}']"))
        }
        None => gateway,
    }
}

fn tag(name: &str) -> String {
    format!("--of-reload={}-{name}", std::process::id())
}

fn refused(outcome: &Value) {
    assert_eq!(outcome["succeeded"], false, "{outcome}");
    let problem = outcome["problem"].as_str().unwrap();
    assert!(problem.contains("backend kid") && problem.contains("allowCommands"), "{problem}");
}

#[tokio::test]
async fn a_program_neither_comes_nor_changes_by_a_reload() {
    let (one, two) = (named("one").start().await.unwrap(), named("two").start().await.unwrap());
    let (first, other) = (tag("first"), tag("other"));
    let process = serve(&gateway(&one.url(), None)).await;
    // The new configuration's own permission counts for nothing.
    let wanted = gateway(&two.url(), Some(&first)).with(ALLOWED);
    refused(&reload(&process, &wanted.yaml()).await);
    let client = connect(&process).await;
    assert_eq!(tools(&client).await, ["http_one"], "refused as a whole");
    assert!(processes(&first).is_empty());
    // Nor is it one that a reload has brought.
    reloaded(&process, &gateway(&one.url(), None).with(ALLOWED)).await;
    process.logged(r#""settings":"operational.reload.allowCommands""#).await;
    refused(&reload(&process, &wanted.yaml()).await);
    assert!(processes(&first).is_empty());

    let process = serve(&gateway(&one.url(), Some(&first))).await;
    let client = connect(&process).await;
    assert_eq!(text(&client, "kid_count").await, "1");
    refused(&reload(&process, &gateway(&two.url(), Some(&other)).yaml()).await);
    assert!(processes(&other).is_empty());
    reloaded(&process, &gateway(&two.url(), Some(&first))).await;
    assert_eq!(text(&client, "kid_count").await, "2", "what runs already may stay");
    reloaded(&process, &gateway(&two.url(), None)).await;
    eventually("its processes have ended", async || processes(&first).is_empty().then_some(()))
        .await;
}

#[tokio::test]
async fn where_it_is_allowed_programs_come_change_and_go() {
    let http = named("one").start().await.unwrap();
    let (first, other) = (tag("allowed"), tag("changed"));
    let with = |tag: Option<&str>| gateway(&http.url(), tag).with(ALLOWED);
    let process = serve(&with(None)).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    let mut changed = async || get.message().await.unwrap().unwrap().method().unwrap();
    reloaded(&process, &with(Some(&first))).await;
    assert!(changed().await.ends_with("/list_changed"));
    assert_eq!(text(&client, "kid_count").await, "1");
    assert!(!processes(&first).is_empty());
    reloaded(&process, &with(Some(&other))).await;
    assert_eq!(text(&client, "kid_count").await, "1", "it is another process");
    eventually("the old ones have ended", async || processes(&first).is_empty().then_some(()))
        .await;
    assert!(!processes(&other).is_empty());
}
