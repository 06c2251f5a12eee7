//! What backends say beside the protocol, on every transport: what is no message is skipped, an answer
//! that can only be meant for the call is taken for it, and no session is lost over it.

use serde_json::json;
use vmcp_testkit::{
    client::Client,
    gateway::{Gateway, eventually},
    literal::{Literal, Way},
    process::Process,
};

use crate::{connect, serve};

const ANSWER: &str =
    r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[{"type":"text","text":"said"}]}}"#;

/// A server that writes there, and a client of it.
async fn before(way: Way) -> (Literal, Process, Client) {
    let server = Literal::start(way).await.unwrap();
    let gateway = Gateway::before(&[]).backend(&server.backend("odd"));
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    (server, process, client)
}

/// Has the server write this, and gives the text of the answer to the call.
async fn say(client: &Client, id: &str, arguments: &serde_json::Value) -> Result<String, String> {
    let answer = client.call(id, "odd_say", &arguments.to_string()).await;
    let answer = answer.map_err(|error| format!("{error:#}"))?;
    answer.text().map_err(|_error| String::from_utf8_lossy(&answer.bytes).into_owned())
}

/// What is no message, or nobody's, and is harmless on every stream.
const NO_MESSAGES: [&str; 12] = [
    r#"{"type":"heartbeat"}"#,
    "ping",
    "",
    "null",
    "17",
    "[]",
    r#""text""#,
    "{}",
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"stray"}}"#,
    r#"{"id":null,"error":{"code":-32000,"message":"stray"}}"#,
    r#"{"jsonrpc":"2.0","id":987654321,"result":{}}"#,
    r#"{"jsonrpc":"1.0","id":$id,"result":{}}"#,
];

#[tokio::test]
async fn what_is_no_message_is_skipped_on_every_stream() {
    for way in Way::ALL.into_iter().filter(|way| way.is_stream()) {
        let (_server, process, client) = before(way).await;
        let _listening = client.listen(None).await.unwrap();
        for (number, stray) in NO_MESSAGES.iter().enumerate() {
            let text =
                way.framed(stray) + &way.framed(if way == Way::Get { stray } else { ANSWER });
            let id = (2 * number + 1).to_string();
            let said = say(&client, &id, &json!({"before": text, "times": 0})).await;
            assert_eq!(said.as_deref(), Ok("said"), "{stray} before the answer, {way:?}");
            let id = (2 * number + 2).to_string();
            let count = client.call(&id, "odd_count", "{}").await.unwrap().text().unwrap();
            assert_eq!(count, (number + 1).to_string(), "{stray}, {way:?}");
        }
        let warned = process.log().matches("which is skipped").count();
        assert_eq!(warned, usize::from(way != Way::Stdio), "{way:?}: {}", process.log());
    }
}

/// How events and lines may be written, and what stands around them.
#[tokio::test]
async fn every_framing_of_an_answer_is_read() {
    let events = [
        "event: ping\ndata: x\n\ndata: $answer\n\n",
        "event: endpoint-like\nid: 7\nretry: 1\ndata: $answer\n\nevent: message\ndata: $answer\n\n",
        ": comment\n\n\n\nfoo: bar\n\ndata:$answer\n\n",
        "data: $answer\r\r",
        "event: message\rdata: $answer\r\r",
        "data: $answer\r\n\r\n",
        "data: \u{feff}$answer\n\n",
    ];
    let lines = [
        "\u{feff}$answer\n",
        "$answer\r\n",
        "\n\n  $answer\n",
        "Server ready.\n\u{feff}\n$answer\n",
        "\u{1b}[32mready\u{1b}[0m\r$answer\n$answer\n",
    ];
    for way in [Way::Sse, Way::HttpSse, Way::Stdio] {
        let (_server, _process, client) = before(way).await;
        let cases = if way == Way::Stdio { &lines[..] } else { &events[..] };
        for (number, case) in cases.iter().enumerate() {
            let text = case.replace("$answer", ANSWER);
            let said =
                say(&client, &number.to_string(), &json!({"before": text, "times": 0})).await;
            assert_eq!(said.as_deref(), Ok("said"), "{case:?}, {way:?}");
        }
        assert_eq!(client.call("90", "odd_count", "{}").await.unwrap().text().unwrap(), "1");
    }
    let (_server, _process, client) = before(Way::Sse).await;
    let text = format!("\u{feff}data: {ANSWER}\n\n");
    let said = say(&client, "1", &json!({"before": text, "times": 0})).await;
    assert_eq!(said.as_deref(), Ok("said"));
}

