//! Calls in whose middle the backend asks the client something.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};
use vmcp_testkit::{client::Client, gateway::Gateway, modern_client::ModernClient, peers};

use super::{PARENT, Traced, trace_id, traceparent};

const ANSWER: &str = r#"{"action":"accept","content":{"name":"Ann"}}"#;

/// How long the client thinks, at least.
const THOUGHT: Duration = Duration::from_millis(300);

/// The spans of a legacy call last for as long as it does, what it asks included; the answer to that belongs to no
/// trace unless its client says so.
#[tokio::test]
async fn a_call_that_asks_is_one_pair_of_spans() {
    let backend = peers::asking().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]);
    let traced = Traced::start(&gateway, ", samplingRate: '0'").await;
    let client = Client::connect(&traced.url()).await.unwrap();
    let [trace, of_answer] = [1, 2].map(trace_id);
    let calling = client.clone().with_header("traceparent", &traceparent(&trace, "01"));
    let began = Instant::now();
    let mut response = calling.open_call("1", "a_ask_form", "{}").await.unwrap();
    let question = response.message().await.unwrap().unwrap();
    assert_eq!(question.method().as_deref(), Some("elicitation/create"));
    sleep(THOUGHT).await;
    let answering = client.with_header("traceparent", &traceparent(&of_answer, "01"));
    assert_eq!(answering.answer(&question, ANSWER).await.unwrap(), 202);
    response.answer("1").await.unwrap().result().unwrap();
    let whole = u64::try_from(began.elapsed().as_nanos()).unwrap();

    let spans = traced.end().await;
    let (server, client) = spans.pair(&trace, "vmcp");
    assert_eq!(spans.of_trace(&trace).len(), 2);
    assert_eq!(server.parent(), PARENT);
    assert_eq!(server.text("name"), "tools/call a_ask_form");
    let thought = u64::try_from(THOUGHT.as_nanos()).unwrap();
    for span in [server, client] {
        assert!(span.nanoseconds() > thought, "{span:#?}");
        assert_eq!(span.0["status"], "STATUS_CODE_UNSET");
    }
    // It ends when the answer has been written, which the client may see first.
    assert!(server.nanoseconds() < whole + Duration::from_secs(5).as_nanos() as u64);
    // The backend began to answer when it asked.
    let [event] = &client.0["events"].as_array().unwrap()[..] else { panic!("{client:#?}") };
    let (start, end) = client.times();
    let asked = event[1].as_u64().unwrap();
    assert!(start <= asked && asked + thought < end, "{client:#?}");
    // A message of its own, which leads to no backend.
    let of_answer = spans.of_trace(&of_answer);
    let [server] = of_answer[..] else { panic!("{of_answer:#?}") };
    assert_eq!((server.kind(), server.parent()), ("SPAN_KIND_SERVER", PARENT));
}

/// A modern client asks anew with what it has answered: a request with a parent of its own.
#[tokio::test]
async fn a_retry_with_answers_belongs_to_its_own_parent() {
    let backend = peers::modern().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]);
    let traced = Traced::start(&gateway, ", samplingRate: '0'").await;
    let client = ModernClient::new(&traced.url()).capable().tolerant();
    let ids: Vec<_> = (0..4).map(trace_id).collect();
    // Where a request stands is none of what `requestState` is sealed for.
    for (is_in_message, traces) in [(false, &ids[..2]), (true, &ids[2..])] {
        let of = |trace: &str| {
            let parent = traceparent(trace, "01");
            match is_in_message {
                false => client.clone().header("traceparent", &parent),
                true => client.clone().meta("traceparent", json!(parent)),
            }
        };
        let asked = of(&traces[0]).call("a_ask", json!({})).await.unwrap();
        asked.questions().unwrap();
        sleep(THOUGHT).await;
        let answers = json!({"name": serde_json::from_str::<serde_json::Value>(ANSWER).unwrap()});
        let answered = of(&traces[1]).answer(&asked, answers).await.unwrap();
        assert_eq!(answered.result_type().unwrap(), "complete");
        for trace in traces {
            let told = backend
                .seen()
                .into_iter()
                .filter_map(|seen| seen.meta("traceparent").as_str().map(str::to_owned));
            assert_eq!(told.filter(|told| told.contains(trace.as_str())).count(), 1, "{trace}");
        }
    }
    let spans = traced.end().await;
    for trace in &ids {
        let (server, client) = spans.pair(trace, "vmcp");
        assert_eq!((spans.of_trace(trace).len(), server.parent()), (2, PARENT));
        for span in [server, client] {
            assert_eq!(span.0["status"], "STATUS_CODE_UNSET");
        }
    }
    // Neither lasts for as long as the client thinks; the second begins behind that.
    let [first, second] = [0, 1].map(|one| spans.pair(&ids[one], "vmcp").0.times());
    let thought = u64::try_from(THOUGHT.as_nanos()).unwrap();
    assert!(first.1 + thought / 2 < second.0, "{first:?} {second:?}");
}
