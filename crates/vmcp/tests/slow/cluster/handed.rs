//! What a backend has handed out to a session is known on every replica.

use vmcp_testkit::{
    client::Client,
    gateway::{Gateway, eventually},
    raw::{Answer, Call, RawServer, Running, handler},
    redis::RedisServer,
};

use super::{over, replicated};

/// A backend that links to what no list has, and answers every read with its name.
async fn backend(name: &'static str) -> Running {
    let read = handler(move |call: Call| async move {
        let uri: String = call.param("uri").unwrap();
        Answer::from(format!(r#"{{"contents":[{{"uri":"{uri}","text":"{name}"}}]}}"#))
    });
    let link = r#"{"content":[{"type":"resource_link","uri":"odd://link","name":"x"}]}"#;
    let server = RawServer::builder()
        .resource(&format!(r#"{{"uri":"{name}://listed","name":"x"}}"#), "{}")
        .script("resources/read", read)
        .tool(r#"{"name":"link","inputSchema":{"type":"object"}}"#, link);
    server.start().await.unwrap()
}

async fn reader(client: &Client) -> Option<String> {
    let answer = client.request("9", "resources/read", r#"{"uri":"odd://link"}"#).await.unwrap();
    answer.json()["result"]["contents"][0]["text"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn what_was_handed_out_on_one_replica_is_read_on_all() {
    let redis = RedisServer::start().await.unwrap();
    let (a, b) = (backend("a").await, backend("b").await);
    let gateway = Gateway::before(&[("a", a.url()), ("b", b.url())]);
    let cluster = replicated(3, &over(gateway, &redis.address(), "")).await;
    let first = Client::connect(&cluster.url_of(0)).await.unwrap();
    let [second, third] = [1, 2].map(|replica| first.at(&cluster.url_of(replica)));
    // The session is live on the second, and unknown to the third.
    assert_eq!(reader(&second).await, None);
    first.call("1", "b_link", "{}").await.unwrap().result().unwrap();
    assert_eq!(reader(&third).await.as_deref(), Some("b"));
    let told = async || (reader(&second).await.as_deref() == Some("b")).then_some(());
    eventually("the second is told", told).await;
    // The last one that hands it out is asked, wherever.
    third.call("2", "a_link", "{}").await.unwrap().result().unwrap();
    let told = async || (reader(&first).await.as_deref() == Some("a")).then_some(());
    eventually("the first is told", told).await;
}
