//! What is read out of a message, and what is refused.

use bytes::Bytes;
use vmcp_model::{Method, Topic};

use super::{Incoming, Message};
use crate::id::{Id, question_id, split_question_id};

/// Reads a message and prints what was understood, or why it was refused.
#[track_caller]
fn check(text: &str, expected: &str) {
    let read = match Message::parse(Bytes::copy_from_slice(text.as_bytes())) {
        Err(error) => format!("refused: {error}"),
        Ok(message) => {
            let mut parts = vec![format!("{:?}", message.shape())];
            if let Some(id) = message.id() {
                parts.push(format!("id={}", String::from_utf8_lossy(id.text())));
            }
            parts.push(message.method_name().into_owned());
            let params = message.params();
            let fields = [
                ("name", &params.name),
                ("uri", &params.uri),
                ("cursor", &params.cursor),
                ("taskId", &params.task_id),
                ("progressToken", &params.meta.progress_token),
            ];
            for (name, span) in fields {
                if let Some(span) = span {
                    let value = message.slice(span);
                    parts.push(format!("{name}={}", String::from_utf8_lossy(&value)));
                }
            }
            parts.join(" ")
        }
    };
    assert_eq!(read, expected);
}

#[test]
fn a_call_is_read_for_what_routing_needs() {
    check(
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"arguments":{"name":1},"name":"a","_meta":{"progressToken":"p"}}}"#,
        r#"Request id=7 tools/call name="a" progressToken="p""#,
    );
}

#[test]
fn the_order_of_members_does_not_matter() {
    check(
        r#" { "params" : {"uri":"x:y"} , "method":"resources\/read" , "id":"a" , "jsonrpc":"2.0" } "#,
        r#"Request id="a" resources/read uri="x:y""#,
    );
}

