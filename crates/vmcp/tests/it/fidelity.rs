//! The same request, sent to the backend and through the gateway: the answers are the same bytes.

use bytes::Bytes;
use vmcp_testkit::{
    client::{Client, Message},
    gateway::Gateway,
    peers,
    process::Process,
    raw::{Answer, Call, Form, Kind, RawServer, Running, Seen, handler},
};

use crate::{connect, serve};

/// Everything that the fidelity peer can be asked: method and parameters, through the gateway.
const QUESTIONS: [(&str, &str); 9] = [
    ("tools/call", r#"{"name":"numbers","arguments":{}}"#),
    ("tools/call", r#"{"name":"order"}"#),
    ("tools/call", r#"{"name":"unknown","arguments":{"x":1}}"#),
    ("tools/call", r#"{"name":"unicode","arguments":{}}"#),
    ("tools/call", r#"{"name":"big","arguments":{}}"#),
    ("tools/call", r#"{"name":"failure","arguments":{}}"#),
    ("resources/read", r#"{"uri":"fidelity://one"}"#),
    ("resources/read", r#"{"uri":"fidelity://item/7"}"#),
    ("prompts/get", r#"{"name":"prompt","arguments":{"a":"\u0041"}}"#),
];

/// Parameters that a typed model would not give back as they are.
const ODD: [&str; 5] = [
    r#"{"name":"echo","arguments":{"big":12345678901234567890123,"decimal":1.10,"huge":1E400,"minus":-0.0}}"#,
    r#"{ "arguments" : {"z":1,"a":{"y":2,"b":[ ]}} , "name":"echo", "x-unknown":{"k":null} }"#,
    r#"{"name":"\u0065cho","arguments":{"text":"\u0041\/\ud83d\ude00 é 漢字 \u2028 \u0000 \\ \" 😀"}}"#,
    r#"{"name":"echo","_meta":{"vendor/key":{"n":1.50},"progressToken":1.0}}"#,
    r#"{"name":"echo","arguments":null}"#,
];

async fn pair(gateway_of: impl Fn(&Running) -> Gateway) -> (Running, Client, Client, Process) {
    let backend = peers::fidelity().start().await.unwrap();
    let process = serve(&gateway_of(&backend)).await;
    let through = connect(&process).await;
    let direct = Client::connect(&backend.url()).await.unwrap();
    (backend, direct, through, process)
}

fn bare(backend: &Running) -> Gateway {
    Gateway::before(&[("one", backend.url())]).priority(&["one"])
}

fn prefixed(backend: &Running) -> Gateway {
    Gateway::before(&[("one", backend.url())])
}

fn shown(message: &Message) -> String {
    String::from_utf8_lossy(&message.bytes[..message.bytes.len().min(3000)]).into_owned()
}

fn assert_same(direct: &Message, through: &Message) {
    assert!(direct.bytes == through.bytes, "{}\nbecame\n{}", shown(direct), shown(through));
}

#[tokio::test]
async fn every_answer_is_the_backends_own_bytes() {
    let (backend, direct, through, _process) = pair(bare).await;
    for form in [Form::Json, Form::Sse] {
        backend.set_form(form);
        for id in ["7", r#""\u0069d é""#, "-1", "9007199254740993"] {
            for (method, params) in QUESTIONS {
                let expected = direct.request(id, method, params).await.unwrap();
                let mut response = through.open(id, method, params).await.unwrap();
                let status = response.status();
                let answer = response.answer(id).await.unwrap();
                assert_same(&expected, &answer);
                assert_eq!(status, 200);
            }
        }
    }
}

#[tokio::test]
async fn the_answer_takes_the_backends_form() {
    let (backend, _direct, through, _process) = pair(prefixed).await;
    for form in [Form::Json, Form::Sse] {
        backend.set_form(form);
        let response = through.open_call("1", "one_order", "{}").await.unwrap();
        assert_eq!(response.is_stream(), form == Form::Sse);
    }
}

#[tokio::test]
async fn parameters_arrive_byte_for_byte() {
    let (backend, direct, through, _process) = pair(bare).await;
    for form in [Form::Json, Form::Sse] {
        backend.set_form(form);
        for params in ODD {
            let expected = direct.request("1", "tools/call", params).await.unwrap();
            let answer = through.request("1", "tools/call", params).await.unwrap();
            assert_same(&expected, &answer);
        }
    }
    let bodies = backend.seen();
    let calls: Vec<&Seen> = bodies.iter().filter(|seen| seen.method == "tools/call").collect();
    for pair in calls.chunks(2) {
        assert_eq!(pair[0].body, pair[1].body, "the whole request is the same");
    }
}

/// With a prefix the name is all that differs, wherever it stands and however it is written.
#[tokio::test]
async fn only_the_name_of_a_renamed_tool_changes() {
    let (backend, _direct, through, _process) = pair(prefixed).await;
    for params in ODD {
        let renamed = params
            .replace(r#""echo""#, r#""one_echo""#)
            .replace(r#""\u0065cho""#, r#""one_\u0065cho""#);
        assert_ne!(renamed, params);
        through.request("1", "tools/call", &renamed).await.unwrap().result().unwrap();
        let seen = backend.seen();
        let last = seen.iter().rev().find(|seen| seen.method == "tools/call").unwrap();
        let plain = params.replace(r"\u0065cho", "echo");
        let expected =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{plain}}}"#);
        assert_eq!(last.body, Bytes::from(expected));
    }
}

#[tokio::test]
async fn list_entries_are_the_backends_own_bytes() {
    let (backend, direct, through, _process) = pair(prefixed).await;
    for form in [Form::Json, Form::Sse] {
        backend.set_form(form);
        for (method, member) in [
            ("tools/list", "tools"),
            ("resources/list", "resources"),
            ("resources/templates/list", "resourceTemplates"),
            ("prompts/list", "prompts"),
        ] {
            let mut expected =
                direct.request("1", method, "{}").await.unwrap().items(member).unwrap();
            expected.sort();
            let page = through.request("1", method, "{}").await.unwrap();
            let renamed = matches!(member, "tools" | "prompts");
            let undo = |item: String| item.replacen(r#""name":"one_"#, r#""name":""#, 1);
            let items = page.items(member).unwrap().into_iter();
            let mut items: Vec<_> =
                items.map(|item| if renamed { undo(item) } else { item }).collect();
            items.sort();
            assert_eq!(items, expected, "{method}");
        }
    }
}

/// Notifications and questions on a call's stream are the backend's bytes too, but for the id.
#[tokio::test]
async fn what_comes_before_an_answer_is_the_backends_own_bytes() {
    let params =
        r#"{"level":"info","data":{"big":12345678901234567890123,"z":1.10,"a":"\u0041"},"x":[ ]}"#;
    let question = r#"{"mode":"form","message":"\u0041","requestedSchema":{"type":"object","properties":{"z":{"type":"number","maximum":1E400},"a":{"default":1.10}}},"x":[ ]}"#;
    let talking = handler(move |call: Call| async move {
        call.notify("notifications/message", params).await.unwrap();
        call.notify("notifications/x-vendor", params).await.unwrap();
        let _answer = call.ask("elicitation/create", question).await.unwrap();
        Answer::text("done")
    });
    let backend = RawServer::builder()
        .offer(Kind::Tools, r#"{"name":"talk","inputSchema":{"type":"object"}}"#, talking)
        .start()
        .await
        .unwrap();
    let process = serve(&prefixed(&backend)).await;
    let client = connect(&process).await;
    let mut stream = client.open_call("1", "one_talk", "{}").await.unwrap();
    for method in ["notifications/message", "notifications/x-vendor"] {
        let expected = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        assert_eq!(stream.message().await.unwrap().unwrap().bytes, Bytes::from(expected));
    }
    let asked = stream.message().await.unwrap().unwrap();
    let id = asked.id().unwrap();
    let expected = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"elicitation/create","params":{question}}}"#
    );
    assert_eq!(asked.bytes, Bytes::from(expected));
    client.answer(&asked, r#"{"action":"cancel"}"#).await.unwrap();
    stream.answer("1").await.unwrap();
}
