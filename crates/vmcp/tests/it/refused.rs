//! What backends refuse, told to clients as it is.

use vmcp_testkit::{
    client::Message,
    gateway::{Gateway, eventually},
    modern_client::ModernClient,
    peers,
    raw::{Answer, Call, Handler, Kind, RawServer, Running, Seen, fixed, handler},
};

use crate::{connect, serve};

const TOOL: &str = r#"{"name":"ask","inputSchema":{"type":"object"}}"#;
const FORM: &str = r#"{"message":"?","requestedSchema":{"type":"object","properties":{}}}"#;

/// A tool that asks on the call's own stream, with a progress token of its own.
fn asks() -> Handler {
    handler(async |call: Call| {
        let question = FORM.replacen('{', r#"{"_meta":{"progressToken":"srv"},"#, 1);
        match call.ask("elicitation/create", &question).await {
            Ok(_answer) => Answer::text("answered"),
            Err(_) => Answer::Hang,
        }
    })
}

#[tokio::test]
async fn a_refused_answer_ends_its_call_with_the_reason() {
    let raw = RawServer::builder()
        .refuses_answers("Missing session ID for the answer")
        .offer(Kind::Tools, TOOL, asks())
        .start()
        .await
        .unwrap();
    let process = serve(&Gateway::before(&[("b", raw.url())])).await;
    let client = connect(&process).await;
    let mut stream = client.open_call("1", "b_ask", "{}").await.unwrap();
    let question = stream.message().await.unwrap().unwrap();
    assert_eq!(client.answer(&question, r#"{"action":"accept"}"#).await.unwrap(), 202);
    let answer = stream.answer("1").await.unwrap();
    let error = answer.error().unwrap();
    assert!(error.contains("-32603") && error.contains("Missing session ID"), "{error}");
    process.logged("does not take the answer").await;
    let cancelled = |seen: &Seen| seen.method == "notifications/cancelled";
    eventually("the backend is told", async || raw.seen().iter().any(cancelled).then_some(()))
        .await;
}

/// Clients of official SDKs end their session at any status but 202 for what has no response.
#[tokio::test]
async fn what_has_no_response_is_taken_though_its_backend_is_gone() {
    let raw = RawServer::builder().offer(Kind::Tools, TOOL, asks()).start().await.unwrap();
    let process = serve(&Gateway::before(&[("b", raw.url())])).await;
    let client = connect(&process).await;
    let mut open = Vec::new();
    for id in ["1", "2"] {
        let mut stream = client.open_call(id, "b_ask", "{}").await.unwrap();
        let question = stream.message().await.unwrap().unwrap();
        open.push((stream, question));
    }
    drop(raw);
    let (_stream, question) = &open[0];
    let token = &question.json()["params"]["_meta"]["progressToken"];
    for (method, params) in [
        ("notifications/progress", format!(r#"{{"progressToken":{token},"progress":1}}"#)),
        ("notifications/cancelled", r#"{"requestId":2}"#.into()),
        ("notifications/roots/list_changed", "{}".into()),
    ] {
        assert_eq!(client.notify(method, &params).await.unwrap(), 202, "{method}");
    }
    for (_stream, question) in &open {
        assert_eq!(client.answer(question, r#"{"action":"accept"}"#).await.unwrap(), 202);
    }
}

#[tokio::test]
async fn progress_about_questions_of_two_backends_goes_to_each_its_own() {
    let server = || RawServer::builder().offer(Kind::Tools, TOOL, asks());
    let (a, b) = (server().start().await.unwrap(), server().start().await.unwrap());
    let process = serve(&Gateway::before(&[("a", a.url()), ("b", b.url())])).await;
    let client = connect(&process).await;
    let mut to_a = client.open_call("1", "a_ask", "{}").await.unwrap();
    let mut to_b = client.open_call("2", "b_ask", "{}").await.unwrap();
    let of_a = to_a.message().await.unwrap().unwrap();
    let of_b = to_b.message().await.unwrap().unwrap();
    let token =
        |question: &Message| question.json()["params"]["_meta"]["progressToken"].to_string();
    assert_ne!(token(&of_a), token(&of_b), "the client must be able to tell them apart");
    for (question, progress) in [(&of_b, 1), (&of_a, 2), (&of_b, 3)] {
        let params = format!(r#"{{"progressToken":{},"progress":{progress}}}"#, token(question));
        client.notify("notifications/progress", &params).await.unwrap();
    }
    let nobodys = r#"{"progressToken":"srv","progress":4}"#;
    client.notify("notifications/progress", nobodys).await.unwrap();
    for (question, stream, id) in [(&of_a, &mut to_a, "1"), (&of_b, &mut to_b, "2")] {
        client.answer(question, r#"{"action":"accept"}"#).await.unwrap();
        stream.answer(id).await.unwrap().result().unwrap();
    }
    let heard = |running: &Running| {
        let seen = running.seen().into_iter();
        let progress = seen.filter(|seen| seen.method == "notifications/progress");
        progress.map(|seen| String::from_utf8_lossy(&seen.body).into_owned()).collect::<Vec<_>>()
    };
    let of = |progress| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":"srv","progress":{progress}}}}}"#
        )
    };
    assert_eq!(heard(&a), [of(2)]);
    assert_eq!(heard(&b), [of(1), of(3)]);
}

/// Some servers answer what they do not know outside the protocol, or as if they did not know the
/// session.
#[tokio::test]
async fn a_method_that_nobody_knows_is_not_found() {
    for status in [400, 404, 405] {
        let raw = peers::stateful().start().await.unwrap();
        let body = "JSON RPC not handled".into();
        let refusal = Answer::Http { status, content_type: Some("text/plain"), body };
        raw.script("acme/unknown", fixed(refusal));
        let process = serve(&Gateway::before(&[("b", raw.url())])).await;
        let client = connect(&process).await;
        client.call("1", "b_count", "{}").await.unwrap().result().unwrap();
        let answer = client.request("2", "acme/unknown", "{}").await.unwrap();
        let error = answer.error().unwrap();
        assert!(error.contains("-32601"), "{status}: {error}");
        let answer = client.call("3", "b_count", "{}").await.unwrap();
        assert!(answer.result().unwrap().contains('2'), "{status}: the session stands");

        let modern = ModernClient::new(&process.url());
        let answer = modern.request("acme/unknown", serde_json::json!({})).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.error_code().unwrap()),
            (404, -32601),
            "{status}"
        );
    }
}
