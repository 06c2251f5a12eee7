//! The modern server and the modern client agree on the specification.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;
use vmcp_testkit::{
    client::Client,
    modern::{
        Call, META_CAPABILITIES, META_CLIENT_INFO, META_VERSION, Running, Speaks, complete, fixed,
        handler, header_mismatch, headers::mirrored, legacy_refusals, text,
    },
    modern_client::ModernClient,
    peers::{self, INVALID_HEADERS},
    raw::{Answer, Form, Kind},
};

async fn both() -> (Running, ModernClient) {
    let server = peers::modern().start().await.unwrap();
    let client = ModernClient::new(&server.url());
    (server, client)
}

#[tokio::test]
async fn lists_reads_gets_and_completes() {
    let (server, client) = both().await;
    server.set_page_size(5);
    let found = client.discover().await.unwrap().result().unwrap();
    assert_eq!(found["supportedVersions"], json!(["2026-07-28"]));
    assert_eq!(found["capabilities"]["resources"]["subscribe"], true);
    assert_eq!(client.learn_tools().await.unwrap().len(), 13);
    assert_eq!(server.counters().requests("tools/list"), 3);
    assert_eq!(client.list("prompts/list", "prompts").await.unwrap().len(), 2);
    server.set_cache("resources/read", 5, "private");
    for uri in ["modern://one", "modern://item/7"] {
        let read = client.read(uri).await.unwrap().result().unwrap();
        assert_eq!((&read["contents"][0]["uri"], &read["ttlMs"]), (&json!(uri), &json!(5)));
    }
    client.prompt("prompt", json!({})).await.unwrap().result().unwrap();
    let reference = json!({"type": "ref/prompt", "name": "prompt"});
    let params = json!({"ref": reference, "argument": {"name": "a", "value": "p"}});
    client.request("completion/complete", params).await.unwrap().result().unwrap();
    assert_eq!(client.read("modern://no").await.unwrap().error_code().unwrap(), -32602);
    assert_eq!(server.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn bytes_arrive_as_they_were_written() {
    let (server, client) = both().await;
    for form in [Form::Json, Form::Sse] {
        server.set_form(form);
        let echoed = client.call_literally("echo", r#"{ "b":1E400, "a":1.10 }"#).await.unwrap();
        assert_eq!(echoed.message().before.len(), 0);
        assert!(
            echoed.literal_result().unwrap().contains(r#""arguments":{ "b":1E400, "a":1.10 }"#),
            "{echoed:?}"
        );
    }
    let seen = server.last("tools/call").unwrap();
    assert_eq!(seen.header("mcp-name"), Some("echo"));
    assert_eq!(seen.meta(META_VERSION), "2026-07-28");
    assert_eq!(seen.meta(META_CLIENT_INFO)["name"], "testkit");
}

#[tokio::test]
async fn what_breaks_a_rule_is_refused_and_not_executed() {
    let (server, client) = both().await;
    client.learn_tools().await.unwrap();
    let refused = async |client: ModernClient, tool: &str, arguments: Value| {
        let answer = client.call(tool, arguments).await.unwrap();
        (answer.status().as_u16(), answer.error_code().unwrap())
    };
    let count = async |client: ModernClient| refused(client, "count", json!({})).await;
    let mismatch = (400, -32020);
    for header in ["mcp-protocol-version", "mcp-method", "mcp-name"] {
        assert_eq!(count(client.clone().without_header(header)).await, mismatch, "{header}");
        assert_eq!(count(client.clone().header(header, "other")).await, mismatch, "{header}");
    }
    assert_eq!(count(client.clone().header("mcp-method", "TOOLS/CALL")).await, mismatch);
    assert_eq!(count(client.clone().header("mcp-name", "=?base64?Y291bnQ?=")).await, mismatch);
    for key in [META_VERSION, META_CAPABILITIES] {
        assert_eq!(count(client.clone().without_meta(key)).await, (400, -32602), "{key}");
    }
    assert_eq!(count(client.clone().version("1999-01-01")).await, (400, -32022));

    let arguments = json!({"region": "eu", "level": 7});
    for (header, value) in [
        ("mcp-param-region", "us"),
        ("mcp-param-region", "=?base64?ZX?="),
        ("mcp-param-level", "8"),
        ("mcp-param-urgent", "true"),
    ] {
        let client = client.clone().header(header, value);
        assert_eq!(refused(client, "region", arguments.clone()).await, mismatch, "{header}");
    }
    let client_without = client.clone().without_header("mcp-param-region");
    assert_eq!(refused(client_without, "region", arguments.clone()).await, mismatch);

    let gone = client.request("resources/subscribe", json!({"uri": "modern://one"})).await;
    let gone = gone.unwrap();
    assert_eq!((gone.status(), gone.error_code().unwrap()), (StatusCode::NOT_FOUND, -32601));
    let answered = json!({"inputResponses": 1, "name": "count"});
    let wrong = client.request("tools/call", answered).await.unwrap();
    assert_eq!((wrong.status().as_u16(), wrong.error_code().unwrap()), (400, -32602));

    assert_eq!(server.counters().executions("count"), 0);
    assert_eq!(server.counters().executions("region"), 0);
    assert_eq!(server.refusals().len(), 18, "{:#?}", server.refusals());

    let encoded = client.clone().header("mcp-name", "=?base64?Y291bnQ=?=");
    assert_eq!(encoded.call("count", json!({})).await.unwrap().text().unwrap(), "1");
    let level = client.header("mcp-param-level", "7.0");
    level.call("region", arguments).await.unwrap().result().unwrap();
}

#[tokio::test]
async fn what_is_no_request_of_the_era_is_refused_too() {
    let (server, client) = both().await;
    let plain = Client::new(&server.url());
    for verb in [Method::GET, Method::DELETE] {
        let response = plain.send(verb, &[], "".into()).await.unwrap();
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.header("allow"), Some("POST"));
    }
    let refused = Client::new(&server.url()).initialize().await.unwrap_err();
    assert!(format!("{refused:#}").contains("this server speaks 2026-07-28"), "{refused:#}");
    let discover = "server/discover";
    for body in ["[]", "{", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, r#"{"id":1,"method":"a"}"#] {
        let response = client.post(discover, &json!({}), body).await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body}");
    }
    let note = r#"{"jsonrpc":"2.0","method":"notifications/x"}"#;
    let noted = client.post("notifications/x", &json!({}), note).await.unwrap();
    assert_eq!(noted.status(), StatusCode::ACCEPTED);
    for (header, value) in [("accept", "application/json"), ("content-type", "text/plain")] {
        let client = client.clone().header(header, value);
        let response = client.post(discover, &json!({}), "{}").await.unwrap();
        assert!(response.status().is_client_error(), "{header}");
    }
}

#[tokio::test]
async fn parameters_travel_in_headers() {
    let (server, client) = both().await;
    client.learn_tools().await.unwrap();
    let arguments = json!({
        "region": "Zürich ", "level": -7, "urgent": false, "place": {"zone": "=?base64?x?="},
    });
    client.call("region", arguments).await.unwrap().result().unwrap();
    let seen = server.last("tools/call").unwrap();
    for (name, value) in [
        ("mcp-param-region", "=?base64?WsO8cmljaCA=?="),
        ("mcp-param-level", "-7"),
        ("mcp-param-urgent", "false"),
        ("mcp-param-zone", "=?base64?PT9iYXNlNjQ/eD89?="),
    ] {
        assert_eq!(seen.header(name), Some(value));
    }
    client.call("region", json!({"region": null})).await.unwrap().result().unwrap();

    // A schema that changes without a word: only who lists anew knows what the server wants now.
    let changed = r#"{"name":"count","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"}}}}"#;
    server.put(Kind::Tools, changed, fixed(text("changed")));
    let stale = client.call("count", json!({"a": "x"})).await.unwrap();
    assert_eq!(stale.error_code().unwrap(), -32020);
    client.learn_tools().await.unwrap();
    assert_eq!(client.call("count", json!({"a": "x"})).await.unwrap().text().unwrap(), "changed");
    assert_eq!(server.counters().executions("count"), 1);

    for definition in INVALID_HEADERS {
        let tool: Value = serde_json::from_str(definition).unwrap();
        assert!(mirrored(&tool["inputSchema"]).is_err(), "{definition}");
    }
}

#[tokio::test]
async fn notifications_come_on_the_requests_own_stream() {
    let (_server, client) = both().await;
    let progress = client.clone().meta("progressToken", json!(1.5));
    let answer = progress.call("progress", json!({})).await.unwrap();
    assert_eq!(answer.notifications().len(), 3);
    assert_eq!(client.call("progress", json!({})).await.unwrap().notifications().len(), 0);
    let logged = client.clone().log_level("error").call("log", json!({})).await.unwrap();
    assert_eq!(logged.notifications().len(), 4);
    assert_eq!(client.call("log", json!({})).await.unwrap().notifications().len(), 0);
}

#[tokio::test]
async fn questions_are_answered_in_the_next_request() {
    let (server, client) = both().await;
    let unable = client.call("sample", json!({})).await.unwrap();
    assert_eq!(unable.error_code().unwrap(), -32021);
    let refused = client.call("ask", json!({})).await.unwrap_err();
    assert!(format!("{refused:#}").contains("was not declared"), "the client finds that out");

    let client = client.capable();
    client.call("sample", json!({})).await.unwrap().text().unwrap();
    let asked = client.call("ask_everything", json!({"k": 1})).await.unwrap();
    let questions = asked.questions().unwrap();
    let names: BTreeSet<_> = questions.keys().map(String::as_str).collect();
    assert_eq!(names, ["name", "roots", "sum"].into());
    let name = json!({"name": {"action": "accept", "content": {"name": "Ada"}}});
    let done = client.answer(&asked, name.clone()).await.unwrap().result().unwrap();
    assert_eq!(done["structuredContent"]["inputResponses"], name);
    assert_eq!(done["structuredContent"]["requestState"], json!(asked.request_state().unwrap()));
    let seen = server.last("tools/call").unwrap();
    assert_eq!(seen.param("arguments").unwrap().get(), r#"{"k":1}"#);

    let params = json!({"name": "ask", "requestState": "forged", "inputResponses": name});
    let forged = client.request("tools/call", params).await.unwrap();
    assert_eq!(forged.error_code().unwrap(), -32602);
    let first = client.call("ask_twice", json!({})).await.unwrap();
    let second = client.answer(&first, name.clone()).await.unwrap();
    assert_ne!(first.request_state(), second.request_state());
    client.answer(&second, name.clone()).await.unwrap().result().unwrap();
    let nothing = client.call("ask_nothing", json!({})).await.unwrap();
    client.answer(&nothing, json!({})).await.unwrap().result().unwrap();
    for asked in [
        client.read("modern://asking").await.unwrap(),
        client.prompt("asking", json!({})).await.unwrap(),
    ] {
        assert_eq!(asked.request_state(), None);
        let done = client.answer(&asked, name.clone()).await.unwrap();
        assert!(done.literal_result().unwrap().contains("Ada"));
    }
}

#[tokio::test]
async fn a_client_that_leaves_cancels() {
    let (server, client) = both().await;
    let impatient = client.clone().patience(Duration::from_millis(200));
    impatient.call("slow", json!({"delay_ms": 60_000})).await.unwrap_err();
    server.counters().until_abandoned(1).await.unwrap();

    let left = Arc::new(Notify::new());
    let leaving = Arc::clone(&left);
    let halting = handler(move |call: Call| {
        let leaving = Arc::clone(&leaving);
        async move {
            call.progress(1, 2).await.unwrap();
            call.cancelled.cancelled().await;
            leaving.notify_one();
            Answer::Close
        }
    });
    server.put(Kind::Tools, r#"{"name":"halting","inputSchema":{"type":"object"}}"#, halting);
    let client = client.meta("progressToken", json!("p"));
    let mut exchange = client.open("tools/call", json!({"name": "halting"})).await.unwrap();
    exchange.notification().await.unwrap();
    drop(exchange);
    left.notified().await;
    server.counters().until_abandoned(2).await.unwrap();
}

#[tokio::test]
async fn subscriptions_hear_what_they_asked_for() {
    let (server, client) = both().await;
    let filter = json!({"toolsListChanged": true, "resourceSubscriptions": ["modern://one"]});
    let mut narrow = client.listen(filter.clone()).await.unwrap();
    assert_eq!(*narrow.granted(), filter);
    let mut other = client.listen(json!({"promptsListChanged": true})).await.unwrap();
    server.until_subscriptions(2).await.unwrap();
    client.call("grow", json!({"name": "more"})).await.unwrap().text().unwrap();
    for uri in ["modern://two", "modern://one"] {
        client.call("touch", json!({"uri": uri})).await.unwrap().text().unwrap();
    }
    server.keep_alive();
    assert_eq!(narrow.next().await.unwrap()["method"], "notifications/tools/list_changed");
    assert_eq!(narrow.next().await.unwrap()["params"]["uri"], "modern://one");
    other.quiet_for(Duration::from_millis(50)).await.unwrap();
    server.list_changed(Kind::Prompts);
    other.until("notifications/prompts/list_changed").await.unwrap();
    drop(other);
    server.until_subscriptions(1).await.unwrap();
    server.push("notifications/prompts/list_changed", &json!({}));
    assert!(narrow.next().await.is_err(), "nobody asked for that");
    server.end_subscriptions();
    assert_eq!(narrow.ended().await.unwrap().unwrap()["resultType"], "complete");
    let broken = client.listen(json!({"toolsListChanged": true})).await.unwrap();
    server.break_subscriptions();
    assert!(broken.ended().await.is_err(), "the stream broke");
}

#[tokio::test]
async fn deaf_servers_grant_less() {
    let server = peers::modern().deaf_to_updates().start().await.unwrap();
    let client = ModernClient::new(&server.url());
    let filter = json!({"resourcesListChanged": true, "resourceSubscriptions": ["modern://one"]});
    let listening = client.listen(filter).await.unwrap();
    assert_eq!(*listening.granted(), json!({"resourcesListChanged": true}));
    let wrong = client.request("subscriptions/listen", json!({"notifications": 1})).await.unwrap();
    assert_eq!(wrong.error_code().unwrap(), -32602);
}

#[tokio::test]
async fn a_server_can_be_out_of_order_for_a_while() {
    let (server, client) = both().await;
    let page = Answer::Http { status: 500, content_type: Some("text/html"), body: "<html>".into() };
    server.next("server/discover", &page, 2);
    server.next("*", &header_mismatch("for once"), 1);
    for _ in 0..2 {
        client.discover().await.unwrap_err();
    }
    assert_eq!(client.call("count", json!({})).await.unwrap().error_code().unwrap(), -32020);
    client.discover().await.unwrap().result().unwrap();
    server.next("server/discover", &Answer::Hang, 1);
    server.next("server/discover", &Answer::Close, 1);
    let impatient = client.clone().patience(Duration::from_millis(100));
    for _ in 0..2 {
        impatient.discover().await.unwrap_err();
    }
    assert_eq!(client.call("count", json!({})).await.unwrap().text().unwrap(), "1");
    assert_eq!(server.counters().executions("count"), 1);
    server.script("tools/call count", fixed(complete(r#""content":[]"#)));
    assert_eq!(client.call("count", json!({})).await.unwrap().result_type().unwrap(), "complete");
}

#[tokio::test]
async fn a_server_turns_from_one_era_to_the_other() {
    let server = peers::turning().start().await.unwrap();
    let modern = ModernClient::new(&server.url());
    let mut legacy = Client::new(&server.url());
    legacy.initialize().await.unwrap();
    assert_eq!(legacy.call("1", "count", "{}").await.unwrap().text().unwrap(), "1");
    assert_eq!(modern.call("count", json!({})).await.unwrap().text().unwrap(), "1");

    for (name, refusal) in legacy_refusals() {
        server.set_speaks(Speaks::Legacy(refusal));
        assert!(modern.discover().await.and_then(|answer| answer.result()).is_err(), "{name}");
        legacy.call("1", "count", "{}").await.unwrap().text().unwrap();
    }
    server.set_speaks(Speaks::Modern);
    modern.discover().await.unwrap().result().unwrap();
    let refused = legacy.call("1", "count", "{}").await.unwrap();
    assert_eq!(refused.error_code().unwrap(), -32602, "it has no _meta");
    let calls = 1 + u64::try_from(legacy_refusals().len()).unwrap();
    assert_eq!(server.legacy().counters().calls("count"), calls);
    assert_eq!(server.counters().executions("count"), 1);
}
