//! Responses that stream past, whole and in pieces.

use super::{ResponseScan, ScanError};
use crate::id::Id;

/// Feeds the text in pieces of every size; the verdict must not depend on the cuts.
#[track_caller]
fn check(text: &str, expected: Result<(), ScanError>) {
    for size in 1..=text.len().max(1) {
        let mut scan = ResponseScan::new(Id::parse(b"7").unwrap().key());
        let verdict = text
            .as_bytes()
            .chunks(size)
            .try_for_each(|chunk| scan.feed(chunk))
            .and_then(|()| scan.finish());
        assert_eq!(verdict, expected, "in pieces of {size}: {text}");
    }
}

#[test]
fn the_answer_to_the_request_passes() {
    check(r#"{"jsonrpc":"2.0","id":7,"result":{"a":[1,"}\"",{"id":8}]}}"#, Ok(()));
    check(r#" {"result":{"id":8},"id" : 7 } "#, Ok(()));
    check(r#"{"id":7,"error":{"code":1,"message":"x"},"vendor":"result"}"#, Ok(()));
}

#[test]
fn the_answer_to_another_request_does_not() {
    check(r#"{"id":8,"result":{}}"#, Err(ScanError::WrongId));
    check(r#"{"id":"7","result":{}}"#, Err(ScanError::WrongId));
    check(r#"{"id":{"a":7},"result":{}}"#, Err(ScanError::WrongId));
    check(r#"{"result":{}}"#, Err(ScanError::WrongId));
    check(r#"{"result":{},"id":7,"id":8}"#, Err(ScanError::Ambiguous));
    check(r#"{"result":{},"id":7,"i\u0064":8}"#, Err(ScanError::Ambiguous));
    check(r#"{"id":7,"result":{},"Result":{}}"#, Err(ScanError::Ambiguous));
    check(r#"{"id":7,"result":{},"re\u017fult":{}}"#, Err(ScanError::Ambiguous));
}

#[test]
fn what_is_not_one_response_does_not() {
    check(r#"[{"id":7,"result":{}}]"#, Err(ScanError::NotAnObject));
    check(r#"{"id":7,"result":{}}{"id":8,"result":{}}"#, Err(ScanError::NotAnObject));
    check(r#"{"id":7,"result":{"#, Err(ScanError::Truncated));
    check(r#"{"id":7}"#, Err(ScanError::NoOutcome));
    check(r#"{"id":7,"method":"ping"}"#, Err(ScanError::NoOutcome));
}

#[test]
fn another_protocol_does_not() {
    check(r#"{"jsonrpc":2.0,"id":7,"result":{}}"#, Err(ScanError::OtherProtocol));
    check(r#"{"id":7,"result":{},"jsonrpc":"1.0"}"#, Err(ScanError::OtherProtocol));
    check(r#"{"jsonrpc":["2.0"],"id":7,"result":{}}"#, Err(ScanError::OtherProtocol));
}

proptest::proptest! {
    #[test]
    fn any_bytes_get_a_verdict(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let mut scan = ResponseScan::new(Id::parse(b"7").unwrap().key());
        let _verdict = scan.feed(&bytes).and_then(|()| scan.finish());
    }

    /// Whatever a full parser takes for the answer to the request, the scanner does too.
    #[test]
    fn a_valid_response_passes(text in "[a-z\\\\\"{}\\[\\],:]{0,30}", cut in 0_usize..80) {
        let quoted = String::from_utf8(vmcp_model::raw::string(&text)).unwrap();
        let json = format!("{{\"x\":{quoted},\"id\":7,\"result\":{{{quoted}:[{quoted}]}}}}");
        let mut scan = ResponseScan::new(Id::parse(b"7").unwrap().key());
        let (head, tail) = json.as_bytes().split_at(cut.min(json.len()));
        proptest::prop_assert_eq!(scan.feed(head).and_then(|()| scan.feed(tail)).and_then(|()| scan.finish()), Ok(()));
    }
}
