//! What goes wrong, as each era has it.

use serde_json::{Value, json};
use vmcp_testkit::{
    client::Message,
    gateway::Gateway,
    modern::{self, ModernServer},
    modern_client::ModernClient,
    peers,
    raw::{Answer, Kind, RawServer},
};

use super::{Clients, ERAS, Era, Peers, tool};
use crate::{connect, serve};

fn error(message: &Message) -> Value {
    let message = message.json();
    assert!(message["error"].is_object(), "no error: {message}");
    message["error"].clone()
}

/// A resource that is not there is -32002 to the one era and -32602 to the other, whoever says so.
#[tokio::test]
async fn a_resource_that_is_not_there_has_each_eras_code() {
    let peers = Peers::start().await;
    let data = json!({"uri": "new://item/9"});
    let missing = modern::error_with(-32602, "no such item", &data);
    peers.new.script("resources/read new://item/9", modern::fixed(missing));
    let missing =
        Answer::Error(r#"{"code":-32002,"message":"no","data":{"uri":"old://item/9"}}"#.into());
    peers.old.script("resources/read old://item/9", vmcp_testkit::raw::fixed(missing));
    let process = serve(&peers.gateway()).await;
    let clients = Clients::of(&process).await;
    for era in ERAS {
        for uri in ["nobody://one", "new://item/9", "old://item/9"] {
            let params = json!({"uri": uri}).to_string();
            let told = error(&clients.ask(era, "resources/read", &params).await);
            let expected = if era == Era::Modern { -32602 } else { -32002 };
            assert_eq!(told["code"], expected, "{era:?}: {told}");
            assert_eq!(told["data"]["uri"], uri, "{era:?}: {told}");
        }
        for (method, params) in
            [("tools/call", r#"{"name":"echo"}"#), ("prompts/get", r#"{"name":"prompt"}"#)]
        {
            let told = error(&clients.ask(era, method, params).await);
            assert_eq!(told["code"], -32602, "{era:?} {method} {params}: {told}");
        }
    }
}

/// The strict client insists on HTTP 404 with -32601.
#[tokio::test]
async fn methods_that_there_are_not_are_not_found() {
    let peers = Peers::start().await;
    let process = serve(&peers.gateway()).await;
    let clients = Clients::of(&process).await;
    for method in [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/list",
        "tasks/result",
        "no/such",
    ] {
        let told = error(&clients.ask(Era::Modern, method, r#"{"uri":"new://one"}"#).await);
        assert_eq!(told["code"], -32601, "{method}: {told}");
    }
    assert_eq!(error(&clients.ask(Era::Legacy, "no/such", "{}").await)["code"], -32601);
    assert_eq!(error(&clients.ask(Era::Legacy, "server/discover", "{}").await)["code"], -32601);
    // Before one backend, it is the backend's to know.
    for url in [peers.new.url(), peers.old.url()] {
        let process = serve(&Gateway::before(&[("a", url)])).await;
        let clients = Clients::of(&process).await;
        for era in ERAS {
            assert_eq!(error(&clients.ask(era, "no/such", "{}").await)["code"], -32601);
        }
    }
}

/// Codes that the modern era has given a meaning of its own, or has taken one from, are not a legacy
/// backend's to give.
#[tokio::test]
async fn reserved_codes_of_a_legacy_backend_do_not_pass_for_the_protocols_own() {
    let codes = [-32002, -32020, -32021, -32022, -32042, -32050, -32099];
    let mut peer = RawServer::builder();
    for code in codes {
        let answer = Answer::Error(
            format!(r#"{{"code":{code},"message":"mine","data":{{"n":1.10}}}}"#).into(),
        );
        peer = peer.tool(&tool(&format!("e{}", -code)), answer);
    }
    let peer = peer.tool(&tool("own"), Answer::error(-7, "mine")).start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let clients = Clients::of(&process).await;
    for code in codes {
        let tool = format!("a_e{}", -code);
        let told = error(&clients.call(Era::Modern, &tool, "{}").await);
        let expected = if code == -32002 { -32602 } else { -32603 };
        assert_eq!((&told["code"], &told["message"]), (&json!(expected), &json!("mine")), "{code}");
        assert_eq!(error(&clients.call(Era::Legacy, &tool, "{}").await)["code"], code);
    }
    for era in ERAS {
        assert_eq!(error(&clients.call(era, "a_own", "{}").await)["code"], -7);
    }
}

/// What a modern backend says of capabilities that are missing reaches clients as it is.
#[tokio::test]
async fn a_capability_that_the_client_lacks_is_named() {
    let peer = peers::modern().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let plain = ModernClient::new(&process.url());
    for (tool, needed) in [("a_sample", "sampling"), ("a_ask", "elicitation")] {
        let refused = plain.call(tool, json!({})).await.unwrap();
        let told = refused.error().unwrap();
        assert_eq!((&told["code"], refused.status().as_u16()), (&json!(-32021), 400));
        assert!(told["data"]["requiredCapabilities"][needed].is_object(), "{told}");
    }
    let sampling = plain.clone().capabilities(json!({"sampling": {}}));
    assert_eq!(sampling.call("a_sample", json!({})).await.unwrap().text().unwrap(), "sampled");
    let refused = sampling.call("a_ask_everything", json!({})).await.unwrap();
    assert_eq!(refused.error_code().unwrap(), -32021, "one of three questions is one too many");
    // A legacy client's session cannot be asked across the eras, so the backend is not told that it can.
    let legacy = connect(&process).await;
    let refused = legacy.call("1", "a_sample", "{}").await.unwrap();
    assert_eq!(refused.error_code().unwrap(), -32021);
}

/// A question that cannot be carried to the other era ends the call with an error that names the
/// backend.
#[tokio::test]
async fn a_question_to_a_client_of_the_other_era_is_a_clear_error() {
    let new = peers::modern().start().await.unwrap();
    let old = peers::asking().start().await.unwrap();
    let process = serve(&Gateway::before(&[("new", new.url()), ("old", old.url())])).await;
    let clients = Clients::of(&process).await;
    for (tool, method, params) in [
        ("ask", "tools/call", r#"{"name":"new_ask"}"#),
        ("ask_nothing", "tools/call", r#"{"name":"new_ask_nothing"}"#),
        ("asking", "prompts/get", r#"{"name":"new_asking"}"#),
        ("modern://asking", "resources/read", r#"{"uri":"modern://asking"}"#),
    ] {
        let answer = clients.ask(Era::Legacy, method, params).await;
        assert_eq!(answer.before.len(), 0);
        let told = error(&answer);
        assert_eq!((&told["code"], &told["data"]["backend"]), (&json!(-32603), &json!("new")));
        assert!(told["message"].as_str().unwrap().contains("needs input"), "{told}");
        assert_eq!(new.counters().executions(tool), 1);
    }
    clients.ask(Era::Modern, "tools/list", "{}").await.result().unwrap();
    let watching = old.sessions().len();
    for tool in ["ask_form", "ask_sampling", "ask_roots"] {
        // The backend was told that nothing can be asked, and asks all the same: it is refused.
        let answer = clients.call(Era::Modern, &format!("old_{tool}"), "{}").await.json();
        let asked = &answer["result"]["structuredContent"]["error"];
        let ended = &answer["error"];
        assert!(asked.is_object() || ended["code"] == -32603, "{answer}");
        assert_eq!(old.counters().calls(tool), 1);
    }
    // One is kept, whatever has gone wrong on it.
    assert_eq!(old.sessions().len(), watching + 1);
    for session in old.sessions() {
        let hello: Value = serde_json::from_slice(session.initialize()).unwrap();
        if hello["capabilities"] == json!({}) {
            continue;
        }
        assert_eq!(hello["capabilities"]["elicitation"]["form"], json!({}), "{hello}");
    }
}

/// Results that break the rules are the backend's fault, and told as such.
#[tokio::test]
async fn results_that_no_client_could_read_are_refused() {
    let wrong = [
        r#"{"resultType":"partial","content":[]}"#,
        r#"{"resultType":7,"content":[]}"#,
        r#"{"resultType":"input_required","requestState":7}"#,
        r#"{"resultType":"input_required","inputRequests":[]}"#,
        r#"{"resultType":"input_required","inputRequests":{"a":{"method":"no/such"}}}"#,
        r#"{"resultType":"input_required","inputRequests":{"a":{"method":"no/such","method":"sampling/createMessage"}}}"#,
        r#"{"resultType":"input_required","inputRequests":{"a":{"method":"elicitation/create","Method":"a/b"}}}"#,
        r#"{"resultType":"input_required","requestState":"a","requestState":"b"}"#,
        r#"{"resultType":"input_required"}"#,
        r#"{"resultType":"task","taskId":"1"}"#,
        "[]",
    ];
    let mut peer = ModernServer::builder();
    for (number, result) in wrong.iter().enumerate() {
        peer = peer.offer(Kind::Tools, &tool(&format!("w{number}")), modern::fixed(*result));
    }
    let peer = peer.start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let clients = Clients::of(&process).await;
    for (number, result) in wrong.iter().enumerate() {
        for era in ERAS {
            // What may be of an extension is its client's to refuse.
            let is_extension = result.contains("partial") || result.ends_with(r#""no/such"}}}"#);
            if era == Era::Modern && is_extension {
                continue;
            }
            let told = error(&clients.call(era, &format!("a_w{number}"), "{}").await);
            let expected = (&json!(-32603), &json!("a"));
            assert_eq!(
                (&told["code"], &told["data"]["backend"]),
                expected,
                "{era:?} {result}: {told}"
            );
        }
    }
}
