//! URIs that no list has as they stand.

use serde_json::json;
use vmcp_testkit::{
    gateway::Gateway,
    modern_client::ModernClient,
    peers,
    raw::{Answer, Call, RawServer, Running, handler},
};

use crate::{connect, serve};

/// Says which URI it was asked for, and lists some that URL classes would write in another way.
async fn notes() -> Running {
    let read = handler(|call: Call| async move {
        let uri: String = call.param("uri").unwrap();
        Answer::from(json!({"contents": [{"uri": uri, "text": uri}]}).to_string())
    });
    let mut notes = RawServer::builder()
        .capabilities(r#"{"resources":{"subscribe":true}}"#)
        .script("resources/read", read);
    for uri in ["Note:One", "x://Host/é"] {
        notes = notes.resource(&json!({"uri": uri, "name": uri}).to_string(), "{}");
    }
    notes.start().await.unwrap()
}

#[tokio::test]
async fn a_uri_reaches_its_backend_as_the_backend_writes_it() {
    let (notes, other) = (notes().await, peers::fidelity().start().await.unwrap());
    let process = serve(&Gateway::before(&[("a", other.url()), ("b", notes.url())])).await;
    let client = connect(&process).await;
    let modern = ModernClient::new(&process.url());
    for (sent, listed) in
        [("note:One", "Note:One"), ("x://Host/%C3%A9", "x://Host/é"), ("Note:One", "Note:One")]
    {
        let params = json!({"uri": sent});
        let read = client.request("1", "resources/read", &params.to_string()).await.unwrap();
        assert_eq!(read.json()["result"]["contents"][0]["text"], listed);
        let read = modern.request("resources/read", params).await.unwrap().result().unwrap();
        assert_eq!(read["contents"][0]["text"], listed);
    }
    let refused = client.request("2", "resources/read", r#"{"uri":"note:Two"}"#).await.unwrap();
    assert_eq!(refused.error_code().unwrap(), -32002);
}

#[tokio::test]
async fn updates_of_a_resource_come_however_its_uri_was_written() {
    let notes = notes().await;
    let process = serve(&Gateway::before(&[("b", notes.url())])).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    let params = r#"{"uri":"note:One"}"#;
    client.request("1", "resources/subscribe", params).await.unwrap().result().unwrap();
    assert_eq!(notes.sessions().iter().flat_map(|one| one.subscriptions()).count(), 1);
    notes.notify_all("notifications/resources/updated", r#"{"uri":"Note:One"}"#).await;
    let told = get.message().await.unwrap().unwrap();
    assert_eq!(told.params().unwrap(), r#"{"uri":"Note:One"}"#);
    client.request("2", "resources/unsubscribe", params).await.unwrap().result().unwrap();
    assert_eq!(notes.sessions().iter().flat_map(|one| one.subscriptions()).count(), 0);
}

/// A result may link to what is not listed. Where one backend alone has resources, it can only be its own.
#[tokio::test]
async fn what_is_not_listed_is_asked_of_the_only_backend_with_resources() {
    let (notes, other) = (notes().await, peers::slow().start().await.unwrap());
    let process = serve(&Gateway::before(&[("a", other.url()), ("b", notes.url())])).await;
    let client = connect(&process).await;
    let read = client.request("1", "resources/read", r#"{"uri":"note:Two"}"#).await.unwrap();
    assert_eq!(read.json()["result"]["contents"][0]["text"], "note:Two");
}
