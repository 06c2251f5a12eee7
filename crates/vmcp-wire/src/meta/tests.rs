//! Requests in, how they introduce their sender out.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;

const VMCP: Introduction<'static> = Introduction {
    client_info: br#"{"name":"vmcp"}"#,
    capabilities: br#"{"sampling":{}}"#,
    log_level: None,
};

fn message(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn read(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(text));
    })
}

fn introduction() -> Value {
    json!({VERSION: "2026-07-28", CLIENT_INFO: {"name": "vmcp"}, CAPABILITIES: {"sampling": {}}})
}

#[test]
fn a_request_is_introduced_wherever_its_metadata_is() {
    for (params, others) in [
        (r#""params":{"name":"x"}"#, json!({"name": "x"})),
        (r#""params":{"name":"x","_meta":{}}"#, json!({"name": "x"})),
        (r#""params":{"_meta":null,"name":"x"}"#, json!({"name": "x"})),
        (r#""params":{"n\u0061me":"x"}"#, json!({"name": "x"})),
        (r#""params":{}"#, json!({})),
        (r#""params":null"#, json!({})),
        (r#""other":1"#, json!({})),
        (r#""params":{"_meta":{"io.modelcontextprotocol/clientInfo":{}},"a":1}"#, json!({"a": 1})),
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call",{params}}}"#);
        let mut introduced = read(&message(&text).introduced(Vec::new(), &VMCP));
        let params = introduced["params"].as_object_mut().unwrap();
        assert_eq!(params.remove("_meta").unwrap(), introduction(), "{text}");
        assert_eq!(Value::Object(params.clone()), others, "{text}");
    }
}

#[test]
fn a_legacy_client_cannot_say_what_vmcp_says_for_itself() {
    for key in [CLIENT_INFO, CAPABILITIES, LOG_LEVEL, SERVER_INFO, SUBSCRIPTION_ID] {
        for key in [key.to_owned(), key.replace('/', r"\/")] {
            for meta in [format!(r#""{key}":"x""#), format!(r#""a":1.50,"{key}":{{}},"b":2"#)] {
                let text = format!(
                    r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"_meta":{{{meta}}},"name":"x"}}}}"#
                );
                let told = Introduction { log_level: Some(LogLevel::Info), ..VMCP };
                let introduced = message(&text).introduced(Vec::new(), &told);
                let mut expected = introduction();
                expected[LOG_LEVEL] = json!("info");
                if meta.contains("1.50") {
                    expected["a"] = json!(1.5);
                    expected["b"] = json!(2);
                }
                assert_eq!(read(&introduced)["params"]["_meta"], expected, "{text}");
                let introduced = String::from_utf8(introduced.to_vec()).unwrap();
                assert!(introduced.matches(LOG_LEVEL).count() == 1, "{introduced}");
            }
        }
    }
}

#[test]
fn other_metadata_stays_when_a_request_is_introduced() {
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{ "progressToken" : 1.0, "a/b":[1 ] },"name":"x"}}"#;
    let introduced = message(text).introduced(Vec::new(), &VMCP);
    let mut meta = read(&introduced)["params"]["_meta"].clone();
    assert_eq!(meta["progressToken"], json!(1.0));
    let members = meta.as_object_mut().unwrap();
    members.remove("progressToken");
    members.remove("a/b");
    assert_eq!(meta, introduction());
    let text = String::from_utf8(introduced.to_vec()).unwrap();
    assert!(text.contains(r#""progressToken" : 1.0, "a/b":[1 ] },"name":"x"}}"#), "{text}");
}

#[test]
fn a_modern_request_is_relayed_in_vmcps_own_name() {
    for info in [r#""io.modelcontextprotocol/clientInfo":{"name":"c"},"#, ""] {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"x","_meta":{{{info}"{VERSION}":"2026-07-28","{CAPABILITIES}":{{"sampling":{{}}}}}},"arguments":{{"a":1}}}}}}"#
        );
        let relayed = message(&text).relayed(Vec::new(), VMCP.client_info);
        assert_eq!(read(&relayed)["params"]["_meta"], introduction());
        assert_eq!(read(&relayed)["params"]["arguments"], json!({"a": 1}));
    }
}

#[test]
fn what_is_reserved_does_not_reach_a_legacy_backend() {
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"_meta":{{"{VERSION}":"2026-07-28","traceparent":"t","{CAPABILITIES}":{{}},"progressToken":7,"{LOG_LEVEL}":"info"}},"name":"x"}}}}"#
    );
    let plain = message(&text).unreserved(Vec::new());
    assert_eq!(
        read(&plain)["params"],
        json!({"_meta": {"traceparent": "t", "progressToken": 7}, "name": "x"})
    );
}

/// However the names are written.
#[test]
fn what_only_servers_say_is_not_relayed() {
    for key in [SERVER_INFO.to_owned(), SUBSCRIPTION_ID.replace('/', r"\/")] {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"_meta":{{"{VERSION}":"2026-07-28","{key}":1,"a":1.50}},"n":1.10}}}}"#
        );
        let relayed = message(&text).relayed(Vec::new(), b"{}");
        let params = read(&relayed)["params"].clone();
        assert_eq!(
            params,
            json!({"_meta": {VERSION: "2026-07-28", CLIENT_INFO: {}, "a": 1.5}, "n": 1.1})
        );
        assert!(String::from_utf8_lossy(&relayed).contains("1.50"), "kept as written");
        let plain = message(&text).unreserved(Vec::new());
        assert_eq!(read(&plain)["params"], json!({"_meta": {"a": 1.5}, "n": 1.1}));
    }
}

#[test]
fn a_request_of_ones_own_is_introduced() {
    let text = VMCP.introduce_params(Some(br#"{"cursor":"c"}"#));
    assert_eq!(read(&text), json!({"cursor": "c", "_meta": introduction()}));
    assert_eq!(read(&VMCP.introduce_params(None)), json!({"_meta": introduction()}));
}

#[test]
fn a_request_that_is_bridged_has_the_id_that_it_is_given_and_its_token_too() {
    let reserved = format!(r#""{VERSION}":"2026-07-28","{CAPABILITIES}":{{}}"#);
    for (meta, expected) in [
        (format!("{{{reserved}}}"), json!({})),
        (
            format!(r#"{{"progressToken":"t",{reserved},"a":1.0}}"#),
            json!({"progressToken": 7, "a": 1.0}),
        ),
        (format!(r#"{{{reserved},"progressToken":3}}"#), json!({"progressToken": 7})),
        (
            format!(r#"{{"b\u0061":1,"progressToken":3,{reserved}}}"#),
            json!({"progressToken": 7, "ba": 1}),
        ),
    ] {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{{"name":"n","_meta":{meta},"arguments":{{"id":"x"}}}}}}"#
        );
        let bridged = read(&message(&text).bridged(Vec::new(), &Bytes::from_static(b"7")));
        assert_eq!(bridged["id"], json!(7), "{text}");
        assert_eq!(bridged["params"]["_meta"], expected, "{text}");
        assert_eq!(bridged["params"]["arguments"], json!({"id": "x"}), "{text}");
    }
    let text = r#"{"method":"ping","id":1,"jsonrpc":"2.0"}"#;
    let bridged = message(text).bridged(Vec::new(), &Bytes::from_static(b"7"));
    assert_eq!(&bridged[..], br#"{"method":"ping","id":7,"jsonrpc":"2.0"}"#);
}
