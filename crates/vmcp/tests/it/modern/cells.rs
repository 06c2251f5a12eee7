//! The four cells: a client of either era before a backend of either era, all at once.

use serde_json::{Value, json};
use vmcp_testkit::{
    client::Message,
    gateway::Gateway,
    modern::{META_LOG_LEVEL, ModernServer},
    peers,
};

use super::{Clients, ERAS, Era, Peers, modern_client, tool};
use crate::serve;

const LISTS: [(&str, &str); 4] = [
    ("tools/list", "tools"),
    ("resources/list", "resources"),
    ("resources/templates/list", "resourceTemplates"),
    ("prompts/list", "prompts"),
];

#[tokio::test]
async fn clients_of_both_eras_see_the_same_catalog() {
    let peers = Peers::start().await;
    peers.new.set_page_size(1);
    peers.old.set_page_size(1);
    let process = serve(&peers.gateway()).await;
    let clients = Clients::of(&process).await;
    for (method, member) in LISTS {
        let (modern, legacy) = tokio::join!(
            clients.ask(Era::Modern, method, "{}"),
            clients.ask(Era::Legacy, method, "{}")
        );
        let (modern, legacy) = (modern.items(member).unwrap(), legacy.items(member).unwrap());
        assert_eq!(modern, legacy, "{method}");
        assert_eq!(modern.len(), if member == "tools" { 6 } else { 3 }, "{modern:?}");
    }
    let tools = clients.ask(Era::Modern, "tools/list", "{}").await.keys("tools", "name").unwrap();
    assert_eq!(tools, ["new_echo", "new_talk", "old_echo", "old_talk", "both_echo", "both_talk"]);
    let discovered = clients.modern.discover().await.unwrap().result().unwrap();
    assert_eq!(discovered["supportedVersions"][0], "2026-07-28");
    for capability in ["tools", "resources", "prompts", "completions", "logging"] {
        assert!(discovered["capabilities"][capability].is_object(), "{capability}: {discovered}");
    }
}

