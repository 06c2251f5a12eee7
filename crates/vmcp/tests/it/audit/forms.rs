//! Answers of every form: whole, large, streamed, over HTTP/2, in batches, and broken off.

use vmcp_testkit::{
    framing::http2::{Connection, flag, frame, kind, request},
    peers,
    raw::Form,
};

use super::*;

const FINE: &str = "mcp_tool_call success tools/call tool=a_fine @a 200";
const FAILS: &str = "mcp_tool_call application_error tools/call tool=a_fails @a 200";
const LARGE_FAILS: &str = "mcp_tool_call application_error tools/call tool=a_fails_large @a 200";
const WRONG: &str = "mcp_tool_call application_error tools/call tool=a_wrong @a code -7 200";

/// The tools of [`legacy_server`] that answer, and what is told of them.
const ANSWERING: [(&str, &str); 4] =
    [("a_fine", FINE), ("a_fails", FAILS), ("a_fails_large", LARGE_FAILS), ("a_wrong", WRONG)];

/// A server whose answers come after something else, on a stream.
fn streaming() -> RawServer {
    let after = |answer: Answer| {
        raw::handler(move |call: raw::Call| {
            let answer = answer.clone();
            async move {
                call.notify("notifications/message", r#"{"level":"error","data":1}"#)
                    .await
                    .unwrap();
                answer
            }
        })
    };
    [
        ("fine", Answer::text("fine")),
        ("fails", format!("{{{}}}", failing(1)).into()),
        ("fails_large", format!("{{{}}}", failing(LARGE)).into()),
        ("wrong", Answer::error(-7, "wrong")),
        ("close", Answer::Close),
    ]
    .into_iter()
    .fold(RawServer::builder(), |server, (name, answer)| {
        server.offer(Kind::Tools, &tool(name), after(answer))
    })
}

#[tokio::test]
async fn the_last_event_of_a_stream_tells_how_it_ended() {
    for (server, form) in [
        (legacy_server("a"), Form::Json),
        (legacy_server("a"), Form::Sse),
        (streaming(), Form::Json),
    ] {
        let backend = server.form(form).start().await.unwrap();
        let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), "").await;
        let mut expected = Vec::new();
        for (era, asker) in Asker::both(&audited).await {
            for (tool, told) in ANSWERING {
                let name = format!("{era} {tool}");
                asker.ask(&name, "tools/call", named(tool)).await;
                expected.push((name, told.to_owned()));
            }
            // It ends in mid-answer, or with nothing but its head.
            let name = format!("{era} close");
            let (_, code) = asker.ask(&name, "tools/call", named("a_close")).await;
            let told = "mcp_tool_call error tools/call tool=a_close @a backend";
            expected.push((name, format!("{told} code {} 200", code.unwrap())));
        }
        let records = audited.end().await;
        records.assert_each(expected.iter().map(|(name, told)| (&**name, &**told)));
        assert_eq!(records.0.len(), expected.len() + 2);
        for era in ["legacy", "modern"] {
            let record = records.whole(&format!("{era} a_fails_large"))[0];
            let bytes = record["metadata"]["extra"]["response_size_bytes"].as_u64().unwrap();
            let bytes = usize::try_from(bytes).unwrap();
            assert!((LARGE..LARGE + 1000).contains(&bytes), "{form:?} {record}");
        }
    }
}

/// The client has the status and the first half; the rest never comes.
#[tokio::test]
async fn a_large_answer_that_breaks_off_is_an_error_of_the_backend() {
    let (old, new) =
        (legacy_server("old").start().await.unwrap(), modern_server("new").start().await.unwrap());
    let gateway = Gateway::before(&[("old", old.url()), ("new", new.url())]);
    let audited = Audited::start(&gateway, "").await;
    let (legacy, modern) = (audited.connect().await, audited.modern());
    let mut expected = Vec::new();
    for backend in ["old", "new"] {
        let tool = format!("{backend}_cut");
        let name = format!("legacy {backend}");
        let client = legacy.clone().with_header(NAME, &name);
        let response = client.open_call("1", &tool, "{}").await.unwrap();
        // It breaks off, too, or ends with an error.
        let _broken = response.bytes().await;
        expected.push(name);
        let name = format!("modern {backend}");
        let client = modern.clone().header(NAME, &name);
        let _broken = client.call(&tool, json!({})).await;
        expected.push(name);
    }
    let records = audited.end().await;
    for name in &expected {
        let told = records.of(name);
        assert_eq!(told.len(), 1, "{name}: {told:?}");
        let start = "mcp_tool_call error tools/call tool=";
        assert!(told[0].starts_with(start) && told[0].contains(" backend code -32603"), "{told:?}");
    }
    assert_eq!(records.0.len(), expected.len() + 2);
}

