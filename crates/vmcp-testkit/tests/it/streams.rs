//! Notifications, questions and subscriptions, on the call's stream and on the GET stream.

use http::StatusCode;
use vmcp_testkit::{
    client::{Client, Response},
    peers,
    raw::RawServer,
};

async fn client_of(url: &str) -> Client {
    let mut client = Client::new(url);
    client.initialize().await.unwrap();
    client
}

async fn methods_until(stream: &mut Response, last: &str) -> Vec<String> {
    let mut methods = Vec::new();
    while methods.last().map(String::as_str) != Some(last) {
        methods.push(stream.message().await.unwrap().unwrap().method().unwrap());
    }
    methods
}

#[tokio::test]
async fn questions_are_answered_on_the_calls_own_stream() {
    let server = peers::asking().start().await.unwrap();
    let client = client_of(&server.url()).await;
    for (number, tool) in ["ask_form", "ask_url", "ask_sampling", "ask_roots"].iter().enumerate() {
        let mut stream = client.open_call("1", tool, "{}").await.unwrap();
        let question = stream.message().await.unwrap().unwrap();
        assert_eq!(question.id().unwrap(), number.to_string());
        let said = r#"{"action":"accept","content":{"n":1.10}}"#;
        assert_eq!(client.answer(&question, said).await.unwrap(), StatusCode::ACCEPTED);
        let answer = stream.answer("1").await.unwrap();
        let whole =
            format!(r#""structuredContent":{{"jsonrpc":"2.0","id":{number},"result":{said}}}}}"#);
        assert!(answer.result().unwrap().ends_with(&whole), "{answer:?}");
        assert_eq!(answer.before.len(), usize::from(*tool == "ask_url"));
    }
    assert_eq!(server.counters().stray_answers(), 0);
}

#[tokio::test]
async fn questions_and_logs_go_out_on_the_get_stream_too() {
    let server = peers::asking().start().await.unwrap();
    let client = client_of(&server.url()).await;
    let mut stream = client.listen(None).await.unwrap();
    client.request("1", "logging/setLevel", r#"{"level":"critical"}"#).await.unwrap();
    client.call("2", "log", r#"{"on":"get"}"#).await.unwrap();
    for level in ["critical", "alert", "emergency"] {
        let note = stream.message().await.unwrap().unwrap();
        assert!(note.params().unwrap().contains(level), "{note:?}");
    }
    let call = client.open_call("3", "ask_form", r#"{"on":"get"}"#);
    let answering = async {
        let question = stream.message().await.unwrap().unwrap();
        client.answer(&question, r#"{"action":"decline"}"#).await.unwrap();
    };
    let (call, ()) = tokio::join!(call, answering);
    assert!(call.unwrap().answer("3").await.unwrap().result().unwrap().contains("decline"));
    let on_call = client.call("4", "log", "{}").await.unwrap();
    assert_eq!(on_call.before.len(), 3);
}

#[tokio::test]
async fn subscribers_hear_of_updates_and_nobody_else() {
    let server = peers::asking().start().await.unwrap();
    let (one, two) = (client_of(&server.url()).await, client_of(&server.url()).await);
    let (mut first, mut second) =
        (one.listen(None).await.unwrap(), two.listen(None).await.unwrap());
    one.request("1", "resources/subscribe", r#"{"uri":"ask://one"}"#).await.unwrap();
    two.call("2", "touch", r#"{"uri":"ask://one"}"#).await.unwrap();
    server.notify_all("notifications/last", "{}").await;
    let heard = methods_until(&mut first, "notifications/last").await;
    assert_eq!(heard, ["notifications/resources/updated", "notifications/last"]);
    assert_eq!(methods_until(&mut second, "notifications/last").await, ["notifications/last"]);
    one.request("3", "resources/unsubscribe", r#"{"uri":"ask://one"}"#).await.unwrap();
    server.update("ask://one").await;
    server.notify_all("notifications/last", "{}").await;
    assert_eq!(methods_until(&mut first, "notifications/last").await, ["notifications/last"]);
}

#[tokio::test]
async fn what_was_missed_is_replayed() {
    let server = RawServer::builder().start().await.unwrap();
    let client = client_of(&server.url()).await;
    let mut stream = client.listen(None).await.unwrap();
    server.notify_all("notifications/a", "{}").await;
    let seen = stream.message().await.unwrap().unwrap().event_id.unwrap();
    drop(stream);
    server.notify_all("notifications/b", "{}").await;
    let mut stream = client.listen(Some(&seen)).await.unwrap();
    assert_eq!(methods_until(&mut stream, "notifications/b").await, ["notifications/b"]);
    let wrong = client.listen(Some("never sent")).await.unwrap();
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_second_stream_takes_over_or_is_refused() {
    let server = RawServer::builder().start().await.unwrap();
    let client = client_of(&server.url()).await;
    let mut first = client.listen(None).await.unwrap();
    let _second = client.listen(None).await.unwrap();
    assert!(first.event().await.unwrap().is_none(), "the first stream ends in order");
    assert_eq!(server.counters().streams(), 2);

    let server = RawServer::builder().one_stream().start().await.unwrap();
    let client = client_of(&server.url()).await;
    let first = client.listen(None).await.unwrap();
    assert_eq!(client.listen(None).await.unwrap().status(), StatusCode::CONFLICT);
    drop(first);
    while server.counters().open_streams() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.listen(None).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_changed_list_is_announced() {
    let server = peers::changing().start().await.unwrap();
    let client = client_of(&server.url()).await;
    let mut stream = client.listen(None).await.unwrap();
    client.call("1", "add", r#"{"name":"new"}"#).await.unwrap();
    methods_until(&mut stream, "notifications/tools/list_changed").await;
    assert!(client.call("2", "new", "{}").await.unwrap().result().unwrap().contains("new"));
    client.call("3", "remove", r#"{"name":"new"}"#).await.unwrap();
    methods_until(&mut stream, "notifications/tools/list_changed").await;
    client.call("4", "new", "{}").await.unwrap().error().unwrap();
}
