//! Backends that break the protocol, or off: a clear error or the right answer, and no harm to
//! anybody else.

use bytes::Bytes;
use vmcp_testkit::{
    client::Message,
    gateway::Gateway,
    peers,
    raw::{Answer, Form, Kind, RawServer, fixed},
};

use crate::{connect, serve};

/// What a client must make of a lie.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Becomes {
    /// An error that names the backend.
    Error,
    /// Such an error, or this result.
    ErrorOr(&'static str),
    /// The lie is not about the envelope: it passes as it is, even if its reader cannot read it.
    Itself,
}

const EMPTY: &str = r#"{"content":[]}"#;

const LIES: [(&str, Becomes); 24] = [
    ("other_id", Becomes::Error),
    ("duplicate_keys", Becomes::Error),
    ("result_and_error", Becomes::Error),
    ("neither", Becomes::Error),
    ("wrong_types", Becomes::Error),
    ("wrong_result", Becomes::Itself),
    ("wrong_error", Becomes::Error),
    ("error_without_code", Becomes::Error),
    ("error_with_odd_code", Becomes::Error),
    ("unknown_result_type", Becomes::Itself),
    ("not_json", Becomes::Error),
    ("deep", Becomes::Itself),
    ("empty_body", Becomes::Error),
    ("no_content_type", Becomes::ErrorOr(EMPTY)),
    ("unknown_content_type", Becomes::Error),
    ("invalid_utf8", Becomes::Error),
    ("invalid_utf8_event", Becomes::Error),
    ("stream_without_answer", Becomes::Error),
    ("unfinished_event", Becomes::Error),
    ("two_answers", Becomes::ErrorOr(EMPTY)),
    ("other_answer_first", Becomes::ErrorOr(EMPTY)),
    ("accepted", Becomes::Error),
    ("server_error", Becomes::Error),
    ("redirect", Becomes::Error),
];

fn is_clear_error(answer: &Message) -> bool {
    answer.error().is_ok_and(|error| error.contains("backend liar"))
}

/// What is wrong with that which a client got for a lie.
fn wrong(becomes: Becomes, got: &anyhow::Result<Message>) -> Option<String> {
    let answer = match got {
        Ok(answer) => answer,
        Err(_) if becomes == Becomes::Itself => return None,
        Err(error) => return Some(format!("{error:?}")),
    };
    let right = match becomes {
        Becomes::Error => is_clear_error(answer),
        Becomes::ErrorOr(result) => {
            is_clear_error(answer) || answer.result().is_ok_and(|given| given == result)
        }
        Becomes::Itself => true,
    };
    let shown = || String::from_utf8_lossy(&answer.bytes[..answer.bytes.len().min(500)]).into();
    (!right || !answer.before.is_empty()).then(shown)
}