/// Nobody reads on. What a modern client gets is there as a whole before it is sent.
#[tokio::test]
async fn a_large_answer_that_is_not_read_is_abandoned() {
    let backend = peers::huge().start().await.unwrap();
    let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), "").await;
    let client = audited.connect().await.with_header(NAME, "call");
    let mut response = client.open_call("1", "a_huge", r#"{"bytes":50000000}"#).await.unwrap();
    response.chunk().await.unwrap().unwrap();
    drop(response);
    let told = "mcp_tool_call failure tools/call tool=a_huge @a abandoned 200";
    assert_eq!(audited.recorded("call").await, [told]);
    assert_eq!(audited.end().await.0.len(), 3);
}

#[tokio::test]
async fn answers_over_http2_have_the_same_records() {
    let backend = legacy_server("a").start().await.unwrap();
    let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), "").await;
    let client = audited.connect().await;
    let address = ("127.0.0.1", audited.process.port());
    let mut connection = Connection::open(address, &[(4, 1 << 20)]).await.unwrap();
    let window = frame(kind::WINDOW_UPDATE, 0, 0, &(1_u32 << 24).to_be_bytes());
    connection.send(&window).await.unwrap();
    let authority = format!("127.0.0.1:{}", audited.process.port());
    let send = |stream: u32, name: &str, tool: &str| {
        let body =
            json!({"jsonrpc": "2.0", "id": stream, "method": "tools/call", "params": named(tool)});
        let headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/mcp"),
            (":authority", &authority),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-session-id", client.session().unwrap()),
            ("mcp-protocol-version", "2025-11-25"),
            (NAME, name),
        ];
        request(stream, &headers, body.to_string().as_bytes())
    };
    let mut stream = 1;
    for (tool, _) in ANSWERING {
        connection.send(&send(stream, tool, tool)).await.unwrap();
        let ends = |frame: &vmcp_testkit::framing::http2::Frame| {
            frame.stream == stream && frame.flags & flag::END_STREAM != 0 && frame.kind <= 1
        };
        connection.until(ends).await.unwrap();
        stream += 2;
    }
    let records = audited.end().await;
    records.assert_each(ANSWERING);
    assert_eq!(records.0.len(), ANSWERING.len() + 2);
}

#[tokio::test]
async fn each_message_of_a_batch_has_its_record() {
    let backend = legacy_server("a").start().await.unwrap();
    let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), "").await;
    let mut client = Client::new(&audited.url()).with_header(NAME, "hello");
    client.initialize_as("2025-03-26", "{}").await.unwrap();
    let mut messages: Vec<_> = ANSWERING
        .iter()
        .enumerate()
        .map(|(id, (tool, _))| {
            json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": named(tool)})
        })
        .collect();
    messages.push(json!({"jsonrpc": "2.0", "id": "p", "method": "ping"}));
    messages
        .push(json!({"jsonrpc": "2.0", "id": "n", "method": "tools/call", "params": named("x")}));
    messages.push(json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}));
    let body = Value::Array(messages).to_string();
    let response = client.clone().with_header(NAME, "batch").post(body.clone()).await.unwrap();
    assert_eq!(response.status(), 200);
    response.bytes().await.unwrap();
    // Nothing but what needs no answer.
    let notes = r#"[{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}]"#;
    let response = client.clone().with_header(NAME, "notes").post(notes).await.unwrap();
    assert_eq!(response.status(), 202);
    // As a whole it is refused: there is no such session, or the revision has no batches.
    let lost = client.clone().with_session("no-such-session", "2025-03-26");
    let response = lost.with_header(NAME, "lost").post(body.clone()).await.unwrap();
    assert_eq!(response.status(), 404);
    let newer = audited.connect().await;
    let response = newer.with_header(NAME, "newer").post(body).await.unwrap();
    assert_eq!(response.status(), 400);

    let records = audited.end().await;
    let mut batch = records.of("batch");
    batch.sort();
    let mut expected: Vec<_> = ANSWERING.map(|(_, told)| told.to_owned()).into();
    expected.push("mcp_ping success ping 200".to_owned());
    expected.push("mcp_tool_call failure tools/call tool=x invalid code -32602 200".to_owned());
    let note = "mcp_roots_list_changed success notifications/roots/list_changed";
    expected.push(format!("{note} 200"));
    expected.sort();
    assert_eq!(batch, expected);
    assert_eq!(records.of("notes"), [format!("{note} 202")]);
    for (name, code, status) in [("lost", -32001, 404), ("newer", -32600, 400)] {
        let told = records.of(name);
        assert_eq!(told.len(), 7, "{name}: {told:?}");
        let end = format!(" failure {{}} invalid code {code} {status}");
        let [before, after] = end.split("{}").collect::<Vec<_>>().try_into().unwrap();
        assert!(told.iter().all(|told| told.contains(before) && told.ends_with(after)), "{told:?}");
    }
    assert_eq!(records.0.len(), 7 + 1 + 7 + 7 + 4);
}

