//! Clients that use the id of a request again while that is under way.

use serde_json::Value;
use tokio::sync::watch;
use vmcp_testkit::{
    client::Client,
    gateway::{Gateway, eventually},
    process::Process,
    raw::{Answer, Call, Form, Kind, RawServer, Running, handler},
};

use crate::{connect, serve};

/// A backend with `echo`, which reports progress, waits until it is told to answer or cancelled, and
/// answers with what it was sent.
struct Fixture {
    backend: Running,
    go: watch::Sender<bool>,
    process: Process,
    client: Client,
}

async fn fixture(form: Form) -> Fixture {
    let go = watch::Sender::new(false);
    let gone = go.clone();
    let echo = handler(move |call: Call| {
        let mut go = gone.subscribe();
        async move {
            let text: String = call.argument("text").unwrap();
            if let Some(token) = call.progress_token() {
                let params =
                    format!(r#"{{"progressToken":{token},"progress":1,"message":"{text}"}}"#);
                let _ = call.notify("notifications/progress", &params).await;
            }
            tokio::select! {
                _ = go.wait_for(|go| *go) => Answer::text(&text),
                () = call.cancelled.cancelled() => Answer::text("cancelled"),
            }
        }
    });
    let large = handler(|_call| async { Answer::Huge(1 << 20) });
    let tool = |name| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
    let backend = RawServer::builder().form(form).offer(Kind::Tools, &tool("echo"), echo).offer(
        Kind::Tools,
        &tool("large"),
        large,
    );
    let backend = backend.start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    Fixture { backend, go, process, client }
}

impl Fixture {
    /// Waits until so many calls have reached the backend.
    async fn reached(&self, calls: u64) {
        let reached = async || (self.backend.counters().calls("echo") == calls).then_some(());
        eventually("the calls reach the backend", reached).await;
    }

    /// The ids of the calls as the backend got them.
    fn ids(&self) -> Vec<String> {
        let seen = self.backend.seen().into_iter().filter(|seen| seen.method == "tools/call");
        let bodies = seen.map(|seen| serde_json::from_slice::<Value>(&seen.body).unwrap());
        let echoed = bodies.filter(|body| body["params"]["name"] == "echo");
        echoed.map(|body| body["id"].to_string()).collect()
    }
}

/// The arguments of one of the calls.
fn params(text: &str) -> String {
    format!(r#"{{"name":"a_echo","arguments":{{"text":"{text}"}},"_meta":{{"progressToken":7}}}}"#)
}

#[tokio::test]
async fn each_request_with_the_same_id_gets_its_own_answer() {
    for form in [Form::Json, Form::Sse] {
        let fixture = fixture(form).await;
        let client = &fixture.client;
        let texts = ["one", "two", "three"];
        let params = texts.map(params);
        let answers = async {
            tokio::join!(
                client.request("1", "tools/call", &params[0]),
                client.request("1", "tools/call", &params[1]),
                client.request("1", "tools/call", &params[2]),
            )
        };
        let going = async {
            fixture.reached(3).await;
            // What is large is served so too.
            let large = client.call("1", "a_large", "{}").await.unwrap();
            assert!(large.result().unwrap().len() > 1 << 20);
            fixture.go.send_replace(true);
        };
        let ((one, two, three), ()) = tokio::join!(answers, going);
        for (answer, text) in [one, two, three].into_iter().zip(texts) {
            let answer = answer.unwrap();
            assert_eq!(answer.id().as_deref(), Some("1"));
            assert_eq!(answer.text().unwrap(), text);
            for before in &answer.before {
                let params = before.params().unwrap();
                assert!(params.contains(r#""progressToken":7"#), "{params}");
                assert!(params.contains(text), "{text}: {params}");
            }
            assert_eq!(answer.before.len(), 1, "{text}");
        }
        // The backend could tell them apart, and the id is free again.
        let mut ids = fixture.ids();
        assert_eq!(ids.len(), 3, "{ids:?}");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 3, "{ids:?}");
        assert!(ids.contains(&"1".to_owned()), "{ids:?}");
        assert_eq!(
            client.request("1", "tools/call", &params[0]).await.unwrap().text().unwrap(),
            "one"
        );
    }
}

#[tokio::test]
async fn a_cancellation_reaches_the_newest_of_them() {
    let fixture = fixture(Form::Sse).await;
    let client = &fixture.client;
    let mut first = client.open("1", "tools/call", &params("one")).await.unwrap();
    let mut second = client.open("1", "tools/call", &params("two")).await.unwrap();
    fixture.reached(2).await;
    let status = client.notify("notifications/cancelled", r#"{"requestId":1}"#).await.unwrap();
    assert_eq!(status, 202);
    // Nothing more comes of the one; the other goes on.
    assert!(second.answer("1").await.is_err());
    fixture.go.send_replace(true);
    assert_eq!(first.answer("1").await.unwrap().text().unwrap(), "one");
    fixture.process.logged("several requests under way with the same id").await;
    let told = async || {
        (fixture.backend.counters().requests("notifications/cancelled") == 1).then_some(())
    };
    eventually("the backend is told", told).await;
}
