//! Servers that break the protocol.

use bytes::Bytes;

use super::tool;
use crate::raw::{Answer, RawServer, fixed};

/// One tool for each lie, and `honest`.
pub fn lying() -> RawServer {
    let messages = |messages: &[&'static str]| {
        Answer::Messages(
            messages.iter().map(|message| Bytes::from_static(message.as_bytes())).collect(),
        )
    };
    let http = |content_type, body: &'static [u8]| Answer::Http {
        status: 200,
        content_type,
        body: Bytes::from_static(body),
    };
    let lies = [
        ("other_id", messages(&[r#"{"jsonrpc":"2.0","id":987654321,"result":{"content":[]}}"#])),
        (
            "duplicate_keys",
            messages(&[r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[]},"result":{"content":[{"type":"text","text":"second"}]}}"#]),
        ),
        (
            "result_and_error",
            messages(&[r#"{"jsonrpc":"2.0","id":$id,"result":{"content":[]},"error":{"code":-32000,"message":"both"}}"#]),
        ),
        ("neither", messages(&[r#"{"jsonrpc":"2.0","id":$id}"#])),
        ("wrong_types", messages(&[r#"{"jsonrpc":2.0,"id":$id,"result":"a string"}"#])),
        ("wrong_result", messages(&[r#"{"jsonrpc":"2.0","id":$id,"result":{"content":"a string","isError":"yes"}}"#])),
        (
            "error_without_code",
            messages(&[r#"{"jsonrpc":"2.0","id":$id,"error":{"message":"x"}}"#]),
        ),
        (
            "error_with_odd_code",
            messages(&[r#"{"jsonrpc":"2.0","id":$id,"error":{"code":-32000.5,"message":"x"}}"#]),
        ),
        ("wrong_error", messages(&[r#"{"jsonrpc":"2.0","id":$id,"error":{"code":"x"}}"#])),
        ("unknown_result_type", messages(&[r#"{"jsonrpc":"2.0","id":$id,"result":{"resultType":"surprise"}}"#])),
        ("not_json", messages(&["this is not JSON"])),
        ("deep", Answer::Messages(vec![deep()])),
        ("empty_body", http(Some("application/json"), b"")),
        ("no_content_type", http(None, br#"{"jsonrpc":"2.0","id":$id,"result":{"content":[]}}"#)),
        ("unknown_content_type", http(Some("text/html"), b"<html>It works!</html>")),
        (
            "invalid_utf8",
            http(Some("application/json"), b"{\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"\xff\xfe\"}]}}"),
        ),
        (
            "invalid_utf8_event",
            http(Some("text/event-stream"), b"data: {\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"\xff\xfe\"}]}}\n\n"),
        ),
        ("stream_without_answer", http(Some("text/event-stream"), b": nothing to say\n\n")),
        ("unfinished_event", http(Some("text/event-stream"), br#"data: {"jsonrpc":"2.0","id":$id,"result":{"content":[]}}"#)),
        (
            "two_answers",
            http(
                Some("text/event-stream"),
                b"data: {\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[]}}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"second\"}]}}\n\n",
            ),
        ),
        (
            "other_answer_first",
            http(
                Some("text/event-stream"),
                b"data: {\"jsonrpc\":\"2.0\",\"id\":987654321,\"result\":{\"content\":[]}}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":$id,\"result\":{\"content\":[]}}\n\n",
            ),
        ),
        ("accepted", Answer::Http { status: 202, content_type: None, body: Bytes::new() }),
        ("server_error", Answer::Http { status: 500, content_type: Some("text/plain"), body: Bytes::from_static(b"boom") }),
        ("redirect", Answer::Http { status: 307, content_type: None, body: Bytes::new() }),
    ];
    let honest = RawServer::builder().tool(&tool("honest"), Answer::text("the truth"));
    lies.into_iter().fold(honest, |server, (name, answer)| server.tool(&tool(name), answer))
}

/// Its `tools/list` is an object where a list should be, holds what is no tool, and repeats a name.
/// [`RawServer::script`] can replace each shape by another.
pub fn lying_about_tools() -> RawServer {
    RawServer::builder()
        .tool(&tool("honest"), Answer::text("the truth"))
        .script("tools/list", fixed(r#"{"tools":{"name":"not a list"}}"#))
        .script(
            "resources/list",
            fixed(r#"{"resources":[17,{"uri":"lie://twice","name":"a"},{"uri":"lie://twice","name":"b"},{"name":"no uri"}]}"#),
        )
        .script("prompts/list", fixed(r#"{"prompts":null}"#))
        .capabilities(r#"{"tools":{},"resources":{},"prompts":{}}"#)
}

/// A result nested deeper than any recursive parser's stack should go.
fn deep() -> Bytes {
    let depth = 100_000;
    let open = "[".repeat(depth);
    let close = "]".repeat(depth);
    format!(r#"{{"jsonrpc":"2.0","id":$id,"result":{{"content":[],"deep":{open}{close}}}}}"#).into()
}
