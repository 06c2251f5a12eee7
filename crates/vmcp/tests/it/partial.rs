//! Backends of which some list cannot be read, or none.

use std::time::Duration;

use serde_json::{Value, json};
use vmcp_testkit::{
    CHILD,
    client::fetch,
    gateway::{Gateway, eventually},
    process::Process,
    raw::{Answer, Kind, RawServer, Running, fixed},
};

use crate::{connect, serve};

const LISTS: [&str; 4] =
    ["tools/list", "resources/list", "resources/templates/list", "prompts/list"];

/// What cannot be read as a list.
fn unreadable() -> [(&'static str, Answer); 8] {
    let http = |status, body: &'static str| Answer::Http {
        status,
        content_type: Some("text/plain"),
        body: body.into(),
    };
    [
        ("500", http(500, "out of order")),
        ("404", http(404, "")),
        ("405", http(405, "")),
        ("an error", Answer::error(-32603, "out of order")),
        ("closed", Answer::Close),
        ("another member", "{\"items\":[]}".into()),
        ("null", "{\"tools\":null,\"prompts\":null,\"resources\":null}".into()),
        ("no object", "[]".into()),
    ]
}

async fn server() -> Running {
    RawServer::builder()
        .tool(r#"{"name":"t","inputSchema":{"type":"object"}}"#, Answer::text("here"))
        .resource(r#"{"name":"r","uri":"test://r"}"#, "{\"contents\":[]}")
        .offer(Kind::Templates, r#"{"name":"p","uriTemplate":"test://p/{x}"}"#, fixed("{}"))
        .prompt(r#"{"name":"p"}"#, "{\"messages\":[]}")
        .start()
        .await
        .unwrap()
}

async fn backend(process: &Process, name: &str) -> Value {
    let (_, report) = fetch(&process.url_of("/status")).await.unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let all = report["backends"].as_array().unwrap();
    all.iter().find(|one| one["name"] == name).unwrap().clone()
}

fn offers(lacking: Option<usize>) -> Value {
    let count = |index| u8::from(lacking != Some(index));
    json!({
        "tools": count(0), "resources": count(1), "resource_templates": count(2), "prompts": count(3),
    })
}

#[tokio::test]
async fn a_list_that_cannot_be_read_hides_nothing_but_itself() {
    for (name, answer) in unreadable() {
        for (index, list) in LISTS.into_iter().enumerate() {
            let raw = server().await;
            raw.script(list, fixed(answer.clone()));
            let process = serve(&Gateway::before(&[("b", raw.url())])).await;
            let client = connect(&process).await;
            let status = backend(&process, "b").await;
            assert_eq!(status["offers"], offers(Some(index)), "{list} {name}: {status}");
            let problem = status["offer_problem"].as_str().unwrap_or_default();
            assert!(problem.starts_with(list), "{list} {name}: {problem}");
            if index > 0 {
                client.call("1", "b_t", "{}").await.unwrap().result().unwrap();
            }
            // However often the list is tried again, on the same sessions.
            assert!(raw.counters().requests("initialize") <= 3, "{list} {name}");
        }
    }
}

#[tokio::test]
async fn a_list_that_takes_for_ever_hides_nothing_but_itself() {
    for hanging in ["resources/list", "prompts/list"] {
        let raw = server().await;
        raw.script(hanging, fixed(Answer::Hang));
        let process = serve(&Gateway::before(&[("b", raw.url())])).await;
        let client = connect(&process).await;
        // Long before the list is given up.
        let listed = eventually("the tool is listed", async || {
            let list = client.request("1", "tools/list", "{}").await.unwrap();
            (list.keys("tools", "name").unwrap() == ["b_t"]).then_some(())
        });
        tokio::time::timeout(Duration::from_secs(20), listed).await.expect(hanging);
        client.call("2", "b_t", "{}").await.unwrap().result().unwrap();
        let status = backend(&process, "b").await;
        let problem = status["offer_problem"].as_str().unwrap_or_default();
        assert!(problem.contains(&format!("{hanging}: it is still being read")), "{problem}");
    }
}

#[tokio::test]
async fn a_list_of_a_program_that_cannot_be_read_hides_nothing_but_itself() {
    for list in ["resources/list", "resources/templates/list"] {
        for habit in ["refuse", "odd"] {
            let child = format!("name: b, command: python3, args: ['{CHILD}', '--{habit}={list}']");
            let process = serve(&Gateway::before(&[]).backend(&child)).await;
            let client = connect(&process).await;
            client.call("1", "b_echo", "{}").await.unwrap().result().unwrap();
            let status = backend(&process, "b").await;
            let problem = status["offer_problem"].as_str().unwrap_or_default();
            // A method that it does not know is a list that it does not have.
            let expected = if habit == "odd" { list } else { "" };
            assert!(problem.starts_with(expected), "{list} {habit}: {problem}");
            assert_eq!(problem.is_empty(), expected.is_empty(), "{list} {habit}: {problem}");
        }
    }
}

#[tokio::test]
async fn what_was_read_before_is_kept_and_what_comes_back_is_found() {
    let raw = server().await;
    let process = serve(&Gateway::before(&[("b", raw.url())])).await;
    let client = connect(&process).await;
    raw.script("prompts/list", fixed(Answer::error(-32603, "out of order")));
    raw.add(Kind::Tools, r#"{"name":"new","inputSchema":{"type":"object"}}"#, fixed("{}")).await;
    eventually("the new tool is offered", async || {
        let status = backend(&process, "b").await;
        (status["offers"]["tools"] == 2 && !status["offer_problem"].is_null()).then_some(status)
    })
    .await;
    assert_eq!(backend(&process, "b").await["offers"]["prompts"], 1);
    eventually("the new tool can be called", async || {
        client.call("1", "b_new", "{}").await.unwrap().result().is_ok().then_some(())
    })
    .await;
    raw.unscript("prompts/list");
    eventually("the list is read again", async || {
        backend(&process, "b").await["offer_problem"].is_null().then_some(())
    })
    .await;
}

/// Whatever answers at that place, it is no MCP server.
#[tokio::test]
async fn what_never_makes_an_offer_is_not_healthy() {
    let refusals = [404, 429, 400, 405];
    let mut servers = Vec::new();
    for status in refusals {
        let raw = RawServer::builder().start().await.unwrap();
        let body = "not here".into();
        let refusal = Answer::Http { status, content_type: Some("text/plain"), body };
        raw.script("initialize", fixed(refusal));
        servers.push((format!("b{status}"), raw));
    }
    let list: Vec<_> = servers.iter().map(|(name, raw)| (name.as_str(), raw.url())).collect();
    let process = serve(&Gateway::before(&list)).await;
    for (name, _raw) in &servers {
        let status = eventually("it is unhealthy", async || {
            let status = backend(&process, name).await;
            assert_ne!(status["state"], "healthy", "{status}");
            (status["state"] == "unhealthy").then_some(status)
        })
        .await;
        assert!(status["last_error"].as_str().unwrap().contains("not here"), "{status}");
    }
    process.terminate().await.unwrap();
}

/// A backend that begins to list more than is held goes on as it was, and is told of by name.
#[tokio::test]
async fn a_list_that_becomes_too_much_leaves_the_last_good_one() {
    let raw = server().await;
    let gateway = Gateway::before(&[("b", raw.url())]).with("limits: {listBytes: 20KiB}");
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    assert_eq!(backend(&process, "b").await["offers"], offers(None));
    let description = "x".repeat(1000);
    let endless = vmcp_testkit::raw::handler(move |call| {
        let cursor: String = call.param("cursor").unwrap_or_default();
        let tool = json!({
            "name": format!("t{cursor}"), "description": description, "inputSchema": {"type": "object"},
        });
        let page = json!({"tools": [tool], "nextCursor": format!("{cursor}x")}).to_string();
        async move { Answer::from(page) }
    });
    raw.script("tools/list", endless);
    raw.notify_all("notifications/tools/list_changed", "{}").await;
    let problem = eventually("it is found", async || {
        let status = backend(&process, "b").await;
        status["offer_problem"].as_str().map(str::to_owned)
    })
    .await;
    assert!(problem.contains("more than 20480 bytes (limits.listBytes)"), "{problem}");
    assert!(process.log().contains("more than 20480 bytes"));
    let asked = raw.counters().requests("tools/list");
    for _again in 0..5 {
        raw.notify_all("notifications/tools/list_changed", "{}").await;
        client.request("1", "tools/list", "{}").await.unwrap();
        client.call("2", "b_t", "{}").await.unwrap().result().unwrap();
    }
    let status = backend(&process, "b").await;
    assert_eq!(status["offers"], offers(None), "{status}");
    assert_eq!(status["consecutive_failures"], 0, "{status}");
    assert!(raw.counters().requests("tools/list") <= asked + 25, "it is left alone");
}
