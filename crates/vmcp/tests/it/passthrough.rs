//! Headers of a client's request that backends are passed.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vmcp_testkit::{
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    modern_client::ModernClient,
    process::Process,
    raw::{Answer, Call, Kind, RawServer, Running, fixed, handler},
};

use crate::serve;

const TENANT: &str = "x-tenant";

fn tenant(call: &Call) -> String {
    let tenant = call.headers.get(TENANT).map(|tenant| tenant.to_str().unwrap());
    tenant.unwrap_or("nobody").to_owned()
}

/// A server that lists to each tenant a tool of its own, and says who calls.
async fn of_tenants() -> Running {
    let server = RawServer::builder()
        .offer(
            Kind::Tools,
            r#"{"name":"x","inputSchema":{"type":"object"}}"#,
            fixed(Answer::text("x")),
        )
        .start()
        .await
        .unwrap();
    server.script(
        "tools/list",
        handler(async |call: Call| {
            let name = tenant(&call);
            Answer::from(format!(
                r#"{{"tools":[{{"name":"of_{name}","inputSchema":{{"type":"object"}}}},{{"name":"who","inputSchema":{{"type":"object"}}}}]}}"#
            ))
        }),
    );
    server.script("tools/call", handler(async |call: Call| Answer::text(tenant(&call))));
    server
}

async fn passing(backend: &Running) -> Process {
    let gateway = Gateway::before(&[("b", backend.url())]);
    serve(&gateway.with("passthroughHeaders: [X-Tenant, X-Request-Source]")).await
}

async fn client(process: &Process, tenant: Option<&str>) -> Client {
    let client = Client::new(&process.url());
    let mut client = match tenant {
        Some(tenant) => client.with_header(TENANT, tenant),
        None => client,
    };
    client.initialize().await.unwrap();
    client
}

fn names(list: &Value) -> BTreeSet<String> {
    let tools = list["tools"].as_array().unwrap().iter();
    tools.map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

async fn listed(client: &Client) -> BTreeSet<String> {
    let list = client.request("1", "tools/list", "{}").await.unwrap();
    names(&list.json()["result"])
}

fn expected(tenant: &str) -> BTreeSet<String> {
    [format!("b_of_{tenant}"), "b_who".to_owned()].into()
}

#[tokio::test]
async fn each_caller_sees_what_the_backend_shows_it() {
    let backend = of_tenants().await;
    let process = passing(&backend).await;
    for name in [None, Some("red"), Some("blue"), Some("red")] {
        let client = client(&process, name).await;
        let name = name.unwrap_or("nobody");
        assert_eq!(listed(&client).await, expected(name));
        let called = client.call("2", "b_who", "{}").await.unwrap();
        assert_eq!(called.text().unwrap(), name);
        let other = if name == "red" { "b_of_blue" } else { "b_of_red" };
        let refused = client.call("3", other, "{}").await.unwrap();
        assert!(refused.error().unwrap().contains("-32602"), "{refused:?}");
    }
}

#[tokio::test]
async fn it_is_so_for_modern_clients() {
    let backend = of_tenants().await;
    let process = passing(&backend).await;
    for name in ["red", "blue", "red"] {
        let client = ModernClient::new(&process.url()).header(TENANT, name);
        let list = client.request("tools/list", json!({})).await.unwrap();
        let list = list.result().unwrap();
        assert_eq!(names(&list), expected(name));
        assert_eq!(list["cacheScope"], "private", "{list}");
        let called = client.call("b_who", json!({})).await.unwrap();
        assert_eq!(called.text().unwrap(), name);
    }
}

/// What counts is the request: one session may speak for several tenants, one after the other.
#[tokio::test]
async fn a_request_carries_its_own_headers() {
    let backend = of_tenants().await;
    let process = passing(&backend).await;
    let red = client(&process, Some("red")).await;
    let (session, version) = (red.session().unwrap().to_owned(), "2025-11-25");
    let blue = Client::new(&process.url()).with_header(TENANT, "blue");
    let blue = blue.with_session(&session, version);
    for (client, name) in [(&red, "red"), (&blue, "blue"), (&red, "red")] {
        let called = client.call("1", "b_who", "{}").await.unwrap();
        assert_eq!(called.text().unwrap(), name);
    }
    red.delete().await.unwrap();
    eventually("the session is given back", async || {
        (backend.counters().deletes() > 0).then_some(())
    })
    .await;
    let seen = backend.seen();
    let ended = seen.iter().filter(|seen| seen.verb == "DELETE");
    for ended in ended {
        assert!(ended.headers.contains_key("mcp-session-id"));
    }
}

#[tokio::test]
async fn nothing_else_is_passed_on() {
    let backend = of_tenants().await;
    let process = passing(&backend).await;
    let client = Client::new(&process.url());
    let mut client = client.with_header("x-other", "other").with_header("cookie", "a=b");
    client.initialize().await.unwrap();
    client.call("1", "b_who", "{}").await.unwrap();
    for seen in backend.seen() {
        for header in ["x-other", "cookie", TENANT, "x-request-source"] {
            assert!(!seen.headers.contains_key(header), "{header}");
        }
    }
}

/// What a backend repeats of them is told to nobody.
#[tokio::test]
async fn what_is_passed_on_is_told_to_nobody() {
    let backend = of_tenants().await;
    backend.script(
        "tools/call",
        handler(async |call: Call| {
            let body = format!("no such tenant: {}", tenant(&call)).into();
            Answer::Http { status: 500, content_type: None, body }
        }),
    );
    let process = passing(&backend).await;
    let client = client(&process, Some("tenant-of-alice")).await;
    let answer = client.call("1", "b_who", "{}").await.unwrap();
    assert!(answer.error().unwrap().contains("no such tenant: ***"), "{answer:?}");
    let (_, status) = fetch(&process.url_of("/status")).await.unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&status), process.log());
    assert!(!told.contains("tenant-of-alice"), "{told}");
}
