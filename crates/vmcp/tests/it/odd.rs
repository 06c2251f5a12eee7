//! What one backend lists and declares takes nothing away from the others, whatever it is.

use serde_json::{Value, json};
use vmcp_testkit::{
    client::{Client, fetch},
    gateway::Gateway,
    items_by_rmcp,
    modern_client::ModernClient,
    odd::{LISTS, odd, odd_modern, readable},
    peers,
    process::Process,
};

use crate::{connect, serve};

/// A legacy server, a modern one, both odd, and a good one.
async fn odd_ones() -> (Process, impl Sized) {
    let (old, new) = (odd().start().await.unwrap(), odd_modern().start().await.unwrap());
    let good = peers::fidelity().start().await.unwrap();
    let backends = [("old", old.url()), ("new", new.url()), ("good", good.url())];
    (serve(&Gateway::before(&backends)).await, (old, new, good))
}

/// Checks one list: every item of the good server and those of the odd ones that such clients can
/// read, and that the models of the Rust SDK take it.
fn check(member: &str, result: &str, good: usize, is_modern: bool) {
    let kind = LISTS.iter().find(|(_, _, of)| *of == member).unwrap().0;
    let listed: Value = serde_json::from_str(result).unwrap();
    let listed = listed[member].as_array().unwrap();
    let names = |prefix: &str| -> Vec<&str> {
        let names = listed.iter().map(|item| item["name"].as_str().unwrap());
        names.filter_map(|name| name.strip_prefix(prefix)).collect()
    };
    let expected = readable(kind, is_modern);
    match member {
        // They keep their URIs, which are the same: the first backend has them.
        "resources" | "resourceTemplates" => {
            let odd: Vec<_> = names("").into_iter().filter(|name| is_odd(name)).collect();
            assert_eq!(odd, expected, "{member} {is_modern}");
        }
        _ => {
            assert_eq!(names("old_"), expected, "{member} {is_modern}");
            assert_eq!(names("new_"), expected, "{member} {is_modern}");
        }
    }
    let theirs = listed.iter().filter(|item| {
        let name = item["name"].as_str().unwrap();
        !is_odd(name.trim_start_matches("old_").trim_start_matches("new_"))
    });
    assert_eq!(theirs.count(), good, "{member}");
    assert_eq!(items_by_rmcp(member, result).unwrap(), listed.len(), "{member} {is_modern}");
}

fn is_odd(name: &str) -> bool {
    ["fit-", "unfit", "legacy-", "modern-"].iter().any(|label| name.starts_with(label))
}

#[tokio::test]
async fn every_client_reads_what_it_can_read_and_nothing_else() {
    let (process, servers) = odd_ones().await;
    let client = connect(&process).await;
    let modern = ModernClient::new(&process.url());
    for ((_, method, member), good) in LISTS.into_iter().zip([7, 1, 1, 1]) {
        let listed = client.request("1", method, "{}").await.unwrap();
        check(member, listed.result().unwrap(), good, false);
        let listed = modern.request(method, json!({})).await.unwrap();
        check(member, listed.literal_result().unwrap(), good, true);
    }
    // What is shown can be called.
    let called = client.call("2", "good_echo", "{}").await.unwrap();
    assert!(called.result().is_ok());
    drop(servers);
}

#[tokio::test]
async fn what_a_backend_declares_leaves_initialize_readable() {
    let (process, servers) = odd_ones().await;
    let mut client = Client::new(&process.url());
    let answer = client.initialize().await.unwrap();
    let initialized = answer.result().unwrap();
    assert!(initialized.len() < 10_000, "{} bytes", initialized.len());
    let initialized: Value = serde_json::from_str(initialized).unwrap();
    let declared = &initialized["capabilities"];
    assert_eq!(declared["experimental"], json!({"fit": {"a": 1}}));
    assert_eq!(declared["new"], json!({"x": [1]}));
    for gone in ["extensions", "tasks", "deeper", "huge", "long"] {
        assert_eq!(declared[gone], Value::Null, "{gone}");
    }
    drop(servers);
}

#[tokio::test]
async fn what_is_left_out_is_named() {
    let (process, servers) = odd_ones().await;
    let client = connect(&process).await;
    client.request("1", "tools/list", "{}").await.unwrap();
    let (_, text) = fetch(&process.url_of("/status")).await.unwrap();
    let status: Value = serde_json::from_slice(&text).unwrap();
    let reasons: Vec<_> = status["dropped"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["reason"].as_str().unwrap())
        .collect();
    assert_eq!(status["dropped_total"], reasons.len());
    let backends = status["backends"].as_array().unwrap().iter();
    let counts = backends.map(|backend| backend["dropped"].as_u64().unwrap());
    assert_eq!(status["dropped_total"], counts.sum::<u64>());
    for expected in [
        "of backend old is left out: its title is not a string; correct it at its backend",
        "of backend old is left out: it is nested deeper than 60 levels; correct it at its backend",
        "of backend new is left out for clients before revision 2026-07-28: its inputSchema is not that of an object",
        "of backend old is shown without its outputSchema to clients before revision 2026-07-28",
        r#"declaration "experimental.unfit" of backend old is left out: it is not an object"#,
        r##"tool "#"##,
    ] {
        assert!(reasons.iter().any(|reason| reason.contains(expected)), "{expected}: {reasons:#?}");
    }
    let log = process.logged("more are left out; GET /status names them").await;
    assert!(log.contains("of backend old is left out: "), "{log}");
    drop(servers);
}