/// More than a page of tools: the cursors of either era lead through all of them, once.
#[tokio::test]
async fn lists_with_pages_are_whole_in_both_eras() {
    let old = peers::many_tools(1_300, 100).start().await.unwrap();
    let mut new = ModernServer::builder().page_size(77);
    for number in 0..700 {
        new = new.tool(&tool(&format!("t{number}")), "{}");
    }
    let new = new.start().await.unwrap();
    let process = serve(&Gateway::before(&[("new", new.url()), ("old", old.url())])).await;
    let clients = Clients::of(&process).await;
    let modern = clients.modern.list("tools/list", "tools").await.unwrap();
    let (mut legacy, mut params, mut pages) = (Vec::new(), json!({}), 0);
    loop {
        let page = clients.ask(Era::Legacy, "tools/list", &params.to_string()).await.json();
        let page = &page["result"];
        legacy.extend(page["tools"].as_array().unwrap().iter().cloned());
        pages += 1;
        match &page["nextCursor"] {
            Value::Null => break,
            cursor => params = json!({"cursor": cursor}),
        }
    }
    assert!(pages > 1, "the test is for lists that do not fit one page");
    assert_eq!(modern.len(), 2_000);
    assert_eq!(modern, legacy);
    for era in ERAS {
        let wrong = clients.ask(era, "tools/list", r#"{"cursor":"AAAA"}"#).await;
        assert_eq!(wrong.error_code().unwrap(), -32602);
    }
}

#[tokio::test]
async fn every_cell_calls_reads_gets_and_completes() {
    let peers = Peers::start().await;
    let process = serve(&peers.gateway()).await;
    let clients = Clients::of(&process).await;
    for era in ERAS {
        for backend in ["new", "old", "both"] {
            let told = async |method: &str, params: String| {
                let answer = clients.ask(era, method, &params).await.json();
                assert!(answer["result"].is_object(), "{era:?} {backend} {method}: {answer}");
                answer["result"].clone()
            };
            let call = format!(r#"{{"name":"{backend}_echo","arguments":{{"a":1}}}}"#);
            let echoed = &told("tools/call", call).await["structuredContent"];
            assert_eq!((&echoed["name"], &echoed["arguments"]["a"]), (&json!("echo"), &json!(1)));
            for (uri, text) in [("one", "one"), ("item/7", "item")] {
                let read = format!(r#"{{"uri":"{backend}://{uri}"}}"#);
                assert_eq!(told("resources/read", read).await["contents"][0]["text"], text);
            }
            let get = format!(r#"{{"name":"{backend}_prompt"}}"#);
            let got = told("prompts/get", get).await;
            assert_eq!(got["messages"][0]["content"]["text"], "prompt");
            for reference in [
                format!(r#"{{"type":"ref/prompt","name":"{backend}_prompt"}}"#),
                format!(r#"{{"type":"ref/resource","uri":"{backend}://item/{{id}}"}}"#),
            ] {
                let complete =
                    format!(r#"{{"ref":{reference},"argument":{{"name":"a","value":"par"}}}}"#);
                let completed = told("completion/complete", complete).await;
                assert_eq!(completed["completion"]["values"][0], "paris");
            }
        }
    }
    // A strict server found nothing to refuse, and no era was guessed wrongly twice.
    for server in [&peers.new, &peers.both] {
        assert_eq!(server.refusals(), Vec::<String>::new());
    }
    assert_eq!(peers.old.counters().refusals(), 0);
    assert!(peers.both.legacy().counters().calls("echo") > 0, "in each client's own era");
    assert!(peers.both.counters().executions("echo") > 0);
}

/// Whoever reads no bodies must be told the name that the backend knows, and nothing that is no header.
#[tokio::test]
async fn what_is_renamed_is_renamed_in_the_headers_too() {
    let odd = r#"{"uri":"odd://é 漢","name":"odd"}"#;
    let peer = super::modern_peer("a")
        .resource(odd, vmcp_testkit::modern::complete(r#""contents":[]"#))
        .start()
        .await
        .unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let clients = Clients::of(&process).await;
    for era in ERAS {
        for (method, params, expected) in [
            ("tools/call", r#"{"name":"a_echo"}"#, "echo"),
            ("prompts/get", r#"{"name":"a_prompt"}"#, "prompt"),
            ("resources/read", r#"{"uri":"a://one"}"#, "a://one"),
            ("resources/read", r#"{"uri":"odd://é 漢"}"#, "=?base64?b2RkOi8vw6kg5ryi?="),
        ] {
            let answer = clients.ask(era, method, params).await;
            answer.result().unwrap_or_else(|error| panic!("{era:?} {method}: {error}"));
            let seen = peer.last(method).unwrap();
            assert_eq!(seen.header("mcp-name"), Some(expected), "{era:?}");
            assert_eq!(seen.header("mcp-method"), Some(method));
            assert_eq!(seen.header("mcp-protocol-version"), Some("2026-07-28"));
            assert_eq!(seen.header("mcp-session-id"), None);
        }
    }
    assert_eq!(peer.refusals(), Vec::<String>::new());
}

fn levels(answer: &Message) -> Vec<String> {
    let logs = answer.before.iter().map(Message::json);
    let logs = logs.filter(|note| note["method"] == "notifications/message");
    logs.map(|note| note["params"]["level"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn progress_and_logs_come_on_the_calls_own_stream_in_every_cell() {
    let peers = Peers::start().await;
    let process = serve(&peers.gateway()).await;
    let clients = Clients::of(&process).await;
    let set = clients.legacy.request("1", "logging/setLevel", r#"{"level":"error"}"#).await;
    set.unwrap().result().unwrap();
    let listening = clients.legacy.listen(None).await.unwrap();
    for backend in ["new", "old", "both"] {
        let name = format!("{backend}_talk");
        for token in [json!("a token"), json!(17)] {
            for level in ["debug", "warning", "error", "emergency"] {
                let client =
                    modern_client(&process).meta("progressToken", token.clone()).log_level(level);
                let answer = client.call(&name, json!({})).await.unwrap();
                let all = ["debug", "warning", "error"];
                let from = all.iter().position(|one| *one == level).unwrap_or(3);
                assert_eq!(levels(answer.message()), all[from..], "{backend} {level}");
                let last = answer.notifications().pop().unwrap();
                assert_eq!(
                    last["params"],
                    json!({"progressToken": token, "progress": 1, "total": 2})
                );
            }
        }
        let silent = modern_client(&process).call(&name, json!({})).await.unwrap();
        assert_eq!(silent.notifications(), Vec::<Value>::new(), "nothing was asked for");

        let params = format!(r#"{{"name":"{name}","_meta":{{"progressToken":"t"}}}}"#);
        let answer = clients.legacy.request("5", "tools/call", &params).await.unwrap();
        assert_eq!(levels(&answer), ["error"], "{backend}");
        let last = answer.before.last().unwrap().json();
        assert_eq!(last["params"]["progressToken"], "t");
    }
    // What a client wants to be told is asked of the backend in the backend's way.
    let of_calls = |server: &vmcp_testkit::modern::Running| -> Vec<Value> {
        let seen = server.seen().into_iter().filter(|seen| seen.method == "tools/call");
        seen.map(|seen| seen.meta(META_LOG_LEVEL)).collect()
    };
    let expected = [
        "debug",
        "warning",
        "error",
        "emergency",
        "debug",
        "warning",
        "error",
        "emergency",
        "",
        "error",
    ];
    let expected = expected.map(|level| if level.is_empty() { Value::Null } else { json!(level) });
    assert_eq!(of_calls(&peers.new), expected);
    // To `old` the kept session has said it once, as its first call wanted most; and the legacy one.
    assert_eq!(peers.old.counters().requests("logging/setLevel"), 2);
    drop(listening);
}
