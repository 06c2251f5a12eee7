//! Task ids on their way to a client and back.

use bytes::Bytes;

use super::{publish, unpublish};

#[track_caller]
fn check(text: &str, own: bool, expected: &str) {
    let published = publish(&Bytes::copy_from_slice(text.as_bytes()), "b", own);
    assert_eq!(std::str::from_utf8(&published).unwrap(), expected);
    assert_eq!(unpublish(&published, "b"), text, "and back");
}

#[test]
fn every_place_of_a_task_id_is_translated() {
    check(
        r#"{"result":{"task":{"taskId":"1","x":1.10}}}"#,
        true,
        r#"{"result":{"task":{"taskId":"b:1","x":1.10}}}"#,
    );
    check(
        r#"{"result":{"tasks":[{"taskId":"1"},{"taskId":"2"}]}}"#,
        true,
        r#"{"result":{"tasks":[{"taskId":"b:1"},{"taskId":"b:2"}]}}"#,
    );
    check(
        r#"{"params":{"taskId":"1","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"1"}}}}"#,
        true,
        r#"{"params":{"taskId":"b:1","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"b:1"}}}}"#,
    );
}

#[test]
fn a_task_of_the_client_keeps_its_id() {
    check(
        r#"{"params":{"taskId":"1","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"2"}}}}"#,
        false,
        r#"{"params":{"taskId":"1","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"b:2"}}}}"#,
    );
}

#[test]
fn arguments_are_not_looked_into() {
    let text = r#"{"params":{"arguments":{"taskId":"1"}},"result":{"content":[{"taskId":"1"}]}}"#;
    check(text, true, text);
}