#[tokio::test]
async fn every_lie_becomes_a_clear_error_or_the_right_answer() {
    let liar = peers::lying().start().await.unwrap();
    let good = peers::stateful().start().await.unwrap();
    let process = serve(&Gateway::before(&[("liar", liar.url()), ("good", good.url())])).await;
    let client = connect(&process).await;
    let (mut honest, mut failures) = (0, Vec::new());
    for form in [Form::Json, Form::Sse] {
        liar.set_form(form);
        for (lie, becomes) in LIES {
            let name = format!("liar_{lie}");
            let (lied, truth, other) = tokio::join!(
                client.call("1", &name, "{}"),
                client.call("2", "liar_honest", "{}"),
                client.call("3", "good_count", "{}"),
            );
            honest += 1;
            assert_eq!(truth.unwrap().text().unwrap(), "the truth");
            assert_eq!(other.unwrap().text().unwrap(), honest.to_string());
            if let Some(wrong) = wrong(becomes, &lied) {
                failures.push(format!("{lie} as {form:?} was to become {becomes:?}: {wrong}"));
            }
            assert_eq!(liar.counters().calls(lie), if form == Form::Json { 1 } else { 2 }, "{lie}");
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A result too large to be held is passed on while it comes; what is wrong with its end must not
/// look right.
#[tokio::test]
async fn large_lies_are_not_taken_for_the_truth() {
    let text = "x".repeat(2_000_000);
    let content = format!(r#""content":[{{"type":"text","text":"{text}"}}]"#);
    let lies = [
        ("other_id", format!(r#"{{"jsonrpc":"2.0","id":987654321,"result":{{{content}}}}}"#)),
        ("id_last", format!(r#"{{"jsonrpc":"2.0","result":{{{content}}},"id":987654321}}"#)),
        ("unclosed", format!(r#"{{"jsonrpc":"2.0","id":$id,"result":{{{content}}}"#)),
        ("garbage_behind", format!(r#"{{"jsonrpc":"2.0","id":$id,"result":{{{content}}}}} x"#)),
        ("twice", format!(r#"{{"jsonrpc":"2.0","id":$id,"result":{{{content}}},"result":{{}}}}"#)),
        (
            "both",
            format!(
                r#"{{"jsonrpc":"2.0","id":$id,"result":{{{content}}},"error":{{"code":1,"message":""}}}}"#
            ),
        ),
    ];
    let liar = peers::lying().start().await.unwrap();
    for (name, message) in &lies {
        let definition = format!(r#"{{"name":"large_{name}","inputSchema":{{"type":"object"}}}}"#);
        let answer = Answer::Messages(vec![Bytes::from(message.clone())]);
        liar.add(Kind::Tools, &definition, fixed(answer)).await;
    }
    let process = serve(&Gateway::before(&[("liar", liar.url())])).await;
    let client = connect(&process).await;
    for form in [Form::Json, Form::Sse] {
        liar.set_form(form);
        for (name, _) in &lies {
            let lied = client.call("1", &format!("liar_large_{name}"), "{}").await;
            if let Ok(answer) = lied {
                assert!(is_clear_error(&answer), "{name} as {form:?} passed for the truth");
            }
            let truth = client.call("2", "liar_honest", "{}").await.unwrap();
            assert_eq!(truth.text().unwrap(), "the truth");
        }
    }
    // Whose answer had begun cannot be told any more; those who run this can.
    process.logged("a large answer was broken off in the middle").await;
}

/// What says at once that it is too large is refused before anything of it has gone to the client.
#[tokio::test]
async fn what_is_too_large_by_its_own_word_becomes_a_clear_error() {
    let text = "x".repeat(2_000_000);
    let large = format!(r#"{{"content":[{{"type":"text","text":"{text}"}}]}}"#);
    let tool = r#"{"name":"huge","inputSchema":{"type":"object"}}"#;
    let backend = RawServer::builder().tool(tool, large.as_str()).form(Form::Json);
    let backend = backend.start().await.unwrap();
    let gateway = Gateway::before(&[("liar", backend.url())]);
    let process = serve(&gateway.with("limits: {responseBytes: 1MiB}")).await;
    let client = connect(&process).await;
    let answer = client.call("1", "liar_huge", "{}").await.unwrap();
    assert!(is_clear_error(&answer), "{answer:?}");
    assert!(answer.error().unwrap().contains("limits.responseBytes"), "{answer:?}");
}

#[tokio::test]
async fn a_backend_that_dies_in_mid_answer_is_said_to() {
    let dying = peers::dying().start().await.unwrap();
    let process = serve(&Gateway::before(&[("liar", dying.url())])).await;
    let client = connect(&process).await;
    for form in [Form::Json, Form::Sse] {
        dying.set_form(form);
        for (tool, arguments) in [
            ("cut_off", r#"{"bytes":10000}"#),
            ("cut_off", r#"{"bytes":10}"#),
            ("close", "{}"),
            ("close_after_event", "{}"),
        ] {
            let answer = client.call("1", &format!("liar_{tool}"), arguments).await.unwrap();
            assert!(is_clear_error(&answer), "{tool} as {form:?}: {answer:?}");
        }
        // So much is passed on while it comes: it must break off here as it does there.
        let large = client.call("1", "liar_cut_off", r#"{"bytes":3000000}"#).await;
        if let Ok(answer) = large {
            assert!(is_clear_error(&answer), "{form:?}");
        }
    }
    let calls = dying.counters().calls("cut_off") + dying.counters().calls("close");
    assert_eq!(calls, 8, "nothing runs twice");
}
