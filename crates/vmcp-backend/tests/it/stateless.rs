//! What is exchanged with a strict server of the modern era: everything it is asked passes its checks.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;
use vmcp_backend::{Answer, Backend, CLIENT_INFO, Config, Error, Events, Session};
use vmcp_model::{BackendId, Era, Method, ProtocolVersion};
use vmcp_testkit::{
    modern::{
        META_CAPABILITIES, META_CLIENT_INFO, META_VERSION, Running, Speaks, error, fixed, handler,
        legacy_refusals, text,
    },
    peers,
    raw::{self, Form, Kind},
};
use vmcp_wire::{Id, Lines, Message, Shape};

use crate::peer::{PATIENCE, view, wait_until};

const CAN: &str = r#"{"elicitation":{"form":{}},"x-vendor":1.0}"#;

/// A backend that is this server, and what takes the place of a session there.
async fn open(server: &Running) -> (Arc<Backend>, Session) {
    let backend = backend(&server.url());
    let session = backend.open_to_watch(&view(ProtocolVersion::MODERN, CAN)).await.unwrap();
    assert!(session.is_stateless());
    (backend, session)
}

fn backend(url: &str) -> Arc<Backend> {
    let config = Config::plain(BackendId::new("modern").unwrap(), url.parse().unwrap());
    Backend::new(&config, TaskTracker::new()).unwrap()
}

/// Sends a tool call as the layers above would.
async fn post(
    backend: &Arc<Backend>,
    session: &Session,
    tool: &str,
    arguments: Value,
) -> Result<Answer, Error> {
    let params = json!({"name": tool, "arguments": arguments}).to_string();
    let params = session.introduction().introduce_params(Some(params.as_bytes()));
    let text = vmcp_wire::reply::request("7", Method::ToolsCall, Some(&params));
    let id = Id::parse(b"\"7\"").unwrap().key();
    backend.post(session, text, Some(&id), Some(&Lines::new("tools/call", Some(tool)))).await
}

/// The response that an answer brings, and how many notifications before it.
async fn response(answer: Answer) -> (usize, Value) {
    let (before, text) = match answer {
        Answer::Whole(body) => (0, body.collect(1 << 20).await.unwrap()),
        Answer::Ready(text) => (0, text),
        Answer::Events(mut events) => {
            let mut before = 0;
            loop {
                let message = events.next().await.unwrap().unwrap();
                if message.shape() == Shape::Response {
                    break (before, message.into_text());
                }
                before += 1;
            }
        }
        Answer::Accepted => panic!("a request has an answer"),
    };
    (before, serde_json::from_slice(&text).unwrap())
}

async fn next(events: &mut Events) -> Message {
    let next = tokio::time::timeout(PATIENCE, events.next());
    next.await.expect("a message in time").unwrap().expect("a message")
}

