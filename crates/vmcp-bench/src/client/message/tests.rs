//! Requests as they are sent, and answers that must not pass for right.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::{Answer, Conversation, FIRST_ID, Request, bears};

fn answer(kind: &'static str, body: String) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    Answer { status: StatusCode::OK, headers, body: body.into() }
}

fn text(id: u64, text: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"text":"{text}"}}]}}}}"#)
}

#[track_caller]
fn fails(conversation: &mut Conversation, answer: &Answer, message: &str) {
    let error = conversation.check(answer).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn requests_count_their_ids_and_hold_their_text() {
    let mut conversation = Conversation::new(Request::Echo(3));
    for id in [FIRST_ID, FIRST_ID + 1] {
        let message: Value = serde_json::from_slice(&conversation.ask()).unwrap();
        let params = json!({"name": "echo", "arguments": {"text": "xxx"}});
        assert_eq!(
            message,
            json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
        );
    }
}

#[test]
fn lists_keep_their_id() {
    let mut conversation = Conversation::new(Request::List);
    assert_eq!(conversation.ask(), conversation.ask());
}

#[test]
fn the_first_answer_is_read_in_full() {
    let mut conversation = Conversation::new(Request::Echo(3));
    conversation.ask();
    let json = "application/json";
    fails(&mut conversation, &answer(json, text(FIRST_ID, "xx")), "a text of 3 bytes");
    fails(&mut conversation, &answer(json, text(FIRST_ID, "xyx")), "a text of 3 bytes");
    fails(&mut conversation, &answer(json, text(FIRST_ID + 1, "xxx")), "another id");
    fails(&mut conversation, &answer(json, "{".into()), "no JSON");
    fails(&mut conversation, &answer("text/html", text(FIRST_ID, "xxx")), "neither JSON");
    conversation.check(&answer(json, text(FIRST_ID, "xxx"))).unwrap();
}

#[test]
fn later_answers_are_held_against_id_and_length() {
    let mut conversation = Conversation::new(Request::Echo(3));
    let json = "application/json";
    conversation.ask();
    conversation.check(&answer(json, text(FIRST_ID, "xxx"))).unwrap();
    conversation.ask();
    fails(&mut conversation, &answer(json, text(FIRST_ID, "xxx")), "another id");
    fails(&mut conversation, &answer(json, text(FIRST_ID + 1, "xx")), "the first had");
    conversation.check(&answer(json, text(FIRST_ID + 1, "xxx"))).unwrap();
}

#[test]
fn one_in_many_is_read_in_full_and_of_long_ones_fewer() {
    for (size, unread) in [(3, 63), (64_000, 1000)] {
        let mut conversation = Conversation::new(Request::Echo(size));
        let (right, wrong) = ("x".repeat(size), "y".repeat(size));
        let mut next = |shown: &str| {
            conversation.ask();
            conversation.check(&answer("application/json", text(conversation.id, shown)))
        };
        next(&right).unwrap();
        assert_eq!((0..).take_while(|_| next(&wrong).is_ok()).count(), unread);
    }
}

#[test]
fn a_stream_is_judged_by_its_last_event() {
    let mut conversation = Conversation::new(Request::Stream(1));
    conversation.ask();
    let body = format!("id: 1\ndata:\n\nid: 2\ndata: {}\n\n", text(FIRST_ID, "x"));
    conversation.check(&answer("text/event-stream", body)).unwrap();
}

#[test]
fn an_id_may_stand_at_either_end() {
    let long = "x".repeat(1000);
    assert!(bears(format!(r#"{{"id":77,"result":"{long}"}}"#).as_bytes(), 77));
    assert!(bears(format!(r#"{{"result":"{long}","id":77}}"#).as_bytes(), 77));
    assert!(!bears(format!(r#"{{"result":"{long}","id":78}}"#).as_bytes(), 77));
}
