//! Lists change and resources are updated while a client listens.

use http::StatusCode;
use serde_json::Value;
use tokio::time::{Duration, timeout};
use vmcp_testkit::{
    client::{Client, Response},
    gateway::{Gateway, eventually},
    peers,
    raw::{Answer, Kind, Running, fixed},
};

use crate::{connect, serve};

/// Long enough for a notification that must not come to show itself.
const MOMENT: Duration = Duration::from_millis(400);

async fn names(client: &Client, list: &str, member: &str, key: &str) -> Vec<String> {
    client.request("1", list, "{}").await.unwrap().keys(member, key).unwrap()
}

/// The next notification of the stream: its method and parameters.
async fn next(stream: &mut Response) -> (String, Value) {
    let message = stream.message().await.unwrap().unwrap();
    (message.method().unwrap(), message.json()["params"].clone())
}

async fn quiet(stream: &mut Response) {
    let more = timeout(MOMENT, stream.message()).await;
    assert!(more.is_err(), "nothing more was to come: {more:?}");
}

/// The gateway's own watch must be open before it can notice a change.
async fn watched(backend: &Running) {
    eventually("somebody listens to the backend", async || {
        backend.sessions().iter().any(|one| one.listens()).then_some(())
    })
    .await;
}

fn tool(name: &str) -> String {
    format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#)
}

#[tokio::test]
async fn tools_that_come_and_go_are_announced_once_and_listed_right() {
    let (changing, still) =
        (peers::changing().start().await.unwrap(), peers::slow().start().await.unwrap());
    let gateway = Gateway::before(&[("a", changing.url()), ("b", still.url())]);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    watched(&changing).await;
    let before = ["a_add", "a_remove", "a_touch", "b_slow"];
    assert_eq!(names(&client, "tools/list", "tools", "name").await, before);

    changing.add(Kind::Tools, &tool("extra"), fixed(Answer::text("extra"))).await;
    assert_eq!(next(&mut get).await.0, "notifications/tools/list_changed");
    let after = ["a_add", "a_remove", "a_touch", "a_extra", "b_slow"];
    assert_eq!(names(&client, "tools/list", "tools", "name").await, after);
    assert_eq!(client.call("2", "a_extra", "{}").await.unwrap().text().unwrap(), "extra");

    changing.remove(Kind::Tools, "extra").await;
    assert_eq!(next(&mut get).await.0, "notifications/tools/list_changed");
    assert_eq!(names(&client, "tools/list", "tools", "name").await, before);
    let calls = changing.counters().calls("extra");
    let refused = client.call("3", "a_extra", "{}").await.unwrap();
    assert_eq!(refused.error_code().unwrap(), -32602);
    assert_eq!(changing.counters().calls("extra"), calls, "the backend is not even asked");
    quiet(&mut get).await;
}

/// A call on the session's own backend session makes the change, so that the news reaches the
/// gateway on the session's stream and on its own watch alike; the client gets it once.
#[tokio::test]
async fn a_change_that_the_session_hears_of_itself_is_announced_once() {
    let changing = peers::changing().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", changing.url())])).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    for (tool, argument) in [("a_add", "one"), ("a_add", "two"), ("a_remove", "one")] {
        let arguments = format!(r#"{{"name":"{argument}"}}"#);
        client.call("1", tool, &arguments).await.unwrap().result().unwrap();
        assert_eq!(next(&mut get).await.0, "notifications/tools/list_changed");
    }
    let after = ["a_add", "a_remove", "a_touch", "a_two"];
    assert_eq!(names(&client, "tools/list", "tools", "name").await, after);
    quiet(&mut get).await;
}

