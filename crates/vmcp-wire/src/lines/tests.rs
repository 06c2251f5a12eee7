//! Requests in, what their headers say out, and back.

use bytes::Bytes;

use super::*;

#[test]
fn values_are_written_as_the_specification_shows() {
    // specification 2026-07-28, streamable-http, "Value Encoding"
    for (value, header) in [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("", ""),
        ("a b", "a b"),
    ] {
        let encoded = encode(value);
        assert_eq!(encoded, header);
        assert_eq!(decode(&encoded).unwrap(), value);
    }
    for broken in ["=?base64?%%?=", "=?base64?/w==?="] {
        assert_eq!(decode(&HeaderValue::from_str(broken).unwrap()), None, "{broken}");
    }
    assert_eq!(decode(&HeaderValue::from_bytes(b"caf\xe9").unwrap()), None);
}

#[test]
fn headers_must_say_what_the_body_says() {
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"né"}}"#;
    let read = r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a:b"}}"#;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let task = r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"b:1"}}"#;
    for (text, headers, fits) in [
        (call, vec![("mcp-method", "tools/call"), ("mcp-name", "=?base64?bsOp?=")], true),
        (call, vec![("mcp-method", "tools/call"), ("mcp-name", "ne")], false),
        (call, vec![("mcp-method", "tools/call")], false),
        (call, vec![("mcp-name", "=?base64?bsOp?=")], false),
        (call, vec![("mcp-method", "tools/CALL"), ("mcp-name", "=?base64?bsOp?=")], false),
        (read, vec![("mcp-method", "resources/read"), ("mcp-name", "a:b")], true),
        (
            read,
            vec![("mcp-method", "resources/read"), ("mcp-name", "a:b"), ("mcp-name", "a:b")],
            false,
        ),
        (list, vec![("mcp-method", "tools/list")], true),
        (list, vec![("mcp-method", "tools/list"), ("mcp-name", "whatever")], true),
        (task, vec![("mcp-method", "tasks/get")], true),
        (task, vec![("mcp-method", "tasks/get"), ("mcp-name", "b:2")], false),
    ] {
        let message = Message::parse(Bytes::from_static(text.as_bytes())).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in &headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        assert_eq!(check(&map, &message).is_ok(), fits, "{text} {headers:?}");
    }
}

#[test]
fn lines_are_written() {
    let mut lines = Lines::new("tools/call", Some("né"));
    lines.set_parameter(parameter("Region").unwrap(), encode("a"));
    lines.set_parameter(parameter("region").unwrap(), encode("b"));
    let mut headers = HeaderMap::new();
    lines.each(|name, value| _ = headers.append(name, value.clone()));
    assert_eq!(headers["mcp-protocol-version"], "2026-07-28");
    assert_eq!(headers["mcp-method"], "tools/call");
    assert_eq!(headers["mcp-name"], "=?base64?bsOp?=");
    assert_eq!(headers["mcp-param-region"], "b");
    assert_eq!(headers.len(), 4);
}
