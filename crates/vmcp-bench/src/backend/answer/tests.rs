//! What the fake backend answers, message by message.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use super::answer;

/// Status, content type and body of the answer to a POST.
fn post(path: &str, body: &str) -> (StatusCode, String, Bytes) {
    let (head, ()) = Request::post(path).body(()).unwrap().into_parts();
    let response = answer(&head, body.as_bytes());
    let kind = response.headers().get("content-type");
    let kind = kind.map(|kind| kind.to_str().unwrap().to_owned()).unwrap_or_default();
    (response.status(), kind, whole(response.into_body()))
}

fn whole(body: Full<Bytes>) -> Bytes {
    let mut collect = Box::pin(body.collect());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Ok(body)) = collect.as_mut().poll(&mut context) else {
        panic!("a whole body is ready at once")
    };
    body.to_bytes()
}

#[track_caller]
fn check(body: &str, expected: &Value) {
    let (status, kind, body) = post("/mcp", body);
    assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/json"));
    assert_eq!(&serde_json::from_slice::<Value>(&body).unwrap(), expected);
}

#[test]
fn echo_gives_its_text_back_under_the_same_id() {
    let result = json!({"content": [{"type": "text", "text": "abc"}]});
    for body in [
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"text":"abc"}}}"#,
        r#"{ "method" : "tools/call", "params":{"arguments":{"text":"abc"},"name":"echo"}, "id" : 7}"#,
    ] {
        check(body, &json!({"jsonrpc": "2.0", "id": 7, "result": result}));
    }
}

#[test]
fn ids_may_be_text() {
    check(
        r#"{"jsonrpc":"2.0","id":"vmcp-1","method":"ping"}"#,
        &json!({"jsonrpc": "2.0", "id": "vmcp-1", "result": {}}),
    );
}

#[test]
fn fill_gives_as_much_as_asked_for() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fill","arguments":{"size":5}}}"#;
    let result = json!({"content": [{"type": "text", "text": "xxxxx"}]});
    check(body, &json!({"jsonrpc": "2.0", "id": 1, "result": result}));
}

#[test]
fn stream_answers_with_one_event() {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"stream","arguments":{"text":"a"}}}"#;
    let (status, kind, body) = post("/mcp", body);
    assert_eq!((status, kind.as_str()), (StatusCode::OK, "text/event-stream"));
    let text = str::from_utf8(&body).unwrap();
    let data = text.strip_prefix("event: message\ndata: ").unwrap().strip_suffix("\n\n").unwrap();
    assert_eq!(serde_json::from_str::<Value>(data).unwrap()["id"], 1);
}

#[test]
fn what_is_unknown_is_refused_as_the_protocol_says() {
    let error = json!({"code": -32601, "message": "Method not found"});
    check(
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/list"}"#,
        &json!({"jsonrpc": "2.0", "id": 1, "error": error}),
    );
    assert_eq!(post("/mcp", "nonsense").0, StatusCode::BAD_REQUEST);
    let (head, ()) = Request::get("/mcp").body(()).unwrap().into_parts();
    assert_eq!(answer(&head, b"").status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn notifications_are_accepted() {
    let (status, _, body) =
        post("/mcp", r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    assert_eq!((status, body.len()), (StatusCode::ACCEPTED, 0));
}

#[test]
fn many_backends_have_names_of_their_own() {
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let names = |path| {
        let list: Value = serde_json::from_slice(&post(path, list).2).unwrap();
        let tools = list["result"]["tools"].as_array().unwrap().clone();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("/mcp"), ["echo", "stream", "fill"]);
    let (third, fourth) = (names("/many/3/50/mcp"), names("/many/4/1/mcp"));
    assert_eq!((third.len(), fourth.len()), (50, 1));
    assert!(third.iter().all(|name| !fourth.contains(name)));
}