#[tokio::test]
async fn every_request_of_vmcps_own_says_who_asks_and_repeats_it_in_headers() {
    let server = peers::modern().start().await.unwrap();
    let (backend, session) = open(&server).await;
    backend.offer(&session).await.unwrap();
    backend.check(&session).await.unwrap();
    backend.ask(&session, Method::PromptsGet, Some(br#"{"name":"prompt"}"#)).await.unwrap();
    backend.ask(&session, Method::ResourcesRead, Some(br#"{"uri":"modern://one"}"#)).await.unwrap();
    let _events = backend.listen(&session).await.unwrap().unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 9);
    for seen in &seen {
        let method = seen.method.as_str();
        assert_eq!(seen.header("mcp-protocol-version"), Some("2026-07-28"), "{method}");
        assert_eq!(seen.header("mcp-method"), Some(method));
        assert_eq!(seen.header("mcp-session-id"), None, "{method}");
        let name = match method {
            "prompts/get" => Some("prompt"),
            "resources/read" => Some("modern://one"),
            _ => None,
        };
        assert_eq!(seen.header("mcp-name"), name, "{method}");
        assert_eq!(seen.meta(META_VERSION), "2026-07-28", "{method}");
        assert_eq!(
            seen.meta(META_CLIENT_INFO),
            serde_json::from_slice::<Value>(CLIENT_INFO).unwrap()
        );
        assert_eq!(seen.meta(META_CAPABILITIES), serde_json::from_str::<Value>(CAN).unwrap());
    }
    assert_eq!(server.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn a_client_of_the_other_era_is_not_to_be_asked_anything() {
    let server = peers::modern().start().await.unwrap();
    let backend = backend(&server.url());
    let client = view(
        ProtocolVersion::LATEST_LEGACY,
        r#"{"sampling":{},"elicitation":{},"roots":{},"experimental":{"x":{}}}"#,
    );
    backend.open(&client).await.unwrap();
    let told = server.last("server/discover").unwrap().meta(META_CAPABILITIES);
    assert_eq!(told, json!({"experimental": {"x": {}}}));
}

#[tokio::test]
async fn calls_are_answered_whole_and_on_streams() {
    let server = peers::modern().start().await.unwrap();
    let (backend, session) = open(&server).await;
    for form in [Form::Json, Form::Sse] {
        server.set_form(form);
        let answer = post(&backend, &session, "count", json!({})).await.unwrap();
        let (before, answer) = response(answer).await;
        assert_eq!((before, &answer["result"]["resultType"]), (0, &json!("complete")));
    }
    assert_eq!(server.counters().executions("count"), 2);
    server.set_form(Form::Json);
    let answer = post(&backend, &session, "gone", json!({})).await.unwrap();
    assert_eq!(response(answer).await.1["error"]["code"], -32602);
    let answer = post(&backend, &session, "sample", json!({})).await.unwrap();
    assert_eq!(response(answer).await.1["error"]["code"], -32021);
    let unknown = backend.ask(&session, Method::ResourcesSubscribe, Some(br#"{"uri":"x:"}"#)).await;
    assert!(unknown.unwrap().result().is_none());
    assert_eq!(server.counters().requests("server/discover"), 1, "nobody has had a doubt");
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_not_taken_up_again() {
    let server = peers::modern().start().await.unwrap();
    let (backend, session) = open(&server).await;
    server.script(
        "tools/call slow",
        handler(async |call| {
            let _unread = call.notify("notifications/progress", r#"{"progress":1}"#).await;
            raw::Answer::Close
        }),
    );
    let answer = post(&backend, &session, "slow", json!({})).await.unwrap();
    let Answer::Events(mut events) = answer else { panic!("it is a stream") };
    next(&mut events).await;
    let ended = tokio::time::timeout(PATIENCE, events.next()).await.unwrap();
    assert!(matches!(ended, Err(Error::Broken(_)) | Ok(None)), "{ended:?}");
    assert!(server.seen().iter().all(|seen| seen.verb == http::Method::POST));
}

#[tokio::test]
async fn dropping_an_answer_cancels_the_call() {
    let server = peers::modern().start().await.unwrap();
    let (backend, session) = open(&server).await;
    // Before anything has come.
    let call = post(&backend, &session, "slow", json!({"delay_ms": 60_000}));
    let given_up = tokio::time::timeout(Duration::from_millis(100), call).await;
    assert!(given_up.is_err());
    server.counters().until_abandoned(1).await.unwrap();
    // In the middle of a stream.
    server.script(
        "tools/call count",
        handler(async |call| {
            let _unread = call.notify("notifications/progress", r#"{"progress":1}"#).await;
            call.cancelled.cancelled().await;
            text("left")
        }),
    );
    let answer = post(&backend, &session, "count", json!({})).await.unwrap();
    let Answer::Events(mut events) = answer else { panic!("it is a stream") };
    next(&mut events).await;
    drop(events);
    server.counters().until_abandoned(2).await.unwrap();
    wait_until(|| backend.stats().in_flight == 0).await;
    // And what was read to its end can be used again.
    let answer = post(&backend, &session, "echo", json!({})).await.unwrap();
    response(answer).await;
}

#[tokio::test]
async fn changes_of_lists_come_on_a_subscription() {
    let server = peers::modern().start().await.unwrap();
    let (backend, session) = open(&server).await;
    let mut events = backend.listen(&session).await.unwrap().unwrap();
    let asked = server.subscriptions().remove(0).asked;
    assert!(asked.tools_list_changed && asked.prompts_list_changed && asked.resources_list_changed);
    assert!(asked.resource_subscriptions.is_empty());
    assert_eq!(backend.stats().streams, 1);
    server.keep_alive();
    server.add(Kind::Tools, r#"{"name":"new","inputSchema":{"type":"object"}}"#, fixed(text("")));
    let changed = next(&mut events).await;
    assert_eq!(changed.method(), Some(Method::ToolsListChanged));
    let text = String::from_utf8_lossy(changed.text()).into_owned();
    assert!(!text.contains("subscriptionId"), "{text}");
    drop(events);
    server.until_subscriptions(0).await.unwrap();
    assert_eq!(backend.stats().streams, 0);
}

#[tokio::test]
async fn updates_of_resources_come_on_another() {
    let server = peers::modern().start().await.unwrap();
    let (backend, session) = open(&server).await;
    let uris = ["modern://one", "modern://\"two\""];
    let mut events = backend.listen_to(&session, &uris).await.unwrap().unwrap();
    assert_eq!(server.subscriptions()[0].asked.resource_subscriptions, uris);
    server.updated("modern://two");
    server.updated("modern://one");
    let updated = next(&mut events).await;
    let params: Value = serde_json::from_slice(updated.text()).unwrap();
    assert_eq!(params["params"]["uri"], "modern://one");
    server.end_subscriptions();
    assert_eq!(next(&mut events).await.shape(), Shape::Response);
    assert!(events.next().await.unwrap().is_none());
}

#[tokio::test]
async fn who_grants_nothing_is_not_listened_to() {
    let deaf = peers::modern().deaf_to_updates().start().await.unwrap();
    let (backend, session) = open(&deaf).await;
    assert!(backend.listen_to(&session, &["modern://one"]).await.unwrap().is_none());
    assert!(backend.listen_to(&session, &[]).await.unwrap().is_none());
    deaf.until_subscriptions(0).await.unwrap();

    deaf.next("subscriptions/listen", &error(-32601, "no"), 1);
    assert!(backend.listen(&session).await.unwrap().is_none());
    deaf.next("subscriptions/listen", &error(-32603, "no"), 1);
    let refused = backend.listen(&session).await;
    assert!(matches!(refused, Err(Error::Protocol(_))), "{refused:?}");

    let silent = peers::modern().capabilities(r#"{"tools":{}}"#).start().await.unwrap();
    let (backend, session) = open(&silent).await;
    assert!(backend.listen(&session).await.unwrap().is_none());
    assert_eq!(silent.counters().requests("subscriptions/listen"), 0);
}

#[tokio::test]
async fn servers_of_the_field_that_refuse_to_discover_are_legacy() {
    let server = peers::turning().start().await.unwrap();
    for (name, answer) in legacy_refusals() {
        server.set_speaks(Speaks::Legacy(answer));
        let backend = backend(&server.url());
        let client = view(ProtocolVersion::MODERN, "{}");
        let session = backend.open(&client).await.unwrap();
        assert_eq!(backend.era(), Some(Era::Legacy), "{name}");
        assert!(session.id().is_some(), "{name}");
        backend.close(&session).await.unwrap();
    }
}

/// Calls once and again on what is opened instead if the first session was lost, as the core does.
async fn count(backend: &Arc<Backend>, session: &mut Session) -> String {
    for _attempt in 0..2 {
        let answer = if session.is_stateless() {
            post(backend, session, "count", json!({})).await
        } else {
            let call =
                br#"{"jsonrpc":"2.0","id":"7","method":"tools/call","params":{"name":"count"}}"#;
            let id = Id::parse(b"\"7\"").unwrap().key();
            backend.post(session, Bytes::from_static(call), Some(&id), None).await
        };
        match answer {
            Err(Error::SessionLost) => {
                *session = backend.open(&view(ProtocolVersion::MODERN, CAN)).await.unwrap();
            }
            answer => {
                let (_, answer) = response(answer.unwrap()).await;
                let text = answer["result"]["content"][0]["text"].as_str();
                return text.unwrap_or_else(|| panic!("{answer}")).to_owned();
            }
        }
    }
    panic!("lost twice");
}

#[tokio::test]
async fn a_backend_that_changes_its_era_to_and_fro_runs_each_call_once() {
    let refusals = legacy_refusals().into_iter();
    // What comes with 200 is an answer, as far as a call is concerned.
    let refused = |answer: &raw::Answer| matches!(answer, raw::Answer::Http { status: 400.., .. });
    for (name, refusal) in refusals.filter(|(_, answer)| refused(answer)) {
        let server = peers::turning().start().await.unwrap();
        server.set_speaks(Speaks::Modern);
        let (backend, mut session) = open(&server).await;
        assert_eq!(count(&backend, &mut session).await, "1");
        server.set_speaks(Speaks::Legacy(refusal));
        // Each era has a counter of its own.
        assert_eq!(count(&backend, &mut session).await, "1", "{name}");
        assert!(!session.is_stateless(), "{name}");
        assert_eq!(count(&backend, &mut session).await, "2", "{name}");
        server.set_speaks(Speaks::Modern);
        assert_eq!(count(&backend, &mut session).await, "2", "{name}");
        assert!(session.is_stateless(), "{name}");
        assert_eq!(server.counters().executions("count"), 2, "{name}");
    }
}

#[tokio::test]
async fn what_may_have_run_is_never_taken_for_lost() {
    let server = peers::turning().start().await.unwrap();
    server.set_speaks(Speaks::Modern);
    let (backend, session) = open(&server).await;
    let unwell = raw::Answer::Http { status: 503, content_type: None, body: Bytes::new() };
    for answer in [raw::Answer::Close, raw::Answer::CutOff(10_000), unwell] {
        server.set_speaks(Speaks::Legacy(answer));
        let failed = match post(&backend, &session, "count", json!({})).await {
            Ok(Answer::Whole(body)) => body.collect(1 << 20).await.unwrap_err(),
            Ok(_) => panic!("it is no stream"),
            Err(error) => error,
        };
        let as_it_is = matches!(failed, Error::Broken(_) | Error::Refused { status: 503, .. });
        assert!(as_it_is, "{failed:?}");
        assert_eq!(backend.era(), Some(Era::Modern), "nothing has been found out");
    }
}
