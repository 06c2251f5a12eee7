//! The conformance fixture; the official suite judges it at length, these are the parts it skips.

use std::collections::BTreeSet;

use http::StatusCode;
use vmcp_testkit::{
    client::Client,
    conformance::{self, Part},
};

async fn names(part: Part, method: &str, member: &str, key: &str) -> BTreeSet<String> {
    let server = conformance::start(part, 0).await.unwrap();
    let mut client = Client::new(&server.url());
    client.initialize().await.unwrap();
    let list = client.request("1", method, "{}").await.unwrap().json();
    let all = list["result"][member].as_array().unwrap().iter();
    all.map(|one| one[key].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_parts_make_the_whole() {
    for (method, member, key) in [
        ("tools/list", "tools", "name"),
        ("resources/list", "resources", "uri"),
        ("resources/templates/list", "resourceTemplates", "uriTemplate"),
        ("prompts/list", "prompts", "name"),
    ] {
        let all = names(Part::All, method, member, key).await;
        let a = names(Part::A, method, member, key).await;
        let b = names(Part::B, method, member, key).await;
        assert!(a.is_disjoint(&b));
        assert_eq!(&a | &b, all, "{method}");
    }
}

#[tokio::test]
async fn lists_and_the_watched_resource_change_for_every_session() {
    let server = conformance::start(Part::All, 0).await.unwrap();
    let (mut one, mut two) = (Client::new(&server.url()), Client::new(&server.url()));
    one.initialize().await.unwrap();
    two.initialize().await.unwrap();
    let mut stream = one.listen(None).await.unwrap();
    one.request("1", "resources/subscribe", r#"{"uri":"test://watched-resource"}"#).await.unwrap();
    for (tool, note) in [
        ("test_trigger_tool_change", "notifications/tools/list_changed"),
        ("test_trigger_prompt_change", "notifications/prompts/list_changed"),
        ("test_touch_watched_resource", "notifications/resources/updated"),
    ] {
        two.call("2", tool, "{}").await.unwrap().result().unwrap();
        assert_eq!(stream.message().await.unwrap().unwrap().method().unwrap(), note);
    }
    one.call("3", "test_extra_tool", "{}").await.unwrap().result().unwrap();
}

#[tokio::test]
async fn a_closed_stream_is_resumed() {
    let server = conformance::start(Part::All, 0).await.unwrap();
    let mut client = Client::new(&server.url());
    client.initialize().await.unwrap();
    let mut stream = client.open_call("1", "test_reconnection", "{}").await.unwrap();
    let mut last = None;
    while let Some(event) = stream.event().await.unwrap() {
        assert!(event.data.is_empty(), "the stream closes before the answer: {event:?}");
        last = event.id;
    }
    let mut rest = client.listen(last.as_deref()).await.unwrap();
    assert_eq!(rest.status(), StatusCode::OK);
    rest.answer_so_far("1").await.unwrap().result().unwrap();
}
