//! Backends ask the client: sampling, elicitation, roots, on the call's own stream and on GET.

use serde_json::Value;
use vmcp_testkit::{
    client::{Client, Message},
    gateway::{Gateway, eventually},
    peers,
    raw::{Answer, Call, Kind, Running, handler},
};

use crate::{connect, serve};

const SAMPLE: &str =
    r#"{"role":"assistant","content":{"type":"text","text":"4"},"model":"m","x-cost":1.10}"#;
const NAMED: &str = r#"{"action":"accept","content":{"name":"Ann","age":1.0}}"#;
const AGREED: &str = r#"{"action":"accept"}"#;
const ROOTS: &str = r#"{"roots":[{"uri":"file:///tmp","name":"tmp","x-root":1e2}]}"#;

const QUESTIONS: [(&str, &str, &str, &str); 4] = [
    (
        "ask_form",
        "elicitation/create",
        r#"{"mode":"form","message":"Your name?","requestedSchema":{"type":"object","x-vendor":1.10,"properties":{"name":{"type":"string","x-hint":"first"}},"required":["name"]}}"#,
        NAMED,
    ),
    (
        "ask_url",
        "elicitation/create",
        r#"{"mode":"url","message":"Sign in","url":"http://127.0.0.1/sign-in?state=1","elicitationId":"e-1"}"#,
        AGREED,
    ),
    (
        "ask_sampling",
        "sampling/createMessage",
        r#"{"messages":[{"role":"user","content":{"type":"text","text":"2+2?"}}],"maxTokens":100,"temperature":0.10}"#,
        SAMPLE,
    ),
    ("ask_roots", "roots/list", "", ROOTS),
];

/// Two backends whose questions have the same ids.
async fn two_asking() -> (Running, Running, Gateway) {
    let (a, b) = (peers::asking().start().await.unwrap(), peers::asking().start().await.unwrap());
    let gateway = Gateway::before(&[("a", a.url()), ("b", b.url())]);
    (a, b, gateway)
}

fn assert_asked(question: &Message, method: &str, params: &str) {
    assert_eq!(question.method().unwrap(), method);
    assert_eq!(question.params().unwrap_or_default(), params);
}

