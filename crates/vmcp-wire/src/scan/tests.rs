//! Responses that stream past, whole and in pieces.

use super::{ResponseScan, Said, ScanError};
use crate::{id::Id, says_tool_failed};

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

/// A response with these members beside the version.
fn response(members: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0",{members}}}"#)
}

#[test]
fn the_answer_to_the_request_passes() {
    check(r#"{"jsonrpc":"2.0","id":7,"result":{"a":[1,"}\"",{"id":8}]}}"#, Ok(()));
    check(r#" {"result":{"id":8},"id" : 7 , "jsonrpc" : "2.0" } "#, Ok(()));
    check(&response(r#""id":7,"error":{"code":1,"message":"x"},"vendor":"result""#), Ok(()));
    check(&response(r#""id":7,"result":{},"error":null"#), Ok(()));
    check(&response(r#""result":null,"id":7,"error":{}"#), Ok(()));
}

#[test]
fn the_answer_to_another_request_does_not() {
    for members in [
        r#""id":8,"result":{}"#,
        r#""id":"7","result":{}"#,
        r#""id":{"a":7},"result":{}"#,
        r#""id":null,"error":{}"#,
        r#""result":{}"#,
    ] {
        check(&response(members), Err(ScanError::WrongId));
    }
    for members in [
        r#""result":{},"id":7,"id":8"#,
        r#""result":{},"id":7,"i\u0064":8"#,
        r#""id":7,"result":{},"Result":{}"#,
        r#""id":7,"result":null,"result":{}"#,
        r#""id":7,"result":{},"re\u017fult":{}"#,
        r#""id":7,"result":{},"error":{}"#,
    ] {
        check(&response(members), Err(ScanError::Ambiguous));
    }
}

#[test]
fn what_is_not_one_response_does_not() {
    check(r#"[{"id":7,"result":{}}]"#, Err(ScanError::NotAnObject));
    check("7", Err(ScanError::NotAnObject));
    check(&(response(r#""id":7,"result":{}"#) + r#"{"id":8}"#), Err(ScanError::NotAnObject));
    check(r#"{"id":7,"result":{"#, Err(ScanError::Truncated));
    check("", Err(ScanError::Truncated));
    for members in [
        r#""id":7"#,
        r#""id":7,"method":"ping""#,
        r#""id":7,"Result":{}"#,
        r#""id":7,"result":[]"#,
        r#""id":7,"result":"x""#,
        r#""id":7,"error":5"#,
        r#""id":7,"error":null"#,
    ] {
        check(&response(members), Err(ScanError::NoOutcome));
    }
}

#[test]
fn another_protocol_does_not() {
    check(r#"{"jsonrpc":2.0,"id":7,"result":{}}"#, Err(ScanError::OtherProtocol));
    check(r#"{"id":7,"result":{},"jsonrpc":"1.0"}"#, Err(ScanError::OtherProtocol));
    check(r#"{"jsonrpc":["2.0"],"id":7,"result":{}}"#, Err(ScanError::OtherProtocol));
    check(r#"{"id":7,"result":{}}"#, Err(ScanError::OtherProtocol));
}

/// Texts that are no JSON, as results.
const NO_JSON: [&str; 34] = [
    r#"{"a":[}"#,
    r#"{"a":]"#,
    r#"{"a":[1}"#,
    r#"{"a":01}"#,
    r#"{"a":1.}"#,
    r#"{"a":.5}"#,
    r#"{"a":-}"#,
    r#"{"a":1e}"#,
    r#"{"a":1e+}"#,
    r#"{"a":+1}"#,
    r#"{"a":0x1}"#,
    r#"{"a":1 2}"#,
    r#"{"a":--1}"#,
    r#"{a:nope}"#,
    r#"{"a":nope}"#,
    r#"{"a":nul}"#,
    r#"{"a":True}"#,
    r#"{"a":truetrue}"#,
    r#"{"a":NaN}"#,
    r#"{"a"}"#,
    r#"{"a":}"#,
    r#"{"a":1,}"#,
    r#"{,"a":1}"#,
    r#"{"a":1 "b":2}"#,
    r#"{"a":[1,]}"#,
    r#"{"a":[,1]}"#,
    r#"{"a":[1 2]}"#,
    r#"{"a":"\q"}"#,
    r#"{"a":"\u12g4"}"#,
    "{\"a\":\"\u{1}\"}",
    "{\"a\":\"line\nbreak\"}",
    "{\"a\":\u{b}1}",
    r#"{'a':1}"#,
    r#"{"a":1}/* */"#,
];

#[test]
fn what_is_no_json_does_not() {
    for text in NO_JSON {
        check(&response(&format!(r#""id":7,"result":{text}"#)), Err(ScanError::NotJson));
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_get_a_verdict(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let mut scan = ResponseScan::new(Id::parse(b"7").unwrap().key());
        let _verdict = scan.feed(&bytes).and_then(|()| scan.finish());
    }

    /// Whatever is made of JSON by small changes is taken if it is JSON still, and only then.
    #[test]
    fn what_passes_is_json(
        changes in proptest::collection::vec((0_usize..200, proptest::sample::select(b"{}[],:\"\\tn0-.eE 1u\x01".to_vec())), 0..4),
        cut in 0_usize..200,
    ) {
        let result = br#"{"a":[1,-0.5e+3,[],{}],"b\u00e9":{"c":"d\"","e":null},"f":[true,false,{"g":10}]}"#;
        let mut result = result.to_vec();
        for (at, byte) in changes {
            let at = at % result.len();
            if at.is_multiple_of(3) { result.insert(at, byte); } else { result[at] = byte; }
        }
        let is_object = |value: &serde_json::value::RawValue| value.get().starts_with('{');
        let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(&result).is_ok_and(is_object);
        let mut text = br#"{"jsonrpc":"2.0","id":7,"result":"#.to_vec();
        text.extend_from_slice(&result);
        text.push(b'}');
        let mut scan = ResponseScan::new(Id::parse(b"7").unwrap().key());
        let (head, tail) = text.split_at(cut.min(text.len()));
        let verdict = scan.feed(head).and_then(|()| scan.feed(tail)).and_then(|()| scan.finish());
        let more_members = serde_json::from_slice::<&serde_json::value::RawValue>(&text).is_ok();
        proptest::prop_assert!(verdict.is_ok() || !is_json || !more_members);
        proptest::prop_assert!(verdict.is_err() || more_members);
    }

    /// Whatever a full parser takes for the answer to the request, the scanner does too.
    #[test]
    fn a_valid_response_passes(text in "[a-z\\\\\"{}\\[\\],:]{0,30}", cut in 0_usize..80) {
        let quoted = String::from_utf8(vmcp_model::raw::string(&text)).unwrap();
        let json = format!("{{\"x\":{quoted},\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{{{quoted}:[{quoted}]}}}}");
        let mut scan = ResponseScan::new(Id::parse(b"7").unwrap().key());
        let (head, tail) = json.as_bytes().split_at(cut.min(json.len()));
        proptest::prop_assert_eq!(scan.feed(head).and_then(|()| scan.feed(tail)).and_then(|()| scan.finish()), Ok(()));
    }
}

/// What a tool says of itself is told wherever the text is cut, and nothing that looks like it.
#[test]
fn a_tool_that_has_failed_is_told() {
    for (members, said) in [
        (r#""id":7,"result":{"content":[],"isError":true}"#, Said::ToolError),
        (r#""result":{"isError" : true , "content":[]},"id":7"#, Said::ToolError),
        (r#""id":7,"result":{"isError":false}"#, Said::Result),
        (r#""id":7,"result":{"isErrors":true,"isErro":true,"IsError":true}"#, Said::Result),
        (r#""id":7,"result":{"isError":[true],"a":true}"#, Said::Result),
        (r#""id":7,"result":{"isError":{"isError":true}}"#, Said::Result),
        (r#""id":7,"result":{"content":[{"isError":true}]}"#, Said::Result),
        (r#""id":7,"result":{"text":"\"isError\":true","b":true}"#, Said::Result),
        (r#""id":7,"isError":true,"result":{}"#, Said::Result),
        (r#""id":7,"other":{"isError":true},"result":{}"#, Said::Result),
        (r#""id":7,"error":{"code":1,"message":"x","isError":true}"#, Said::Error),
        (r#""id":7,"error":null,"result":{}"#, Said::Result),
        (r#""id":7,"result":null,"error":{"code":1,"message":"x"}"#, Said::Error),
    ] {
        let text = response(members);
        for size in 1..=text.len() {
            let mut scan = ResponseScan::new(Id::parse(b"7").unwrap().key());
            for chunk in text.as_bytes().chunks(size) {
                scan.feed(chunk).unwrap();
            }
            scan.finish().unwrap();
            assert_eq!(scan.says(), said, "in pieces of {size}: {text}");
        }
        let whole = says_tool_failed(text.as_bytes());
        assert_eq!(whole, said == Said::ToolError, "{text}");
    }
}
