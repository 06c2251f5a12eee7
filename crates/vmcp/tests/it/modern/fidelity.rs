//! What neither era has a reason to change passes byte for byte, in every cell.

use serde_json::json;
use vmcp_testkit::{
    gateway::Gateway,
    modern::{META_CLIENT_INFO, META_SERVER_INFO, ModernServer, SERVER_INFO, fixed, handler},
    peers,
    raw::{Answer, Form, Kind},
};

use super::{Clients, ERAS, Era, Members, modern_client, server_info, tool};
use crate::serve;

/// Arguments that a typed model would not give back as they are.
const ARGUMENTS: [&str; 5] = [
    r#"{"big":12345678901234567890123,"decimal":1.10,"huge":1E400,"minus":-0.0,"e":1e2}"#,
    r#"{ "z" : 1, "a":{"y":2,"b":[ ]} , "m": null }"#,
    r#"{"text":"\u0041\/\ud83d\ude00 é 漢字 \u2028 \u0000 \\ \" 😀"}"#,
    "{}",
    "null",
];

/// Results of the modern era: where `SERVER` stands the server names itself.
const RESULTS: [&str; 4] = [
    r#"{"resultType":"complete","_meta":{SERVER,"vendor/key":{"n":1.50}},"content":[],"structuredContent":{"big":12345678901234567890123,"decimal":1.10,"exponent":1E400,"tiny":-0.0}}"#,
    r#"{"structuredContent":{"z":1,"a":{"y":2,"b":3},"m":[ ]},"x-top":[1.0],"_meta":{"a/b":1.0,SERVER},"content":[{"text":"\u0041","x-item":{"k":null},"type":"text"}],"resultType":"complete"}"#,
    r#"{"content":[{"type":"x-new","payload":1}],"_meta":{SERVER},"resultType":"complete","isError":false}"#,
    r#"{"content":[],"resultType":"complete"}"#,
];

/// A result without what the eras differ in.
fn core(result: &str) -> Members {
    let mut core = Members::of(result).without(&["resultType", "ttlMs", "cacheScope"]);
    for (name, value) in &mut core.0 {
        if name == "_meta" {
            *value = format!("{:?}", Members::of(value).without(&[META_SERVER_INFO]).0);
        }
    }
    core.0.retain(|(name, value)| name != "_meta" || value != "[]");
    core
}

