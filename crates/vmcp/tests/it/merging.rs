//! What several backends say about themselves, said with one voice; and what has no name to go by.

use serde_json::{Value, json};
use vmcp_testkit::{
    client::Client,
    gateway::{Gateway, eventually},
    peers,
    raw::{Answer, Call, RawServer, Running, handler},
};

use crate::{connect, serve};

async fn greeting(gateway: &Gateway) -> Value {
    let process = serve(gateway).await;
    Client::new(&process.url()).initialize().await.unwrap().json()["result"].clone()
}

#[tokio::test]
async fn initialize_advertises_what_the_backends_have_and_no_more() {
    let tools = RawServer::builder().capabilities(r#"{"tools":{}}"#).start().await.unwrap();
    let lonely = greeting(&Gateway::before(&[("a", tools.url())])).await;
    assert_eq!(lonely["capabilities"], json!({"tools": {"listChanged": true}}));
    assert_eq!(lonely["serverInfo"]["name"], "gateway");
    assert_eq!(lonely["protocolVersion"], "2025-11-25");
    assert!(lonely.get("_meta").is_none(), "nothing is missing: {lonely}");
    let rest = RawServer::builder()
        .capabilities(
            r#"{"prompts":{},"resources":{"subscribe":true},"logging":{},"completions":{},"tasks":{"list":{}},"experimental":{"x":{"y":1}}}"#,
        )
        .start()
        .await
        .unwrap();
    let merged = greeting(&Gateway::before(&[("a", tools.url()), ("b", rest.url())])).await;
    let expected = json!({
        "tools": {"listChanged": true},
        "prompts": {"listChanged": true},
        "resources": {"listChanged": true, "subscribe": true},
        "logging": {},
        "completions": {},
        "tasks": {"list": {}},
        "experimental": {"x": {"y": 1}},
    });
    assert_eq!(merged["capabilities"], expected);
}

#[tokio::test]
async fn instructions_are_merged_under_their_backends_names() {
    let server = |text: &str| peers::slow().instructions(text).start();
    let one = server("Use one \"well\".\nÄ").await.unwrap();
    let two = server("Use two.").await.unwrap();
    let silent = peers::slow().start().await.unwrap();
    let alone = greeting(&Gateway::before(&[("one", one.url()), ("silent", silent.url())])).await;
    assert_eq!(alone["instructions"], "Use one \"well\".\nÄ");
    let both = greeting(&Gateway::before(&[("one", one.url()), ("two", two.url())])).await;
    let text = both["instructions"].as_str().unwrap();
    for part in ["one", "Use one \"well\".\nÄ", "two", "Use two."] {
        assert!(text.contains(part), "{text}");
    }
    let none = greeting(&Gateway::before(&[("silent", silent.url())])).await;
    assert!(none.get("instructions").is_none());
}

async fn with_a_method_of_its_own() -> Running {
    let echo = handler(|call: Call| async move {
        let params = String::from_utf8_lossy(&call.params).into_owned();
        Answer::from(format!(r#"{{"echo":{params}}}"#))
    });
    peers::slow().script("vendor/echo", echo).start().await.unwrap()
}

#[tokio::test]
async fn an_unknown_method_goes_to_the_only_backend() {
    let backend = with_a_method_of_its_own().await;
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    let answer = client.request("1", "vendor/echo", r#"{"n":1.10,"z":1,"a":2}"#).await.unwrap();
    assert_eq!(answer.result().unwrap(), r#"{"echo":{"n":1.10,"z":1,"a":2}}"#);
    let unknown = client.request("2", "vendor/nothing", "{}").await.unwrap();
    assert_eq!(
        unknown.error().unwrap(),
        r#"{"code":-32601,"message":"no such method: vendor/nothing"}"#
    );
    assert_eq!(client.notify("notifications/vendor", r#"{"n":1.10}"#).await.unwrap(), 202);
    let told = eventually("the notification arrives", async || {
        backend.seen().into_iter().find(|seen| seen.method == "notifications/vendor")
    })
    .await;
    let body = String::from_utf8_lossy(&told.body).into_owned();
    assert_eq!(body, r#"{"jsonrpc":"2.0","method":"notifications/vendor","params":{"n":1.10}}"#);
}

#[tokio::test]
async fn an_unknown_method_among_two_backends_is_refused() {
    let (one, two) = (with_a_method_of_its_own().await, with_a_method_of_its_own().await);
    let process = serve(&Gateway::before(&[("a", one.url()), ("b", two.url())])).await;
    let client = connect(&process).await;
    let refused = client.request("1", "vendor/echo", "{}").await.unwrap();
    assert_eq!(refused.error_code().unwrap(), -32601);
    assert_eq!(client.notify("notifications/vendor", "{}").await.unwrap(), 202);
    client.call("2", "a_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    for backend in [&one, &two] {
        assert_eq!(backend.counters().requests("vendor/echo"), 0);
        assert_eq!(backend.counters().requests("notifications/vendor"), 0);
    }
}

#[tokio::test]
async fn the_clients_roots_change_for_every_backend_that_it_uses() {
    let (one, two) = (peers::slow().start().await.unwrap(), peers::slow().start().await.unwrap());
    let process = serve(&Gateway::before(&[("a", one.url()), ("b", two.url())])).await;
    let client = connect(&process).await;
    for tool in ["a_slow", "b_slow"] {
        client.call("1", tool, r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    }
    assert_eq!(client.notify("notifications/roots/list_changed", "{}").await.unwrap(), 202);
    eventually("both are told", async || {
        let told = |backend: &Running| {
            backend.counters().requests("notifications/roots/list_changed") == 1
        };
        (told(&one) && told(&two)).then_some(())
    })
    .await;
}
