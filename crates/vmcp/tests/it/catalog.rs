//! What is shown, under which name, and that what is not shown cannot be called.

use std::collections::BTreeSet;

use serde_json::Value;
use vmcp_testkit::{
    client::Client,
    gateway::Gateway,
    peers,
    process::Process,
    raw::{Answer, Kind, RawServer, Running, fixed},
};

use crate::{connect, serve};

/// A server with tools that say `server/tool`.
async fn server(name: &str, tools: &[&str]) -> Running {
    let mut server = RawServer::builder();
    for tool in tools {
        let definition = format!(
            r#"{{"name":"{tool}","description":"of {name}","inputSchema":{{"type":"object"}},"annotations":{{"title":"T","x-hint":1.0}}}}"#
        );
        server = server.tool(&definition, Answer::text(format!("{name}/{tool}")));
    }
    server.start().await.unwrap()
}

/// Every page of a list, one after the other.
async fn pages(client: &Client, method: &str, member: &str) -> Vec<Vec<String>> {
    let (mut pages, mut params) = (Vec::new(), "{}".to_owned());
    loop {
        let page = client.request("1", method, &params).await.unwrap();
        pages.push(page.keys(member, "name").unwrap());
        let Some(cursor) = page.json()["result"].get("nextCursor").cloned() else { return pages };
        params = format!(r#"{{"cursor":{cursor}}}"#);
    }
}

async fn names(client: &Client) -> Vec<String> {
    let mut names = pages(client, "tools/list", "tools").await.concat();
    names.sort();
    names
}

async fn said(client: &Client, tool: &str) -> String {
    client.call("1", tool, "{}").await.unwrap().text().unwrap()
}

async fn assert_refused(client: &Client, tool: &str) {
    let refused = client.call("1", tool, "{}").await.unwrap();
    assert_eq!(refused.error_code().unwrap(), -32602, "{tool}");
}

struct Two {
    a: Running,
    b: Running,
    _process: Process,
    client: Client,
}

/// `a` has `search` and `write`, `b` has `search` and `read`.
async fn two(aggregation: &str) -> Two {
    let (a, b) = (server("a", &["search", "write"]).await, server("b", &["search", "read"]).await);
    let gateway = Gateway::before(&[("a", a.url()), ("b", b.url())]).aggregation(aggregation);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    Two { a, b, _process: process, client }
}

#[tokio::test]
async fn long_lists_on_many_pages_are_listed_once_and_stay_callable() {
    let one = peers::many_tools(1300, 50).start().await.unwrap();
    let two = peers::many_tools(1200, 7).start().await.unwrap();
    let gateway = Gateway::before(&[("one", one.url()), ("two", two.url())]);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let pages = pages(&client, "tools/list", "tools").await;
    assert!(pages.len() > 1 && pages.iter().all(|page| page.len() <= 1000), "{}", pages.len());
    let all = pages.concat();
    assert_eq!(all.len(), 2500);
    let distinct: BTreeSet<&String> = all.iter().collect();
    assert_eq!(distinct.len(), 2500);
    for name in ["one_tool_0000", "one_tool_1299", "two_tool_0000", "two_tool_1199"] {
        assert_eq!(said(&client, name).await, name.split_once('_').unwrap().1);
    }
    assert_refused(&client, "two_tool_1200").await;
    for wrong in [r#"{"cursor":"nonsense"}"#, r#"{"cursor":7}"#] {
        let refused = client.request("1", "tools/list", wrong).await.unwrap();
        assert_eq!(refused.error_code().unwrap(), -32602, "{wrong}");
    }
}

#[tokio::test]
async fn prefixes_tell_equal_names_apart() {
    let two = two(
        "conflictResolution: prefix\nconflictResolutionConfig: {prefixFormat: 'x.{workload}-'}",
    )
    .await;
    assert_eq!(names(&two.client).await, ["x.a-search", "x.a-write", "x.b-read", "x.b-search"]);
    assert_eq!(said(&two.client, "x.b-search").await, "b/search");
    assert_refused(&two.client, "search").await;
}

#[tokio::test]
async fn priority_gives_an_equal_name_to_the_first() {
    let two =
        two("conflictResolution: priority\nconflictResolutionConfig: {priorityOrder: [b, a]}")
            .await;
    assert_eq!(names(&two.client).await, ["read", "search", "write"]);
    assert_eq!(said(&two.client, "search").await, "b/search");
    assert_eq!(said(&two.client, "write").await, "a/write");
    assert_eq!(two.a.counters().calls("search"), 0);
}

#[tokio::test]
async fn manual_names_are_given_by_hand() {
    let two = two(
        "conflictResolution: manual\ntools:\n  - workload: b\n    overrides:\n      search: {name: find}",
    )
    .await;
    assert_eq!(names(&two.client).await, ["find", "read", "search", "write"]);
    assert_eq!(said(&two.client, "find").await, "b/search");
    assert_eq!(said(&two.client, "search").await, "a/search");
}

#[tokio::test]
async fn what_a_filter_leaves_out_cannot_be_called() {
    let two = two(
        "conflictResolution: priority\nconflictResolutionConfig: {priorityOrder: [a, b]}\ntools:\n  - {workload: a, filter: [write]}",
    )
    .await;
    assert_eq!(names(&two.client).await, ["read", "search", "write"]);
    // The hidden tool is not in the way of the other backend's.
    assert_eq!(said(&two.client, "search").await, "b/search");
    assert_eq!(two.a.counters().calls("search"), 0);
    assert_refused(&two.client, "a_search").await;
}

#[tokio::test]
async fn overrides_change_what_they_name_and_nothing_else() {
    let two = two(
        "conflictResolution: prefix\nconflictResolutionConfig: {prefixFormat: '{workload}_'}\ntools:\n  - workload: a\n    overrides:\n      write:\n        name: store\n        description: Stores it\n        annotations: {title: Store, readOnlyHint: false}",
    )
    .await;
    assert_eq!(names(&two.client).await, ["a_search", "a_store", "b_read", "b_search"]);
    assert_eq!(said(&two.client, "a_store").await, "a/write");
    assert_refused(&two.client, "a_write").await;
    let list = two.client.request("1", "tools/list", "{}").await.unwrap();
    let item = |name: &str| -> Value {
        let items = list.items("tools").unwrap();
        let found = items.iter().find(|item| item.contains(&format!(r#""name":"{name}""#)));
        serde_json::from_str(found.unwrap()).unwrap()
    };
    let store = item("a_store");
    assert_eq!(store["description"], "Stores it");
    assert_eq!(store["annotations"]["title"], "Store");
    assert_eq!(store["annotations"]["readOnlyHint"], false);
    assert_eq!(store["annotations"]["x-hint"], 1.0, "what no override names stays");
    assert_eq!(item("a_search")["annotations"]["title"], "T");
}

#[tokio::test]
async fn whole_backends_or_all_tools_can_be_hidden() {
    let prefix =
        "conflictResolution: prefix\nconflictResolutionConfig: {prefixFormat: '{workload}_'}\n";
    for (rules, shown) in [
        ("tools: [{workload: a, excludeAll: true}]", &["b_read", "b_search"][..]),
        ("excludeAllTools: true", &[]),
        ("defaultToolVisibility: deny\ntools: [{workload: b}]", &["b_read", "b_search"]),
        ("defaultToolVisibility: deny", &[]),
        ("defaultToolVisibility: allow", &["a_search", "a_write", "b_read", "b_search"]),
    ] {
        let two = two(&format!("{prefix}{rules}")).await;
        assert_eq!(names(&two.client).await, shown, "{rules}");
        for tool in ["a_search", "a_write", "b_read", "b_search"] {
            if !shown.contains(&tool) {
                assert_refused(&two.client, tool).await;
            }
        }
        let called: u64 = ["search", "write", "read"]
            .iter()
            .map(|tool| two.a.counters().calls(tool) + two.b.counters().calls(tool))
            .sum();
        assert_eq!(called, 0, "{rules}");
    }
}

#[tokio::test]
async fn names_over_the_limit_are_shortened_and_callable() {
    let long = |letter: &str| format!("{}{letter}", "a_tool_with_a_name_".repeat(5));
    let (x, y) = (long("x"), long("y"));
    let backend = server("a", &[&x, &y, "short"]).await;
    let gateway = Gateway::before(&[("backend", backend.url())]);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let first = names(&client).await;
    assert_eq!(first.len(), 3);
    assert!(first.iter().all(|name| name.chars().count() <= 64), "{first:?}");
    assert!(first.contains(&"backend_short".to_owned()));
    let mut said_by = BTreeSet::new();
    for name in first.iter().filter(|name| *name != "backend_short") {
        said_by.insert(said(&client, name).await);
    }
    assert_eq!(said_by, BTreeSet::from([format!("a/{x}"), format!("a/{y}")]));
    let again = serve(&gateway).await;
    assert_eq!(names(&connect(&again).await).await, first, "the same names after a restart");
}

/// The bound of `nameLimit` and `pageSize` is the one that is configured.
#[tokio::test]
async fn name_limit_and_page_size_are_configured() {
    let long = "a_tool_with_a_name_".repeat(5);
    let backend = server("a", &[&long, "b", "c"]).await;
    let gateway = Gateway::before(&[("a", backend.url())]).aggregation(
        "conflictResolution: prefix\nconflictResolutionConfig: {prefixFormat: '{workload}_'}\nnameLimit: 128\npageSize: 2",
    );
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let pages = pages(&client, "tools/list", "tools").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    assert!(pages.concat().contains(&format!("a_{long}")));
}

/// Prompts are renamed like tools; one resource URI belongs to one backend, whoever else has it.
#[tokio::test]
async fn prompts_and_resources_of_equal_names_have_one_owner_each() {
    let with = |name: &'static str| {
        let resource = format!(r#"{{"contents":[{{"uri":"x://same","text":"{name}"}}]}}"#);
        let prompt = format!(r#"{{"messages":[],"description":"{name}"}}"#);
        RawServer::builder()
            .offer(Kind::Resources, r#"{"uri":"x://same","name":"same"}"#, fixed(resource))
            .offer(Kind::Prompts, r#"{"name":"same"}"#, fixed(prompt))
            .start()
    };
    let (a, b) = (with("a").await.unwrap(), with("b").await.unwrap());
    let gateway = Gateway::before(&[("a", a.url()), ("b", b.url())]).priority(&["b", "a"]);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let prompt = client.request("1", "prompts/get", r#"{"name":"same"}"#).await.unwrap().json();
    assert_eq!(prompt["result"]["description"], "b");
    let list = client.request("2", "resources/list", "{}").await.unwrap();
    assert_eq!(list.keys("resources", "uri").unwrap(), ["x://same"]);
    let read = client.request("3", "resources/read", r#"{"uri":"x://same"}"#).await.unwrap().json();
    assert_eq!(read["result"]["contents"][0]["text"], "b");
}