/// Answers that mean what they should, though they are not written as they should be.
#[tokio::test]
async fn an_answer_that_can_mean_one_request_only_is_taken_for_it() {
    let result = r#""result":{"content":[{"type":"text","text":"said"}]}"#;
    for way in [Way::Json, Way::Sse, Way::HttpSse, Way::Stdio] {
        let (_server, process, client) = before(way).await;
        for (id, answer) in [
            ("7", format!(r#"{{"jsonrpc":"2.0","id":"7",{result}}}"#)),
            ("8", format!(r#"{{"jsonrpc":"2.0","id":"8",{result},"error":null}}"#)),
            ("9", format!(r#"{{"jsonrpc":"2.0","error":null,"id":9,{result}}}"#)),
        ] {
            let text = json!({"before": way.framed(&answer), "times": 0}).to_string();
            let said = client.call(id, "odd_say", &text).await.unwrap();
            assert_eq!(said.id().unwrap(), id, "{way:?}");
            assert_eq!(said.text().unwrap_or_default(), "said", "{answer}, {way:?}");
            assert!(!said.json().as_object().unwrap().contains_key("error"), "{answer}, {way:?}");
        }
        let refused =
            r#"{"jsonrpc":"2.0","id":$id,"result":null,"error":{"code":5,"message":"no"}}"#;
        let text = json!({"before": way.framed(refused), "times": 0}).to_string();
        let refused = client.call("10", "odd_say", &text).await.unwrap().json();
        let expected = json!({"jsonrpc": "2.0", "id": 10, "error": {"code": 5, "message": "no"}});
        assert_eq!(refused, expected, "{way:?}");
        let warned = process.log().matches("ids of another JSON type").count();
        assert_eq!(warned, 1, "{way:?}: {}", process.log());
    }
}

#[tokio::test]
async fn a_program_may_print_much_in_one_line_and_end_without_ending_its_last() {
    let (_server, process, client) = before(Way::Stdio).await;
    let after = format!("\n{ANSWER}\n");
    let noise = json!({"fill": "noise ", "times": (64 << 20) / 6, "after": after});
    assert_eq!(say(&client, "1", &noise).await.as_deref(), Ok("said"));
    assert_eq!(client.call("2", "odd_count", "{}").await.unwrap().text().unwrap(), "1");
    let last = json!({"before": ANSWER, "times": 0, "end": true});
    assert_eq!(say(&client, "3", &last).await.as_deref(), Ok("said"));
    assert!(process.memory().unwrap() < 64 << 20);
}

/// What stands where an answer should be, and is none: small, or so large that it is passed on while it
/// comes.
#[tokio::test]
async fn answers_that_are_no_json_or_no_response_become_errors() {
    let result = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":$id,"result":{result}}}"#);
    let lies = [
        result(r#"{"a":[}"#),
        result(r#"{"a":[1,]}"#),
        result(r#"{"a":01}"#),
        result("{a:nope}"),
        result(r#"{"a":nope}"#),
        result(r#"{"a":"\q"}"#),
        result("{\"a\":\"\u{1}\"}"),
        result("{\"a\":\"x\ty\"}"),
        result(r#"{"a":1} x"#),
        result("[]"),
        result("null"),
        result(r#""text""#),
        r#"{"id":$id,"result":{}}"#.to_owned(),
        r#"{"jsonrpc":"1.0","id":$id,"result":{}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":$id,"Result":{}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":$id,"error":"x"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":$id,"error":[]}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":$id}"#.to_owned(),
        r#"{"jsonrpc":"2.0","result":{}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":null,"result":{}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":$id,"method":"ping"}"#.to_owned(),
        r#"[{"jsonrpc":"2.0","id":$id,"result":{}}]"#.to_owned(),
        "null".to_owned(),
        "<html></html>".to_owned(),
        String::new(),
    ];
    let large = format!(r#"{{"vendor":"{}","#, "x".repeat(300_000));
    for way in [Way::Json, Way::Sse] {
        let (_server, _process, client) = before(way).await;
        for (number, lie) in lies.iter().enumerate() {
            let text = json!({"before": way.framed(lie), "times": 0}).to_string();
            let answer = client.call(&number.to_string(), "odd_say", &text).await.unwrap();
            let told = answer.error().unwrap_or_default();
            assert!(told.contains("backend odd"), "{lie}, {way:?}: {answer:?}");
            let text = lie.replacen('{', &large, 1);
            let text = json!({"before": way.framed(&text), "times": 0}).to_string();
            // What has been passed on already is broken off: it cannot be taken for a response.
            if let Ok(answer) = client.call(&(100 + number).to_string(), "odd_say", &text).await {
                let told = answer.error().unwrap_or_default();
                assert!(told.contains("backend odd"), "large: {lie}, {way:?}");
            }
        }
        assert_eq!(client.call("90", "odd_count", "{}").await.unwrap().text().unwrap(), "1");
    }
}

/// A server that asks on its streams whether somebody is there ends the sessions where nobody is.
#[tokio::test]
async fn a_session_whose_server_asks_for_signs_of_life_is_listened_to() {
    let server = Literal::start(Way::Get).await.unwrap();
    let process = serve(&Gateway::before(&[]).backend(&server.backend("odd"))).await;
    let streams = async |count: usize| {
        let what = format!("{count} streams");
        eventually(&what, async || (server.streams() == count).then_some(())).await;
    };
    // That of the watch.
    streams(1).await;
    let silent = connect(&process).await;
    silent.call("1", "odd_count", "{}").await.unwrap();
    let hearing = connect(&process).await;
    let stream = hearing.listen(None).await.unwrap();
    hearing.call("1", "odd_count", "{}").await.unwrap();
    streams(2).await;
    let ping = Way::Get.framed(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#);
    let ping = json!({"before": ping, "times": 0});
    hearing.call("2", "odd_say", &ping.to_string()).await.unwrap();
    eventually("it is answered", async || (server.answers() == 1).then_some(())).await;
    drop(stream);
    let other = connect(&process).await;
    other.call("1", "odd_count", "{}").await.unwrap();
    // For as long as they live, though no client listens.
    streams(3).await;
    other.delete().await.unwrap();
    streams(2).await;
    assert!(!process.log().contains("has lost a client's session"));
    server.forget_sessions();
    assert_eq!(hearing.call("3", "odd_count", "{}").await.unwrap().text().unwrap(), "1");
    eventually("the loss is told", async || {
        process.log().contains("has lost a client's session").then_some(())
    })
    .await;
}
