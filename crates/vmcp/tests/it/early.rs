//! What a server asks as soon as its session is set, before it is sent a call.

use serde_json::{Value, json};
use tokio::time::{Duration, Instant, timeout};
use vmcp_testkit::{
    CHILD,
    client::{Client, Message, Response},
    gateway::Gateway,
    peers,
    process::Process,
};

use crate::{connect, serve};

const ROOTS: &str = r#"{"roots":[{"uri":"file:///home/ann"}]}"#;

/// A gateway before a program, `kid`, that asks for the client's roots as soon as it may.
async fn program() -> Process {
    let backend = format!("name: kid, command: python3, args: ['{CHILD}', '--ask-roots']");
    serve(&Gateway::before(&[]).backend(&backend)).await
}

async fn next(stream: &mut Response) -> Message {
    let message = timeout(Duration::from_secs(30), stream.message()).await;
    message.expect("a message").unwrap().unwrap()
}

/// What the program knew of the client's roots when it was called.
fn known(answer: &Message) -> Value {
    serde_json::from_str(&answer.text().unwrap()).unwrap()
}

async fn answer(client: &Client, question: &Message) {
    assert_eq!(question.method().unwrap(), "roots/list");
    assert_eq!(client.answer(question, ROOTS).await.unwrap(), 202);
}

#[tokio::test]
async fn a_client_without_a_stream_is_asked_on_the_first_calls() {
    let process = program().await;
    let client = connect(&process).await;
    let mut call = client.open_call("1", "kid_roots", "{}").await.unwrap();
    answer(&client, &next(&mut call).await).await;
    let answered = known(&call.answer("1").await.unwrap());
    assert_eq!(answered["result"], serde_json::from_str::<Value>(ROOTS).unwrap(), "{answered}");
    // It asks once.
    let again = client.call("2", "kid_roots", "{}").await.unwrap();
    assert!(again.before.is_empty(), "{again:?}");
}

/// The call has begun when it is held up, so the end of the process waits for it as for any other.
#[tokio::test]
async fn a_call_that_waits_for_the_clients_answer_outlives_the_order_to_end() {
    let mut process = program().await;
    let client = connect(&process).await;
    let mut call = client.open_call("1", "kid_roots", "{}").await.unwrap();
    let question = next(&mut call).await;
    process.signal(rustix::process::Signal::TERM).unwrap();
    answer(&client, &question).await;
    let answered = known(&call.answer("1").await.unwrap());
    assert_eq!(answered["result"], serde_json::from_str::<Value>(ROOTS).unwrap(), "{answered}");
    assert!(process.wait().await.unwrap().success(), "{}", process.log());
}

#[tokio::test]
async fn a_client_with_a_stream_is_asked_there() {
    let process = program().await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    let calling = client.call("1", "kid_roots", "{}");
    let answering = async { answer(&client, &next(&mut get).await).await };
    let (called, ()) = tokio::join!(calling, answering);
    let called = called.unwrap();
    assert!(called.before.is_empty(), "{called:?}");
    assert_eq!(known(&called)["result"], serde_json::from_str::<Value>(ROOTS).unwrap());
}

/// The call is not held up for ever, and the answer is taken when it comes.
#[tokio::test]
async fn a_client_that_does_not_answer_has_its_call_made() {
    let process = program().await;
    let client = connect(&process).await;
    let mut call = client.open_call("1", "kid_roots", "{}").await.unwrap();
    let question = next(&mut call).await;
    assert_eq!(known(&call.answer("1").await.unwrap()), Value::Null);
    answer(&client, &question).await;
    vmcp_testkit::gateway::eventually("the program has the answer", async || {
        let called = client.call("2", "kid_roots", "{}").await.unwrap();
        (known(&called)["result"] == serde_json::from_str::<Value>(ROOTS).unwrap()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_call_that_is_cancelled_meanwhile_is_not_made() {
    let process = program().await;
    let client = connect(&process).await;
    let mut call = client.open_call("1", "kid_count", "{}").await.unwrap();
    let question = next(&mut call).await;
    let cancelled = client.notify("notifications/cancelled", r#"{"requestId":1}"#).await.unwrap();
    assert_eq!(cancelled, 202);
    let more = call.message().await.unwrap();
    assert!(more.is_none(), "the specification wants no response: {more:?}");
    answer(&client, &question).await;
    let called = client.call("2", "kid_count", "{}").await.unwrap();
    assert_eq!(called.text().unwrap(), "1");
}

/// A client that has said nothing of roots is not asked, and neither is anybody for it.
#[tokio::test]
async fn a_client_without_roots_is_not_asked() {
    let process = program().await;
    let mut client = Client::new(&process.url());
    client.initialize_as("2025-11-25", r#"{"sampling":{}}"#).await.unwrap();
    let called = client.call("1", "kid_roots", "{}").await.unwrap();
    assert!(called.before.is_empty(), "{called:?}");
    let declined = known(&called);
    assert!(declined.is_null() || declined["error"]["code"] == json!(-32601), "{declined}");
}

#[tokio::test]
async fn it_is_so_over_http_and_sse() {
    let server = peers::curious_sse(0).await.unwrap();
    let backend = format!("name: a, url: '{}', transport: sse", server.url());
    let process = serve(&Gateway::before(&[]).backend(&backend)).await;
    let client = connect(&process).await;
    let mut call = client.open_call("1", "a_roots", "{}").await.unwrap();
    answer(&client, &next(&mut call).await).await;
    assert_eq!(call.answer("1").await.unwrap().text().unwrap(), "file:///home/ann");
}

/// Nobody waits for an answer that cannot be delivered, because the server that asked has gone.
#[tokio::test]
async fn a_question_ends_with_the_session_on_which_it_was_asked() {
    let server = peers::curious_sse(0).await.unwrap();
    let backend = format!("name: a, url: '{}', transport: sse", server.url());
    let process = serve(&Gateway::before(&[]).backend(&backend)).await;
    let client = connect(&process).await;
    let mut call = client.open_call("1", "a_roots", "{}").await.unwrap();
    let question = next(&mut call).await;
    let asked = Instant::now();
    server.forget_sessions();
    assert_eq!(client.answer(&question, ROOTS).await.unwrap(), 202);
    let answered = next(&mut call).await;
    let waited = asked.elapsed();
    assert!(waited < Duration::from_millis(2500), "the answer was waited for: {waited:?}");
    assert_eq!(answered.id().as_deref(), Some("1"), "{answered:?}");
}

/// Over HTTP a client is asked outside of calls on its stream alone.
#[tokio::test]
async fn it_is_so_over_streamable_http_with_a_stream() {
    let server = peers::curious(0).await.unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    let calling = client.call("1", "a_roots", "{}");
    let answering = async { answer(&client, &next(&mut get).await).await };
    let (called, ()) = tokio::join!(calling, answering);
    assert_eq!(called.unwrap().text().unwrap(), "file:///home/ann");
}
