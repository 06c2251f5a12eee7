//! Answers in, what they say about a backend's era out.

use bytes::Bytes;
use vmcp_model::Era;
use vmcp_wire::{Id, IdKey};

use super::{Refusal, Told};
use crate::secrets::Secrets;

fn id() -> IdKey {
    Id::parse(br#""a""#).unwrap().key()
}

/// What an answer to `server/discover` says, in a word.
#[track_caller]
fn check(answer: &str, expected: &str) {
    let told =
        match Told::by(&Bytes::copy_from_slice(answer.as_bytes()), &id(), &Secrets::default()) {
            Ok(Told::Legacy) => "legacy".to_owned(),
            Ok(Told::Modern(None)) => "modern".to_owned(),
            Ok(Told::Modern(Some(found))) => {
                format!("modern {}", String::from_utf8_lossy(&found.capabilities))
            }
            Err(error) => error.to_string(),
        };
    assert_eq!(told, expected, "{answer}");
}

#[test]
fn the_supported_versions_decide() {
    check(
        r#"{"id":"a","result":{"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}}}}"#,
        r#"modern {"tools":{}}"#,
    );
    check(
        r#"{"id":"a","result":{"resultType":"complete","supportedVersions":["2025-11-25","2026-07-28"]}}"#,
        "modern {}",
    );
    check(r#"{"id":"a","result":{"supportedVersions":["2025-11-25"]}}"#, "legacy");
    check(r#"{"id":"a","result":{"supportedVersions":"2026-07-28"}}"#, "legacy");
    check(r#"{"id":"a","result":{}}"#, "legacy");
    check(r#"{"id":"b","result":{"supportedVersions":["2026-07-28"]}}"#, "legacy");
}

#[test]
fn a_modern_error_shows_a_modern_server_and_any_other_a_legacy_one() {
    let error = |code: i64, data: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":"a","error":{{"code":{code},"message":"m"{data}}}}}"#)
    };
    check(&error(-32020, ""), "modern");
    check(&error(-32021, r#","data":{"requiredCapabilities":{"sampling":{}}}"#), "modern");
    check(&error(-32022, r#","data":{"supported":["2026-07-28"]}"#), "modern");
    check(&error(-32022, r#","data":{"supported":["2025-11-25"]}"#), "legacy");
    check(&error(-32022, ""), "modern");
    for code in [-32601, -32600, -32602, -32603, -32000, -32001, -32002, -32042, -32023, 1] {
        check(&error(code, ""), "legacy");
    }
    // The request may not have been read far enough to know its id.
    check(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"m"}}"#, "modern");
    check("", "legacy");
    check("<html>not here</html>", "legacy");
    check("[]", "legacy");
}

#[test]
fn a_result_that_is_not_complete_says_nothing() {
    check(
        r#"{"id":"a","result":{"resultType":"input_required","inputRequests":{}}}"#,
        r#"answered server/discover with a result of the type "input_required""#,
    );
}

#[track_caller]
fn check_doubt(status: u16, body: &str, expected: bool) {
    assert_eq!(Refusal::read(body.as_bytes(), &id()).casts_doubt(status), expected, "{body}");
}

#[test]
fn what_only_a_legacy_server_would_refuse_casts_doubt() {
    let error = |id: &str, code: i64| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"m"}}}}"#)
    };
    for status in [400, 404, 405, 422] {
        check_doubt(status, "", true);
        check_doubt(status, "no session", true);
        check_doubt(status, &error("null", -32000), true);
        check_doubt(status, &error("\"a\"", -32000), true);
        check_doubt(status, &error("\"a\"", -32601), false);
        check_doubt(status, &error("\"a\"", -32602), false);
        check_doubt(status, &error("null", -32020), false);
    }
    check_doubt(404, &error("null", -32601), true);
    for status in [401, 403, 408, 409, 413, 429, 500, 503] {
        check_doubt(status, "", false);
    }
    let unsupported = |list: &str| {
        format!(r#"{{"id":"a","error":{{"code":-32022,"data":{{"supported":{list}}}}}}}"#)
    };
    check_doubt(400, &unsupported(r#"["2025-11-25"]"#), true);
    check_doubt(400, &unsupported(r#"["2026-07-28"]"#), false);
}

#[test]
fn an_error_of_this_request_answers_it() {
    let read = |body: &str| Refusal::read(body.as_bytes(), &id());
    let found = read(r#"{"jsonrpc":"2.0","id":"a","error":{"code":-32021}}"#);
    assert_eq!(found, Refusal { answers: true, code: Some(-32021), era: Some(Era::Modern) });
    assert!(!read(r#"{"jsonrpc":"2.0","id":"b","error":{"code":-32021}}"#).answers);
    assert!(!read(r#"{"jsonrpc":"2.0","id":"a","result":{}}"#).answers);
}