/// What the backend was answered: the client's own bytes, with the backend's own id.
fn assert_answered(answer: &Message, result: &str) {
    let result_seen = answer.result().unwrap();
    let expected = format!(r#","result":{result}}}}}"#);
    assert!(result_seen.ends_with(&expected), "{result_seen}");
    assert!(answer.json()["result"]["structuredContent"]["id"].is_u64(), "{result_seen}");
}

#[tokio::test]
async fn questions_of_every_kind_come_on_the_calls_own_stream() {
    let (a, b, gateway) = two_asking().await;
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    for backend in ["a", "b"] {
        for (tool, method, params, result) in QUESTIONS {
            let mut stream =
                client.open_call("5", &format!("{backend}_{tool}"), "{}").await.unwrap();
            let question = stream.message().await.unwrap().unwrap();
            assert_asked(&question, method, params);
            assert_eq!(client.answer(&question, result).await.unwrap(), 202);
            let answer = stream.answer("5").await.unwrap();
            assert_answered(&answer, result);
            let after: Vec<_> = answer.before.iter().filter_map(Message::method).collect();
            let complete = ["notifications/elicitation/complete"];
            assert_eq!(after, if tool == "ask_url" { &complete[..] } else { &[] }, "{tool}");
        }
    }
    assert_eq!((a.counters().stray_answers(), b.counters().stray_answers()), (0, 0));
}

#[tokio::test]
async fn questions_of_two_backends_at_once_are_not_mixed_up() {
    let (_a, _b, gateway) = two_asking().await;
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let mut to_a = client.open_call("1", "a_ask_form", "{}").await.unwrap();
    let mut to_b = client.open_call("2", "b_ask_form", "{}").await.unwrap();
    let of_a = to_a.message().await.unwrap().unwrap();
    let of_b = to_b.message().await.unwrap().unwrap();
    assert_ne!(of_a.id(), of_b.id(), "the client must be able to tell them apart");
    client.answer(&of_b, r#"{"action":"decline"}"#).await.unwrap();
    client.answer(&of_a, NAMED).await.unwrap();
    assert_answered(&to_b.answer("2").await.unwrap(), r#"{"action":"decline"}"#);
    assert_answered(&to_a.answer("1").await.unwrap(), NAMED);
}

#[tokio::test]
async fn a_clients_error_is_an_answer_too() {
    let (_a, _b, gateway) = two_asking().await;
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let mut stream = client.open_call("1", "a_ask_sampling", "{}").await.unwrap();
    let question = stream.message().await.unwrap().unwrap();
    let id = question.id().unwrap();
    let error = r#"{"code":-1,"message":"User rejected sampling","data":{"n":1.10}}"#;
    let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#);
    assert_eq!(client.post(message).await.unwrap().status(), 202);
    let answer = stream.answer("1").await.unwrap();
    assert!(answer.result().unwrap().contains(error), "{answer:?}");
}

#[tokio::test]
async fn an_answer_sent_twice_is_delivered_once() {
    let (a, _b, gateway) = two_asking().await;
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let mut stream = client.open_call("1", "a_ask_roots", "{}").await.unwrap();
    let question = stream.message().await.unwrap().unwrap();
    client.answer(&question, ROOTS).await.unwrap();
    client.answer(&question, ROOTS).await.unwrap();
    assert_answered(&stream.answer("1").await.unwrap(), ROOTS);
    assert_eq!(a.counters().stray_answers(), 0);
}

/// The first call opens the backend session; what the backend says on GET right then must not be
/// lost, or the call would wait for an answer to a question that nobody saw.
#[tokio::test]
async fn questions_come_on_the_get_stream_from_the_first_call_on() {
    let (_a, _b, gateway) = two_asking().await;
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    for (index, (tool, method, params, result)) in QUESTIONS.into_iter().enumerate() {
        let (client, id) = (client.clone(), index.to_string());
        let asking =
            async { client.call(&id, &format!("b_{tool}"), r#"{"on":"get"}"#).await.unwrap() };
        let answering = async {
            let question = get.message().await.unwrap().unwrap();
            assert_asked(&question, method, params);
            client.answer(&question, result).await.unwrap();
        };
        let (answer, ()) = tokio::join!(asking, answering);
        assert_answered(&answer, result);
    }
}

#[tokio::test]
async fn a_backend_learns_only_of_what_its_client_can_do() {
    let (a, _b, gateway) = two_asking().await;
    let process = serve(&gateway).await;
    let declared = |backend: &Running| -> Vec<Value> {
        let all = backend.sessions();
        all.iter()
            .map(|session| {
                let params: Value = serde_json::from_slice(session.initialize()).unwrap();
                params["capabilities"].clone()
            })
            .collect()
    };
    let mut able = Client::new(&process.url());
    let all =
        r#"{"sampling":{"tools":{}},"elicitation":{"form":{}},"experimental":{"x":{"y":1.0}}}"#;
    able.initialize_as("2025-11-25", all).await.unwrap();
    able.call("1", "a_log", "{}").await.unwrap();
    let expected: Value = serde_json::from_str(all).unwrap();
    assert!(declared(&a).contains(&expected), "{:?}", declared(&a));

    let mut unable = Client::new(&process.url());
    unable.initialize_as("2025-11-25", "{}").await.unwrap();
    let answer = unable.call("1", "a_ask_form", "{}").await.unwrap();
    assert!(answer.before.is_empty(), "it cannot be asked: {answer:?}");
    let told = answer.json();
    assert_eq!(told["result"]["structuredContent"]["error"]["code"], -32601, "{told}");
    let why = told["result"]["structuredContent"]["error"]["message"].as_str().unwrap();
    assert!(why.contains("the client cannot be asked this"), "{why}");
}

/// The backend's own question taken back: the client learns under which id it knows it.
#[tokio::test]
async fn a_backend_takes_its_question_back() {
    let regret = handler(|call: Call| async move {
        let asking = call.ask("roots/list", "");
        let regretting = async {
            call.notify("notifications/cancelled", r#"{"requestId":0,"reason":"never mind"}"#)
                .await
                .unwrap();
        };
        tokio::select! {
            biased;
            _ = asking => Answer::text("answered"),
            () = async { regretting.await; call.cancelled.cancelled().await } => Answer::text("?"),
        }
    });
    let server = peers::slow()
        .offer(Kind::Tools, r#"{"name":"regret","inputSchema":{"type":"object"}}"#, regret)
        .start()
        .await
        .unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    let client = connect(&process).await;
    let mut stream = client.open_call("1", "a_regret", "{}").await.unwrap();
    let question = stream.message().await.unwrap().unwrap();
    let taken_back = stream.message().await.unwrap().unwrap();
    assert_eq!(taken_back.method().unwrap(), "notifications/cancelled");
    let params = taken_back.json()["params"].clone();
    assert_eq!(params["requestId"].to_string(), question.id().unwrap());
    assert_eq!(params["reason"], "never mind");
}

/// `notifications/cancelled` of the client reaches the backend under the id that the backend knows.
#[tokio::test]
async fn a_client_cancels_its_call() {
    let server = peers::slow().start().await.unwrap();
    let other = peers::slow().start().await.unwrap();
    let gateway = Gateway::before(&[("a", server.url()), ("b", other.url())]);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    for id in ["17", r#""seventeen""#] {
        let calling = client.open_call(id, "a_slow", r#"{"delay_ms":20000}"#);
        let cancelling = async {
            let running = server.counters().calls("slow");
            eventually("the call runs", async || {
                (server.counters().calls("slow") > running).then_some(())
            })
            .await;
            let params = format!(r#"{{"requestId":{id},"reason":"bored"}}"#);
            client.notify("notifications/cancelled", &params).await.unwrap();
        };
        let (response, ()) = tokio::join!(calling, cancelling);
        let answer = response.unwrap().answer(id).await.unwrap();
        assert!(answer.error().unwrap().contains("cancelled"), "{answer:?}");
        let seen = server.seen();
        let cancelled: Vec<Value> = seen
            .iter()
            .filter(|seen| seen.method == "notifications/cancelled")
            .map(|seen| serde_json::from_slice(&seen.body).unwrap())
            .collect();
        let last = &cancelled.last().unwrap()["params"];
        let call = seen.iter().rev().find(|seen| seen.method == "tools/call").unwrap();
        let call: Value = serde_json::from_slice(&call.body).unwrap();
        assert_eq!(last["requestId"], call["id"]);
        assert_eq!(last["reason"], "bored");
    }
    assert_eq!(other.counters().requests("notifications/cancelled"), 0);
    assert_eq!(client.notify("notifications/cancelled", r#"{"requestId":99}"#).await.unwrap(), 202);
}
