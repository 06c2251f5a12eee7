//! What is kept of a request, and how much of it may be said.

use vmcp_model::{Identity, Principal};

use super::*;

const META: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":"#;

fn message(info: &str) -> Message {
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{{"_meta":{{{META}{info}}}}}}}"#
    );
    Message::parse(text.into()).unwrap()
}

/// What is read of a message: what its sender says of itself.
fn read(headers: &HeaderMap, message: &Message) -> Result<Bytes, Fault> {
    let client = Client {
        identity: &Identity::unproved(Principal::Anonymous),
        address: [127, 0, 0, 1].into(),
        is_certain: &|| false,
        headers,
        takes_streams: true,
        on_admitted: &|| {},
    };
    Request::read(&client, message).map(|request| request.client_info())
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
    let kept = read(&headers, &message).unwrap();
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
