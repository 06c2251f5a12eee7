//! What a client was asked to do at a URL is done when the call that asked has ended.

use std::sync::Arc;

use tokio::sync::Notify;
use vmcp_testkit::{
    client::{Client, Message},
    gateway::{Gateway, eventually},
    peers,
    process::Process,
    raw::{Answer, Call, Form, Kind, RawServer, Running, handler},
};

use crate::{connect, serve};

const DONE: &str = "notifications/elicitation/complete";
const ASKED: &str =
    r#"{"mode":"url","message":"Sign in","url":"http://127.0.0.1/s","elicitationId":"e-1"}"#;

/// A backend whose calls ask for something at a URL; it is done only when the test says so.
struct Fixture {
    backend: Running,
    /// Another one.
    other: Running,
    process: Process,
    client: Client,
    go: Arc<Notify>,
}

async fn fixture(form: Form) -> Fixture {
    let (go, waiting) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let ask = handler(|call: Call| async move {
        let _ = call.ask("elicitation/create", ASKED).await;
        Answer::text("later")
    });
    let refuse = handler(|_call| async {
        let padding = "x".repeat(2000);
        Answer::Error(
            format!(r#"{{"code":-32042,"message":"sign in","data":{{"elicitations":[{ASKED}],"x":"{padding}"}}}}"#)
                .into(),
        )
    });
    let gone = Arc::clone(&go);
    let wait = handler(move |call: Call| {
        let (go, waiting) = (Arc::clone(&gone), Arc::clone(&waiting));
        async move {
            let _ = call.notify("notifications/message", r#"{"level":"error","data":1}"#).await;
            waiting.notify_one();
            go.notified().await;
            Answer::text("waited")
        }
    });
    let tool = |name| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
    let backend = RawServer::builder()
        .form(form)
        .capabilities(r#"{"tools":{},"logging":{}}"#)
        .offer(Kind::Tools, &tool("ask"), ask)
        .offer(Kind::Tools, &tool("refuse"), refuse)
        .offer(Kind::Tools, &tool("wait"), wait);
    let backend = backend.start().await.unwrap();
    let other = peers::changing().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url()), ("b", other.url())])).await;
    let client = connect(&process).await;
    Fixture { backend, other, process, client, go }
}

impl Fixture {
    /// Makes the client be asked, by a call that ends, and gives when the backend's own stream is listened to.
    async fn asked(&self, tool: &str) {
        let mut stream = self.client.open_call("1", tool, "{}").await.unwrap();
        if tool == "a_ask" {
            let question = stream.message().await.unwrap().unwrap();
            let agreed = r#"{"action":"accept"}"#;
            assert_eq!(self.client.answer(&question, agreed).await.unwrap(), 202);
            assert_eq!(stream.answer("1").await.unwrap().text().unwrap(), "later");
        } else {
            let answer = stream.answer("1").await.unwrap();
            assert!(answer.error().unwrap().contains("elicitations"));
        }
        self.listened().await;
    }

    async fn listened(&self) {
        let listened = async || self.used().is_some_and(|used| used.listens()).then_some(());
        eventually("the backend session is listened to", listened).await;
    }

    /// The backend session of the client, which is not that of vmcp's own watch.
    fn used(&self) -> Option<Arc<vmcp_testkit::raw::Session>> {
        let sessions = self.backend.sessions();
        sessions.into_iter().find(|session| {
            let initialize = String::from_utf8_lossy(session.initialize()).into_owned();
            initialize.contains("elicitation")
        })
    }

    async fn done(&self) {
        self.used().unwrap().notify(DONE, r#"{"elicitationId":"e-1","x":1.0}"#).await;
    }
}

fn assert_done(message: &Message) {
    assert_eq!(message.method().as_deref(), Some(DONE));
    assert_eq!(message.params(), Some(r#"{"elicitationId":"e-1","x":1.0}"#));
}

#[tokio::test]
async fn a_client_hears_on_its_get_stream_that_it_is_done() {
    let fixture = fixture(Form::Sse).await;
    let mut get = fixture.client.listen(None).await.unwrap();
    fixture.asked("a_ask").await;
    fixture.done().await;
    assert_done(&get.message().await.unwrap().unwrap());
}

#[tokio::test]
async fn nobody_but_who_has_asked_says_that_it_is_done() {
    let fixture = fixture(Form::Sse).await;
    let mut get = fixture.client.listen(None).await.unwrap();
    eventually("both are there", async || {
        let list = fixture.client.request("5", "tools/list", "{}").await.unwrap();
        list.keys("tools", "name").unwrap().contains(&"b_touch".to_owned()).then_some(())
    })
    .await;
    fixture.client.call("6", "b_touch", r#"{"uri":"change://one"}"#).await.unwrap();
    eventually("the other is listened to", async || {
        (fixture.other.sessions().iter().filter(|session| session.listens()).count() == 2)
            .then_some(())
    })
    .await;
    fixture.asked("a_ask").await;
    fixture.other.notify_all(DONE, r#"{"elicitationId":"e-1"}"#).await;
    fixture.other.notify_all("notifications/message", r#"{"level":"error","data":"b"}"#).await;
    let next = get.message().await.unwrap().unwrap();
    assert_eq!(next.method().as_deref(), Some("notifications/message"));
    fixture.done().await;
    assert_done(&get.message().await.unwrap().unwrap());
}

#[tokio::test]
async fn a_client_without_a_get_stream_hears_it_on_a_call_that_is_under_way() {
    for tool in ["a_ask", "a_refuse"] {
        for form in [Form::Json, Form::Sse] {
            let fixture = fixture(form).await;
            fixture.asked(tool).await;
            let mut call = fixture.client.open_call("2", "a_wait", "{}").await.unwrap();
            let first = call.message().await.unwrap().unwrap();
            assert_eq!(first.method().as_deref(), Some("notifications/message"));
            fixture.done().await;
            assert_done(&call.message().await.unwrap().unwrap());
            fixture.go.notify_one();
            assert_eq!(call.answer("2").await.unwrap().text().unwrap(), "waited");
        }
    }
}

#[tokio::test]
async fn it_waits_for_a_client_that_has_no_stream() {
    let fixture = fixture(Form::Sse).await;
    fixture.asked("a_ask").await;
    fixture.done().await;
    // Nothing more is to be heard.
    let over = async || (!fixture.used().unwrap().listens()).then_some(());
    eventually("nobody listens any more", over).await;
    let mut get = fixture.client.listen(None).await.unwrap();
    assert_done(&get.message().await.unwrap().unwrap());
    drop(fixture.process);
}
