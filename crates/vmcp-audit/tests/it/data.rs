//! What clients and backends have sent, within its bounds.

use std::{fs, time::Duration};

use bytes::Bytes;
use serde_json::Value;
use tempfile::tempdir;
use vmcp_audit::{Auditor, Settings};
use vmcp_model::{
    Method,
    trail::{Asked, Client, Details, End},
};

use crate::support::{SESSION, TOKEN, asked, caller, full_call, records, to, trail};

/// Records a request and its answer of so many bytes at most, and returns the line.
fn line(size: usize, params: &[u8], answer: &[u8]) -> String {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let auditor = Auditor::start(Settings {
        include_request_data: true,
        include_response_data: true,
        max_data_size: size,
        ..to(&path)
    })
    .unwrap();
    let params = &params[..params.len().min(auditor.wants().request_bytes)];
    let details = Details { params: Some(Bytes::copy_from_slice(params)), ..Details::default() };
    let trail =
        trail(&auditor, Asked { details: Some(Box::new(details)), ..asked(Method::ToolsCall) });
    trail.note_response(&Bytes::copy_from_slice(answer));
    auditor.record(&trail, Duration::ZERO);
    auditor.close();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// The data of such a line, as it is written there.
fn data(size: usize, params: &str, answer: &[u8]) -> String {
    let line = line(size, params.as_bytes(), answer);
    let _: Value = serde_json::from_str(&line).expect(&line);
    line.split_once(r#","data":"#).expect(&line).1.strip_suffix("}\n").unwrap().to_owned()
}

#[test]
fn what_fits_stands_there_as_it_is_on_one_line() {
    let params =
        "{ \"b\" :\t1.0,\n\"a\": [12345678901234567890123, \"two  words \\\" \\\\\" ] ,\r\"b\":2}";
    let expected =
        r#"{"request":{"b":1.0,"a":[12345678901234567890123,"two  words \" \\"],"b":2}}"#;
    assert_eq!(data(100, params, b""), expected);
    assert_eq!(data(0, "{}", b"[1]"), r#"{"request":{},"response":[1]}"#);
}

#[test]
fn what_does_not_fit_is_cut() {
    let fits = r#"{"a":"12"}"#;
    assert_eq!(data(fits.len(), fits, b"7"), format!(r#"{{"request":{fits},"response":7}}"#));
    assert_eq!(
        data(fits.len() - 1, fits, b"7"),
        r#"{"request":"{\"a\":\"12\"","response":7,"truncated":true}"#
    );
    assert_eq!(data(4, "{}", b"123456"), r#"{"request":{},"response":"1234","truncated":true}"#);
    // Never within a character.
    assert_eq!(
        data(4, "{}", "12é4".as_bytes()),
        r#"{"request":{},"response":"12é","truncated":true}"#
    );
    assert_eq!(
        data(3, "{}", "12é4".as_bytes()),
        r#"{"request":{},"response":"12","truncated":true}"#
    );
}

#[test]
fn a_size_of_zero_is_the_usual_one() {
    let line = line(0, b"{}", &[b'x'; 5_000]);
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["data"]["response"].as_str().unwrap().len(), Settings::DEFAULT_DATA_SIZE);
    assert_eq!(record["metadata"]["extra"]["response_size_bytes"], 5_000);
}

#[test]
fn nothing_that_is_sent_makes_a_line_that_cannot_be_read() {
    let deep = [b"[".repeat(400), b"]".repeat(400)].concat();
    let answers: [&[u8]; 8] = [
        b"event: message\ndata: {}\n\n",
        b"{\"a\":",
        b"\"\\ud800\"",
        b"1e999",
        b"\xff\xfe",
        b"\x00\x1b[31m",
        &deep,
        b"{}\n{\"level\":\"AUDIT\"}",
    ];
    for answer in answers {
        let line = line(1_000, b"{}", answer);
        let record: Value = serde_json::from_str(&line).expect(&line);
        assert!(record["data"]["response"].is_string(), "{line}");
        assert_eq!(record["data"]["truncated"], Value::Null, "{line}");
    }
    // More bytes as text than it was before.
    let line = line(10, b"{}", &[0xff; 10]);
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(record["data"]["response"], "\u{fffd}".repeat(3));
    assert_eq!(record["data"]["truncated"], true);
}

#[test]
fn data_is_shown_only_where_it_is_switched_on() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let auditor = Auditor::start(to(&path)).unwrap();
    assert_eq!((auditor.wants().request_bytes, auditor.wants().response_bytes), (0, 0));
    let trail = trail(&auditor, full_call());
    trail.note_response(&Bytes::from_static(b"{}"));
    auditor.record(&trail, Duration::ZERO);
    auditor.close();
    assert_eq!(records(&path)[0]["data"], Value::Null);
}

#[test]
fn texts_are_cut_and_secrets_are_in_none() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let auditor = Auditor::start(to(&path)).unwrap();
    let long = || -> Box<str> { "é".repeat(5_000).into() };
    let claims = format!(
        r#"{{"sub":"{0}","name":"{0}","act":{{"sub":"{0}","iss":"{0}"}}}}"#,
        "é".repeat(5_000)
    );
    for method in [Method::ToolsCall, Method::ResourcesRead, Method::Other] {
        let details = Details {
            method_name: Some(long()),
            id: Some(long()),
            user_agent: Some(long()),
            request_id: Some(long()),
            session: Some(SESSION.repeat(500).into()),
            name: Some(long()),
            params: None,
        };
        let asked = Asked {
            identity: Some(caller(&claims)),
            details: Some(Box::new(details)),
            ..asked(method)
        };
        let trail = trail(&auditor, asked);
        trail.note_client(|| Some(Client { name: long(), version: long() }.into()));
        trail.note_end(|| End::Error { code: 1, message: long() });
        auditor.record(&trail, Duration::ZERO);
    }
    auditor.close();
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(TOKEN) && !text.contains(SESSION));
    let records = records(&path);
    let lengths = |record: &Value| {
        [
            "/source/extra/user_agent",
            "/source/extra/request_id",
            "/subjects/user",
            "/subjects/user_id",
            "/subjects/client_name",
            "/subjects/client_version",
            "/delegation/actors/0/sub",
            "/delegation/actors/0/iss",
            "/target/name",
            "/metadata/extra/jsonrpc_error_message",
        ]
        .map(|path| record.pointer(path).unwrap().as_str().unwrap().len())
    };
    assert_eq!(lengths(&records[0]), [256, 128, 256, 256, 256, 256, 256, 256, 256, 256]);
    assert_eq!(lengths(&records[1]), [256, 128, 256, 256, 256, 256, 256, 256, 2048, 256]);
    assert_eq!(records[2]["target"]["method"].as_str().unwrap().len(), 128);
}