#[tokio::test]
async fn results_of_a_modern_backend_change_in_nothing_else() {
    let mut peer = ModernServer::builder();
    let own = format!(r#""{META_SERVER_INFO}":{SERVER_INFO}"#);
    for (number, result) in RESULTS.iter().enumerate() {
        let answer = Answer::from(result.replace("SERVER", &own));
        peer = peer.offer(Kind::Tools, &tool(&format!("r{number}")), fixed(answer));
    }
    let peer = peer.start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let clients = Clients::of(&process).await;
    let vmcp = server_info(&clients.modern).await;
    let vmcp = format!(r#""{META_SERVER_INFO}":{vmcp}"#);
    for form in [Form::Json, Form::Sse] {
        peer.set_form(form);
        for (number, result) in RESULTS.iter().enumerate() {
            let tool = format!("a_r{number}");
            let modern = clients.call(Era::Modern, &tool, "{}").await;
            let modern = modern.result().unwrap();
            if result.contains("SERVER") {
                assert_eq!(modern, result.replace("SERVER", &vmcp), "all but who answers");
            }
            assert_eq!(core(modern), core(&result.replace("SERVER", &own)));
            let legacy = clients.call(Era::Legacy, &tool, "{}").await;
            let legacy = legacy.result().unwrap();
            assert_eq!(core(legacy), core(modern));
            for member in ["resultType", META_SERVER_INFO] {
                assert!(!legacy.contains(member), "{legacy}");
            }
        }
    }
}

#[tokio::test]
async fn results_of_a_legacy_backend_change_in_nothing_else() {
    let peer = peers::fidelity().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let clients = Clients::of(&process).await;
    for form in [Form::Json, Form::Sse] {
        peer.set_form(form);
        for (method, params) in [
            ("tools/call", r#"{"name":"a_numbers","arguments":{}}"#),
            ("tools/call", r#"{"name":"a_order"}"#),
            ("tools/call", r#"{"name":"a_unknown","arguments":{"x":1}}"#),
            ("tools/call", r#"{"name":"a_unicode","arguments":{}}"#),
            ("tools/call", r#"{"name":"a_big","arguments":{}}"#),
            ("resources/read", r#"{"uri":"fidelity://one"}"#),
            ("resources/read", r#"{"uri":"fidelity://item/7"}"#),
            ("prompts/get", r#"{"name":"a_prompt","arguments":{"a":"\u0041"}}"#),
        ] {
            let legacy = clients.ask(Era::Legacy, method, params).await;
            let modern = clients.ask(Era::Modern, method, params).await;
            let (legacy, modern) = (legacy.result().unwrap(), modern.result().unwrap());
            assert_eq!(core(legacy), core(modern), "{params}");
            let keeping = Members::of(modern);
            if method == "resources/read" {
                assert_eq!((keeping.get("ttlMs"), keeping.get("cacheScope")), ("0", "\"private\""));
            } else {
                assert!(!modern.contains("ttlMs"), "{method} is nothing to keep");
            }
        }
    }
}

#[tokio::test]
async fn arguments_and_unknown_parameters_arrive_as_they_were_written() {
    let peers = super::Peers::start().await;
    let process = serve(&peers.gateway()).await;
    let clients = Clients::of(&process).await;
    for era in ERAS {
        for backend in ["new", "old", "both"] {
            for arguments in ARGUMENTS {
                let params = format!(
                    r#"{{"x-first":{{"k":1.10}},"name":"{backend}_echo", "arguments" : {arguments},"x-last":[ ]}}"#
                );
                let answer = clients.ask(era, "tools/call", &params).await;
                let result = Members::of(answer.result().unwrap());
                let arrived = Members::of(result.get("structuredContent")).without(&["_meta"]);
                let expected = Members::of(&params.replace(&format!("{backend}_echo"), "echo"));
                assert_eq!(arrived, expected, "{era:?} {backend}");
            }
        }
    }
}

/// Between two of the modern era a request is the client's own bytes, but for who sends it and the name.
#[tokio::test]
async fn a_request_from_modern_to_modern_is_the_same_bytes() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let keeping = std::sync::Arc::clone(&seen);
    let peer = ModernServer::builder()
        .offer(
            Kind::Tools,
            &tool("keep"),
            handler(move |call| {
                keeping.lock().unwrap().push(String::from_utf8_lossy(&call.params).into_owned());
                async { vmcp_testkit::modern::text("kept") }
            }),
        )
        .start()
        .await
        .unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let client = modern_client(&process);
    let body = |name: &str, who: &str| {
        format!(
            r#"{{ "_meta" : {{"vendor/key":{{"n":1.50}}, "io.modelcontextprotocol/protocolVersion":"2026-07-28", "{META_CLIENT_INFO}" : {who}, "io.modelcontextprotocol/clientCapabilities":{{"x":1.0}},"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" }},"name":"{name}","arguments":{{"a":1.10}}}}"#
        )
    };
    let own = r#"{"name":"me","version":"1.10","x":1.0}"#;
    for id in ["1", r#""\u0069d é""#, "-1", "9007199254740993"] {
        let params = body("a_keep", own);
        let request =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#);
        let named = json!({"name": "a_keep"});
        let mut response = client.post("tools/call", &named, request).await.unwrap();
        assert_eq!(response.answer(id).await.unwrap().text().unwrap(), "kept");
        let arrived = seen.lock().unwrap().pop().unwrap();
        let who = Members::of(Members::of(&arrived).get("_meta")).get(META_CLIENT_INFO).to_owned();
        assert!(who.contains(r#""name":"vmcp""#), "{who}");
        assert_eq!(arrived, body("keep", &who));
    }
}