#[test]
fn a_method_is_what_it_says_however_it_is_written() {
    #[track_caller]
    fn check(method: &str, expected: Option<Method>, name: &str) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,{method}}}"#);
        let message = Message::parse(text.into()).unwrap();
        assert_eq!((message.method(), &*message.method_name()), (expected, name), "{method}");
    }
    check(r#""method":"tools/call""#, Some(Method::ToolsCall), "tools/call");
    check(r#""method":"tools\/\u0063all""#, Some(Method::ToolsCall), "tools/call");
    check(r#""method":"\u0070ing""#, Some(Method::Ping), "ping");
    check(r#""method":"vendor/\u0078\n""#, Some(Method::Other), "vendor/x\n");
    check(r#""method":"other""#, Some(Method::Other), "other");
    check(r#""method":"Tools/Call""#, Some(Method::Other), "Tools/Call");
    check(r#""method":"""#, Some(Method::Other), "");
    check(r#""method":"\ud800""#, Some(Method::Other), "");
    check(r#""result":{}"#, None, "");
}

#[test]
fn what_a_request_is_about_is_known_of_every_method() {
    let topic = |method: &str| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        Message::parse(text.into()).unwrap().topic()
    };
    assert_eq!(topic("tasks/get"), Topic::Tasks);
    assert_eq!(topic("tasks/pause"), Topic::Tasks);
    assert_eq!(topic(r"sampling\/\u0078"), Topic::Sampling);
    assert_eq!(topic("tools/call"), Topic::Other);
    assert_eq!(topic("vendor"), Topic::Other);
}

#[test]
fn members_nobody_knows_are_let_pass() {
    check(r#"{"jsonrpc":"2.0","method":"x/y","params":null,"vendor":[1]}"#, "Notification x/y");
}

#[test]
fn a_response_may_be_an_error_without_an_id() {
    check(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "Response id=1 ");
    check(r#"{"jsonrpc":"2.0","error":{"code":-1,"message":""}}"#, "Response ");
}

#[test]
fn a_request_with_a_name_that_is_no_text_is_refused() {
    const WHY: &str = "refused: a member's name must not have half of a surrogate pair, which everybody reads in another way";
    for name in [r"\ud800", r"a\uDFFFb", r"\ud800\ud800", r"\udc00\ud800"] {
        for place in [
            r#""params":{"name":"t","arguments":{"a":1,"NAME":0}}"#,
            r#""params":{"name":"t","arguments":{"a":[1,{"b":{"NAME":0}}]}}"#,
            r#""params":{"name":"t","NAME":0}"#,
            r#""params":{"_meta":{"NAME":0}}"#,
            r#""params":{},"NAME":{}"#,
        ] {
            let members = place.replace("NAME", name);
            check(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call",{members}}}"#), WHY);
            check(&format!(r#"{{"jsonrpc":"2.0","method":"x/y",{members}}}"#), WHY);
        }
    }
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"x/y","params":{"\ud83d\ude00":"\ud800"}}"#,
        "Request id=1 x/y",
    );
    check(r#"{"jsonrpc":"2.0","id":1,"result":{"\ud800":0}}"#, "Response id=1 ");
}

#[test]
fn a_routing_member_that_stands_twice_is_refused() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{},"params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"x","name":"y"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"x","n\u0061me":"y"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"uri":"x","URI":"y"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"taskId":"x","ta\u017fkId":"y"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"ta\u017fkId":"x","tas\u212aId":"y"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"progressToken":1,"progressToken":2}}}"#,
    ] {
        let read = Message::parse(Bytes::from(text.to_owned()));
        let why = read.expect_err(text).to_string();
        assert!(why.contains("twice"), "{text}: {why}");
    }
}

#[test]
fn a_member_of_the_message_in_another_case_is_refused() {
    check(
        r#"{"jsonrpc":"2.0","Id":1,"method":"a"}"#,
        r#"refused: member "Id" must be written "id""#,
    );
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"x"},"param\u017f":{"name":"y"}}"#,
        r#"refused: member "paramſ" must be written "params""#,
    );
}

#[test]
fn what_is_not_a_message_is_refused() {
    check("{", "refused: the body is not valid JSON");
    check("{} x", "refused: the body is not valid JSON");
    check("7", "refused: a message is a JSON object of JSON-RPC 2.0");
    check(r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#, r#"refused: "jsonrpc" must be "2.0""#);
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}"#,
        "refused: a message is a JSON object of JSON-RPC 2.0",
    );
    for id in ["null", "1.0", "1e3", "true", "{}", "-0"] {
        check(
            &format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#),
            r#"refused: "id" must be a string or a plainly written integer, at most 1 KiB long"#,
        );
    }
}

#[test]
fn a_batch_is_told_from_a_message() {
    let one = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let batch = Incoming::parse(Bytes::from(format!(" [{one}, {one}]")));
    assert!(matches!(batch, Ok(Incoming::Batch(messages)) if messages.len() == 2));
    assert!(Incoming::parse(Bytes::from_static(b"[]")).is_err());
}

#[test]
fn ids_are_compared_by_value() {
    let key = Id::parse(br#""a\u0062""#).unwrap().key();
    assert!(Id::parse(br#""ab""#).unwrap().is(&key));
    assert!(!Id::parse(b"12").unwrap().is(&Id::parse(br#""12""#).unwrap().key()));
}

#[test]
fn a_question_finds_its_way_back() {
    for original in ["7", r#""a:b\"c""#] {
        let id = question_id("git.hub", Id::parse(original.as_bytes()).unwrap());
        assert_eq!(split_question_id(&id), Some(("git.hub", original)));
    }
    for forged in ["vmcp.x", "vmcp.x:", "vmcp.x:{}", "other", "vmcp.x:\"", "vmcp.x:01"] {
        assert_eq!(split_question_id(forged), None, "{forged}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _read_or_refused = Incoming::parse(Bytes::from(bytes));
    }

    #[test]
    fn a_renamed_call_differs_in_its_name_only(
        before in "[ -~]{0,20}", name in "\\PC{0,20}", new in "\\PC{0,20}", number in "[1-9][0-9]{0,40}",
    ) {
        let text = |name: &str| format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"x\":{},\"params\":{{\"n\":{number},\"name\":{}}}}}",
            String::from_utf8(vmcp_model::raw::string(&before)).unwrap(),
            String::from_utf8(vmcp_model::raw::string(name)).unwrap(),
        );
        let message = Message::parse(Bytes::from(text(&name))).unwrap();
        let span = message.params().name.clone().unwrap();
        proptest::prop_assert_eq!(message.with_string(&span, &new), text(&new));
    }
}