#[tokio::test]
async fn resources_and_prompts_come_and_go_too() {
    let backend = peers::fidelity().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    watched(&backend).await;
    let resource = r#"{"uri":"x://new","name":"new"}"#;
    backend.add(Kind::Resources, resource, fixed(r#"{"contents":[]}"#)).await;
    assert_eq!(next(&mut get).await.0, "notifications/resources/list_changed");
    let uris = names(&client, "resources/list", "resources", "uri").await;
    assert_eq!(uris, ["fidelity://one", "x://new"]);
    backend.remove(Kind::Resources, "x://new").await;
    assert_eq!(next(&mut get).await.0, "notifications/resources/list_changed");
    let read = client.request("2", "resources/read", r#"{"uri":"x://new"}"#).await.unwrap();
    assert_eq!(read.error_code().unwrap(), -32002);

    let template = r#"{"uriTemplate":"y://{id}","name":"y"}"#;
    backend.add(Kind::Templates, template, fixed(r#"{"contents":[]}"#)).await;
    assert_eq!(next(&mut get).await.0, "notifications/resources/list_changed");
    client.request("3", "resources/read", r#"{"uri":"y://7"}"#).await.unwrap().result().unwrap();

    backend.add(Kind::Prompts, r#"{"name":"new"}"#, fixed(r#"{"messages":[]}"#)).await;
    assert_eq!(next(&mut get).await.0, "notifications/prompts/list_changed");
    assert_eq!(names(&client, "prompts/list", "prompts", "name").await, ["a_prompt", "a_new"]);
    backend.remove(Kind::Prompts, "new").await;
    assert_eq!(next(&mut get).await.0, "notifications/prompts/list_changed");
    let gone = client.request("4", "prompts/get", r#"{"name":"a_new"}"#).await.unwrap();
    assert_eq!(gone.error_code().unwrap(), -32602);
    quiet(&mut get).await;
}

/// A hundred changes at once are a handful of announcements, the last after the last change.
#[tokio::test]
async fn many_changes_at_once_are_announced_together() {
    let backend = peers::changing().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    watched(&backend).await;
    for number in 0..100 {
        let name = tool(&format!("n{number}"));
        backend.add(Kind::Tools, &name, fixed(Answer::text("n"))).await;
    }
    let mut announced = 0;
    while names(&client, "tools/list", "tools", "name").await.len() < 103 {
        assert_eq!(next(&mut get).await.0, "notifications/tools/list_changed");
        announced += 1;
    }
    while timeout(MOMENT, get.message()).await.is_ok() {
        announced += 1;
    }
    assert!((1..=10).contains(&announced), "{announced} announcements");
}

#[tokio::test]
async fn updates_of_a_resource_come_while_subscribed_and_not_after() {
    let (a, b) = (peers::asking().start().await.unwrap(), peers::changing().start().await.unwrap());
    let process = serve(&Gateway::before(&[("a", a.url()), ("b", b.url())])).await;
    let client = connect(&process).await;
    let other = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    let mut others = other.listen(None).await.unwrap();
    let touch = async |uri: &str| {
        let tool = if uri.starts_with("change") { "b_touch" } else { "a_touch" };
        let arguments = format!(r#"{{"uri":"{uri}"}}"#);
        other.call("9", tool, &arguments).await.unwrap().result().unwrap();
    };
    for uri in ["ask://one", "change://one"] {
        let params = format!(r#"{{"uri":"{uri}"}}"#);
        let subscribed = client.request("1", "resources/subscribe", &params).await.unwrap();
        assert_eq!(subscribed.result().unwrap(), "{}");
        let (backend, liar) = if uri.starts_with("ask") { (&a, &b) } else { (&b, &a) };
        eventually("the subscribed session is listened to", async || {
            let sessions = backend.sessions();
            let mut sessions = sessions.iter();
            sessions.any(|one| !one.subscriptions().is_empty() && one.listens()).then_some(())
        })
        .await;
        touch("ask://two").await;
        // It is not theirs to say.
        liar.notify_all("notifications/resources/updated", &params).await;
        touch(uri).await;
        let (method, updated) = next(&mut get).await;
        assert_eq!(method, "notifications/resources/updated");
        assert_eq!(updated["uri"], uri);
        let unsubscribed = client.request("2", "resources/unsubscribe", &params).await.unwrap();
        assert_eq!(unsubscribed.result().unwrap(), "{}");
        touch(uri).await;
    }
    quiet(&mut get).await;
    quiet(&mut others).await;
    let unknown = r#"{"uri":"ask://nobody"}"#;
    let refused = client.request("3", "resources/subscribe", unknown).await.unwrap();
    assert_eq!(refused.error_code().unwrap(), -32002);
}

#[tokio::test]
async fn a_client_may_subscribe_first_and_listen_later() {
    let backend = peers::asking().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    let params = r#"{"uri":"ask://one"}"#;
    client.request("1", "resources/subscribe", params).await.unwrap().result().unwrap();
    let mut get = client.listen(None).await.unwrap();
    assert_eq!(get.status(), StatusCode::OK);
    eventually("the session is listened to", async || {
        let sessions = backend.sessions();
        sessions.iter().any(|one| !one.subscriptions().is_empty() && one.listens()).then_some(())
    })
    .await;
    backend.update("ask://one").await;
    assert_eq!(next(&mut get).await.0, "notifications/resources/updated");
}
