//! What is kept of a request, and how much of it may be said.

use super::*;

const META: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":"#;

fn message(info: &str) -> Message {
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{"_meta":{{{META}{info}}}}}}}"#
    );
    Message::parse(text.into()).unwrap()
}

fn read<'a>(headers: &'a HeaderMap, message: &'a Message) -> Result<Request<'a>, Fault> {
    Request::read(headers, message, Accepts { json: true, events: true })
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(PROTOCOL_VERSION, HeaderValue::from_static("2026-07-28"));
    headers.insert(lines::METHOD, HeaderValue::from_static("subscriptions/listen"));
    headers
}

#[test]
fn what_is_kept_of_a_request_does_not_keep_the_rest() {
    let (headers, message) = (headers(), message(r#"{"name":"c"}"#));
    let kept = read(&headers, &message).unwrap().client_info();
    assert_eq!(kept, &br#"{"name":"c"}"#[..]);
    assert!(!message.text().as_ptr_range().contains(&kept.as_ptr()));
}

#[test]
fn what_a_client_says_of_itself_is_bounded() {
    let headers = headers();
    for (length, is_taken) in [(MAX_CLIENT_INFO, true), (MAX_CLIENT_INFO + 1, false)] {
        let message = message(&format!(r#"{{"name":"{}"}}"#, "c".repeat(length - 11)));
        assert_eq!(read(&headers, &message).is_ok(), is_taken, "{length}");
    }
}
