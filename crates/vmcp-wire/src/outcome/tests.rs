//! Responses of the one era in, as the other has them out.

use serde_json::{Value, json};

use super::*;

const VMCP: &[u8] = br#"{"name":"vmcp"}"#;

fn outcome(part: &str) -> Outcome {
    Outcome::parse(format!(r#"{{"jsonrpc":"2.0","id":1,{part}}}"#).into()).unwrap()
}

fn read(text: &[u8]) -> Value {
    let whole: Value = serde_json::from_slice(text)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(text)));
    whole.get("result").or(whole.get("error")).unwrap().clone()
}

#[test]
fn every_kind_of_response_is_known() {
    for (part, kind) in [
        (r#""result":{}"#, Kind::Complete),
        (r#""result":{"resultType":"complete"}"#, Kind::Complete),
        (r#""result":{"resultType":"input_required"}"#, Kind::InputRequired),
        (r#""result":{"resultType":"task"}"#, Kind::Extended("task".into())),
        (r#""error":{"code":-32021,"message":"m"}"#, Kind::Error(-32021)),
    ] {
        assert_eq!(*outcome(part).kind(), kind, "{part}");
    }
    for part in [
        r#""result":[]"#,
        r#""result":{"resultType":1}"#,
        r#""result":{"resultType":"complete","resulttype":"task"}"#,
        r#""result":{"_meta":{"a":1},"content":[],"_meta":{}}"#,
        r#""result":{"requestState":"a","RequestState":"b"}"#,
        r#""result":{"inputRequests":{},"inputRequests":{}}"#,
        r#""result":{"cacheScope":"private","cacheScope":"public"}"#,
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,{part}}}"#);
        assert!(Outcome::parse(text.into()).is_err(), "{part}");
    }
}

#[test]
fn a_legacy_result_becomes_a_modern_one() {
    let name = json!({SERVER_INFO: {"name": "vmcp"}});
    let text = outcome(r#""result":{}"#).modernized(VMCP, false);
    assert_eq!(read(&text), json!({"resultType": "complete", "_meta": name}));
    let text = outcome(r#""result":{"contents":[],"_meta":{"a":1}}"#).modernized(VMCP, true);
    assert_eq!(
        read(&text),
        json!({"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "contents": [],
            "_meta": {SERVER_INFO: {"name": "vmcp"}, "a": 1}})
    );
}

#[test]
fn errors_are_what_the_other_era_calls_them() {
    let not_found = r#""error":{"code":-32002,"message":"m","data":{"uri":"u"}}"#;
    let modern = outcome(not_found).modernized(VMCP, true);
    assert_eq!(read(&modern), json!({"code": -32602, "message": "m", "data": {"uri": "u"}}));
    let legacy = Outcome::parse(modern).unwrap().antiquated();
    assert_eq!(read(&legacy)["code"], json!(-32002));
    let invalid = outcome(r#""error":{"code":-32602,"message":"m"}"#).antiquated();
    assert_eq!(read(&invalid)["code"], json!(-32602));
    // What the modern era keeps for itself, or is no code in it.
    for (code, expected) in
        [("-32042", -32603), ("-32020", -32603), ("-32099.0", -32603), ("-7", -7)]
    {
        let theirs = outcome(&format!(r#""error":{{"code":{code},"message":"m"}}"#));
        assert_eq!(read(&theirs.modernized(VMCP, false))["code"], json!(expected));
    }
}

#[test]
fn a_modern_result_becomes_a_legacy_one() {
    let part = format!(
        r#""result":{{"resultType":"complete","content":[1.0, 2],"ttlMs":5,"cacheScope":"public","_meta":{{"{SERVER_INFO}":{{}},"a":1}}}}"#
    );
    let text = outcome(&part).antiquated();
    assert_eq!(read(&text), json!({"content": [1.0, 2], "_meta": {"a": 1}}));
    assert!(String::from_utf8(text.to_vec()).unwrap().contains("[1.0, 2]"), "kept as written");
    let part = format!(r#""result":{{"resultType":"complete","_meta":{{"{SERVER_INFO}":{{}}}}}}"#);
    assert_eq!(read(&outcome(&part).antiquated()), json!({}));
}

#[test]
fn a_modern_result_is_given_in_vmcps_own_name() {
    let part = format!(
        r#""result":{{"resultType":"input_required","requestState":"theirs","_meta":{{"{SERVER_INFO}":{{"name":"b"}},"x":1.50}}}}"#
    );
    let text = outcome(&part).relayed(VMCP, &[("requestState", Bytes::from_static(b"\"ours\""))]);
    assert_eq!(
        read(&text),
        json!({"resultType": "input_required", "requestState": "ours",
            "_meta": {SERVER_INFO: {"name": "vmcp"}, "x": 1.5}})
    );
    assert!(String::from_utf8(text.to_vec()).unwrap().contains("1.50"), "kept as written");
}

#[test]
fn no_other_name_of_a_server_stays_beside_vmcps_own() {
    let other = SERVER_INFO.to_uppercase();
    for (meta, rest) in [
        (
            format!(r#""{SERVER_INFO}":1,"x":1.50,"{SERVER_INFO}":{{"name":"b"}}"#),
            json!({"x": 1.5}),
        ),
        (format!(r#""x":1.50,"{other}":{{"name":"b"}}"#), json!({"x": 1.5})),
        (format!(r#""{other}":1,"{SERVER_INFO}":2"#), json!({})),
    ] {
        let part = format!(r#""result":{{"_meta":{{{meta}}},"content":[]}}"#);
        let text = outcome(&part).relayed(VMCP, &[]);
        let mut expected = rest;
        expected[SERVER_INFO] = json!({"name": "vmcp"});
        assert_eq!(read(&text)["_meta"], expected, "{meta}");
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert_eq!(text.to_lowercase().matches("serverinfo").count(), 1, "{text}");
    }
}

#[test]
fn a_response_is_given_under_the_id_that_its_client_knows() {
    for (part, code) in [
        (r#""result":{"a":1}"#, None),
        (r#""result":{}"#, None),
        (r#""error":{"code":-32002,"message":"m"}"#, Some(-32602)),
        (r#""error":{"code":-7,"message":"m"}"#, Some(-7)),
    ] {
        for id in [r#""1""#, "1", r#""\u0061""#] {
            let given = outcome(part).under(Bytes::copy_from_slice(id.as_bytes()));
            let text = String::from_utf8(given.modernized(VMCP, false).to_vec()).unwrap();
            assert!(text.contains(&format!(r#""id":{id},"#)), "{text}");
            let whole: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(whole["error"]["code"].as_i64(), code, "{text}");
        }
    }
}