/// What a client says that asks for nothing, and what it asks of streams of resources.
#[tokio::test]
async fn notifications_answers_and_subscriptions_have_their_records() {
    let backend = legacy_server("a").start().await.unwrap();
    let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), "").await;
    let client = audited.connect().await;
    let named = |name: &str| client.clone().with_header(NAME, name);
    for (name, method, params) in [
        ("progress", "notifications/progress", r#"{"progressToken":1,"progress":1}"#),
        ("own", "notifications/x-own", "{}"),
        ("roots", "notifications/roots/list_changed", "{}"),
    ] {
        assert_eq!(named(name).notify(method, params).await.unwrap(), 202);
    }
    let answer = r#"{"jsonrpc":"2.0","id":"nobody asked","result":{}}"#;
    assert_eq!(named("answer").post(answer).await.unwrap().status(), 400);
    let subscribing = named("subscribe");
    subscribing.request("1", "resources/subscribe", r#"{"uri":"a://one"}"#).await.unwrap();
    named("unsubscribe")
        .request("2", "resources/unsubscribe", r#"{"uri":"a://one"}"#)
        .await
        .unwrap();
    let records = audited.end().await;
    records.assert_each([
        ("progress", "mcp_notification success notifications/progress 202"),
        ("own", "mcp_notification success notifications/x-own 202"),
        ("roots", "mcp_roots_list_changed success notifications/roots/list_changed 202"),
        ("answer", "http_request failure POST invalid code -32600 400"),
        ("subscribe", "mcp_request success resources/subscribe =a://one @a 200"),
        ("unsubscribe", "mcp_request success resources/unsubscribe =a://one @a 200"),
    ]);
    assert_eq!(
        records.of("hello"),
        [
            "mcp_initialize success initialize 200",
            "mcp_notification success notifications/initialized 202",
        ]
    );
    assert_eq!(records.0.len(), 6 + 2);
}

/// What a client answers to a question of a backend is a message of its own.
#[tokio::test]
async fn questions_and_their_answers_have_their_records() {
    let ask = raw::handler(|call: raw::Call| async move {
        let params = r#"{"message":"?","requestedSchema":{"type":"object","properties":{}}}"#;
        call.ask("elicitation/create", params).await.unwrap();
        Answer::text("thanks")
    });
    let backend = RawServer::builder().offer(Kind::Tools, &tool("ask"), ask).start().await.unwrap();
    let audited = Audited::start(&Gateway::before(&[("a", backend.url())]), "").await;
    let client = audited.connect().await;
    let calling = client.clone().with_header(NAME, "call");
    let mut response = calling.open_call("1", "a_ask", "{}").await.unwrap();
    let question = response.message().await.unwrap().unwrap();
    let answering = client.clone().with_header(NAME, "answer");
    let status = answering.answer(&question, r#"{"action":"decline"}"#).await.unwrap();
    assert_eq!(status, 202);
    response.answer("1").await.unwrap().result().unwrap();
    let records = audited.end().await;
    records.assert_each([
        ("call", "mcp_tool_call success tools/call tool=a_ask @a 200"),
        ("answer", "mcp_request success POST 202"),
    ]);
    assert_eq!(records.0.len(), 4);
}
