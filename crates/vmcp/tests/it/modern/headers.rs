//! What the headers of a modern request say, and what must be refused (specification 2026-07-28,
//! basic/transports/streamable-http, "Server Validation").

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use vmcp_testkit::{
    client::{Client, Response},
    gateway::{Gateway, eventually},
    modern::{
        META_CAPABILITIES, META_CLIENT_INFO, META_LOG_LEVEL, META_SERVER_INFO, META_SUBSCRIPTION,
        META_VERSION, Running,
    },
    modern_client::ModernClient,
    peers,
    process::Process,
};

use super::{Clients, Era, Members, modern_client};
use crate::serve;

/// A gateway before one strict server of the modern era.
async fn strict() -> (Running, Process) {
    let peer = peers::modern().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    (peer, process)
}

/// A request as it is sent: headers that are added or replaced, and its body.
struct Sent<'a> {
    headers: Vec<(&'a str, &'a str)>,
    body: String,
}

/// A call of `a_echo` with these headers in place of the usual ones; an empty value leaves one away.
fn call<'a>(changed: &[(&'a str, &'a str)]) -> Sent<'a> {
    let mut headers = vec![
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "a_echo"),
    ];
    headers.retain(|(name, _)| changed.iter().all(|(other, _)| other != name));
    headers.extend(changed.iter().filter(|(_, value)| !value.is_empty()));
    Sent { headers, body: body(&meta(&[])) }
}

fn meta(changed: &[(&str, Value)]) -> Value {
    let mut meta = json!({
        META_VERSION: "2026-07-28",
        META_CLIENT_INFO: {"name": "t", "version": "1"},
        META_CAPABILITIES: {},
    });
    for (name, value) in changed {
        meta[*name] = value.clone();
    }
    let meta = meta.as_object().unwrap();
    meta.iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn body(meta: &Value) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":"i","method":"tools/call","params":{{"name":"a_echo","_meta":{meta}}}}}"#
    )
}

async fn send(process: &Process, sent: &Sent<'_>) -> Response {
    let client = Client::new(&process.url());
    client.send(Method::POST, &sent.headers, Bytes::from(sent.body.clone())).await.unwrap()
}

/// The status of an answer, the code of its error, and its id.
async fn told(process: &Process, sent: &Sent<'_>) -> (u16, Value, Value) {
    let response = send(process, sent).await;
    assert_eq!(response.header("mcp-session-id"), None);
    let status = response.status().as_u16();
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    (status, body["error"]["code"].clone(), body["id"].clone())
}

#[tokio::test]
async fn headers_that_do_not_say_what_the_body_says_are_refused() {
    let (peer, process) = strict().await;
    let good = send(&process, &call(&[])).await;
    assert_eq!(good.status(), 200, "{:?}", good.bytes().await);
    let executions = peer.counters().executions("echo");
    for changed in [
        &[("mcp-protocol-version", "")][..],
        &[("mcp-protocol-version", "2026-07-27")],
        &[("mcp-protocol-version", "2025-11-25")],
        &[("mcp-protocol-version", "2026-07-28"), ("mcp-protocol-version", "2026-07-28")],
        &[("mcp-method", "")],
        &[("mcp-method", "tools/list")],
        &[("mcp-method", "Tools/call")],
        &[("mcp-method", "=?base64?dG9vbHMvY2FsbA==?=")],
        &[("mcp-method", "tools/call"), ("mcp-method", "tools/call")],
        &[("mcp-name", "")],
        &[("mcp-name", "echo")],
        &[("mcp-name", "A_echo")],
        &[("mcp-name", "a_echo"), ("mcp-name", "a_count")],
        &[("mcp-name", "=?base64?YV9lY2hv")],
        &[("mcp-name", "=?base64?YV9lY2h?=")],
        &[("mcp-name", "=?base64?***?=")],
        &[("mcp-name", "=?BASE64?YV9lY2hv?=")],
        &[("mcp-name", "=?base64?/w==?=")],
    ] {
        let refused = told(&process, &call(changed)).await;
        assert_eq!(refused, (400, json!(-32020), json!("i")), "{changed:?}");
    }
    // What is not in ASCII must not stand there, even if it is the same.
    let client = modern_client(&process);
    let response = client.header("mcp-name", "modern://item/\u{e9}").read("modern://item/é").await;
    let response = response.unwrap();
    assert_eq!((response.status().as_u16(), response.error_code().unwrap()), (400, -32020));
    assert_eq!(peer.counters().executions("echo"), executions, "nothing of it ran");
    let encoded = call(&[("mcp-name", "=?base64?YV9lY2hv?=")]);
    assert_eq!(send(&process, &encoded).await.status(), 200);
    assert_eq!(peer.last("tools/call").unwrap().header("mcp-name"), Some("echo"));
}

#[tokio::test]
async fn a_request_must_say_who_sends_it() {
    let (peer, process) = strict().await;
    let with = |changed: &[(&str, Value)]| Sent { body: body(&meta(changed)), ..call(&[]) };
    for changed in [
        (META_VERSION, Value::Null),
        (META_VERSION, json!(7)),
        (META_CAPABILITIES, Value::Null),
        (META_CAPABILITIES, json!([])),
        (META_CAPABILITIES, json!("all")),
        (META_LOG_LEVEL, json!("loud")),
        (META_LOG_LEVEL, json!(1)),
    ] {
        let refused = told(&process, &with(std::slice::from_ref(&changed))).await;
        assert_eq!(refused, (400, json!(-32602), json!("i")), "{changed:?}");
    }
    assert_eq!(peer.counters().executions("echo"), 0);
    let anonymous = send(&process, &with(&[(META_CLIENT_INFO, Value::Null)])).await;
    assert_eq!(anonymous.status(), 200, "a client need not say its name");
    assert_eq!(peer.last("tools/call").unwrap().meta(META_CLIENT_INFO)["name"], "vmcp");
}

#[tokio::test]
async fn versions_that_nobody_speaks_are_told_which_there_are() {
    let (_peer, process) = strict().await;
    for version in ["2099-01-01", "1.0", "draft"] {
        let client = ModernClient::new(&process.url()).version(version);
        for method in ["server/discover", "tools/list", "no/such"] {
            let refused = client.request(method, json!({})).await.unwrap();
            let told = refused.error().unwrap();
            assert_eq!((&told["code"], refused.status().as_u16()), (&json!(-32022), 400));
            assert_eq!(told["data"]["requested"], version);
            let supported = told["data"]["supported"].as_array().unwrap();
            assert_eq!(supported[0], "2026-07-28", "{told}");
            assert!(supported.contains(&json!("2025-11-25")), "{told}");
        }
    }
}

#[tokio::test]
async fn only_requests_and_notifications_may_be_sent_one_at_a_time() {
    let (peer, process) = strict().await;
    let good = call(&[]);
    let raw = |body: String| Sent { body, ..call(&[]) };
    for body in [
        format!("[{}]", good.body),
        format!("[{},{}]", good.body, good.body),
        "[]".to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"m"}}"#.to_owned(),
        good.body.replace(r#""id":"i","#, r#""id":null,"#),
        good.body.replace(r#""name":"a_echo""#, r#""name":"a_echo","name":"a_count""#),
        good.body.replace(r#""name":"a_echo""#, r#""name":"a_echo","Name":"a_count""#),
        good.body.replace("2.0", "1.0"),
        "{".to_owned(),
    ] {
        let (status, code, _) = told(&process, &raw(body.clone())).await;
        assert_eq!(status, 400, "{body}");
        assert!(code == -32600 || code == -32700, "{code}: {body}");
    }
    assert_eq!(peer.counters().executions("echo"), 0);
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    let response = send(&process, &raw(notification.to_owned())).await;
    assert_eq!(response.status(), 202);
    assert_eq!(response.bytes().await.unwrap(), Bytes::new());
    for (name, value) in [("accept", "text/html"), ("content-type", "text/plain")] {
        let status = send(&process, &call(&[(name, value)])).await.status().as_u16();
        assert!(status == 406 || status == 415, "{name}: {status}");
    }
}

/// A session of the other era has nothing to do with a modern request, whosever it is.
#[tokio::test]
async fn a_session_id_is_ignored_and_none_is_given() {
    let (peer, process) = strict().await;
    let clients = Clients::of(&process).await;
    let session = clients.legacy.session().unwrap().to_owned();
    for id in [session.as_str(), "nobody", "0"] {
        let client = modern_client(&process).header("mcp-session-id", id);
        // The client itself refuses an answer with a session id.
        client.call("a_echo", json!({})).await.unwrap().result().unwrap();
        client.learn_tools().await.unwrap();
        client.discover().await.unwrap().result().unwrap();
        assert_eq!(peer.last("tools/call").unwrap().header("mcp-session-id"), None);
    }
    clients.call(Era::Legacy, "a_echo", "{}").await.result().unwrap();
}

#[tokio::test]
async fn reserved_metadata_is_vmcps_own_and_the_rest_passes() {
    let (peer, process) = strict().await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let client = modern_client(&process)
        .meta(META_CLIENT_INFO, json!({"name": "someone", "version": "9"}))
        .meta(META_SERVER_INFO, json!({"name": "someone"}))
        .meta(META_SUBSCRIPTION, json!("someone"))
        .meta("traceparent", json!(trace))
        .meta("com.example/key", json!({"n": 1.5}));
    client.call("a_echo", json!({})).await.unwrap().result().unwrap();
    let seen = peer.last("tools/call").unwrap();
    assert_eq!(seen.meta(META_CLIENT_INFO)["name"], "vmcp");
    assert_eq!(seen.meta(META_VERSION), "2026-07-28");
    let capabilities = json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}});
    assert_eq!(seen.meta(META_CAPABILITIES), capabilities, "the client's own");
    assert_eq!(seen.meta(META_LOG_LEVEL), Value::Null);
    assert_eq!(seen.meta("traceparent"), trace);
    assert_eq!(seen.meta("com.example/key"), json!({"n": 1.5}));
    assert_eq!(seen.meta(META_SERVER_INFO), Value::Null, "nobody's to say but a server's");
    assert_eq!(seen.meta(META_SUBSCRIPTION), Value::Null);
    assert_eq!(peer.refusals(), Vec::<String>::new());

    // Towards a legacy backend nothing of it remains.
    let old = peers::fidelity().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", old.url())])).await;
    let client = modern_client(&process).log_level("debug").meta("traceparent", json!(trace));
    let answer = client.call("a_echo", json!({})).await.unwrap();
    let params = answer.result().unwrap()["structuredContent"].clone();
    assert_eq!(params["_meta"], json!({"traceparent": trace}));
    // A result is in vmcp's name, whoever made it.
    let meta = Members::of(Members::of(answer.literal_result().unwrap()).get("_meta"));
    assert!(meta.get(META_SERVER_INFO).contains("gateway"), "{meta:?}");
}

const ARGUMENTS: &str =
    r#"{"region":"é west","level":42.0,"urgent":true,"place":{"zone":" a "},"other":1.10}"#;

#[tokio::test]
async fn parameters_that_are_repeated_in_headers_must_be_the_same() {
    let (peer, process) = strict().await;
    let client = modern_client(&process);
    client.learn_tools().await.unwrap();
    client.call_literally("a_region", ARGUMENTS).await.unwrap().result().unwrap();
    let seen = peer.last("tools/call").unwrap();
    assert_eq!(seen.header("mcp-param-region"), Some("=?base64?w6kgd2VzdA==?="));
    assert_eq!(seen.header("mcp-param-zone"), Some("=?base64?IGEg?="));
    let executions = peer.counters().executions("region");
    for (name, value) in [
        ("mcp-param-region", ""),
        ("mcp-param-region", "west"),
        ("mcp-param-region", "=?base64?w6kgd2VzdA=?="),
        ("mcp-param-level", ""),
        ("mcp-param-level", "43"),
        ("mcp-param-level", "0x2a"),
        ("mcp-param-level", "NaN"),
        ("mcp-param-urgent", ""),
        ("mcp-param-urgent", "True"),
        ("mcp-param-urgent", "1"),
        ("mcp-param-zone", "a"),
    ] {
        let wrong = match value {
            "" => client.clone().without_header(name),
            value => client.clone().header(name, value),
        };
        let refused = wrong.call_literally("a_region", ARGUMENTS).await.unwrap();
        let told = (refused.status().as_u16(), refused.error_code().unwrap());
        assert_eq!(told, (400, -32020), "{name}: {value}");
    }
    // Absent, null, and of another type: there must be no header, and so there is none further on.
    for arguments in ["{}", r#"{"region":null}"#, r#"{"place":{}}"#] {
        client.call_literally("a_region", arguments).await.unwrap().result().unwrap();
        assert_eq!(peer.last("tools/call").unwrap().header("mcp-param-region"), None);
        let wrong = client.clone().header("mcp-param-region", "west");
        let refused = wrong.call_literally("a_region", arguments).await.unwrap();
        assert_eq!(refused.error_code().unwrap(), -32020, "{arguments}");
    }
    assert_eq!(peer.counters().executions("region"), executions + 3);
    for level in ["42", "42.0", "4.2e1", "=?base64?NDI=?="] {
        let same = client.clone().header("mcp-param-level", level);
        same.call_literally("a_region", ARGUMENTS).await.unwrap().result().unwrap();
    }
    assert_eq!(peer.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn headers_of_parameters_that_nobody_here_knows_are_forwarded() {
    let (peer, process) = strict().await;
    let client = modern_client(&process)
        .header("mcp-param-unknown", "a b")
        .header("mcp-param-coded", "=?base64?w6k=?=");
    client.call("a_echo", json!({})).await.unwrap().result().unwrap();
    client.read("modern://one").await.unwrap().result().unwrap();
    for method in ["tools/call", "resources/read"] {
        let seen = peer.last(method).unwrap();
        assert_eq!(seen.header("mcp-param-unknown"), Some("a b"));
        assert_eq!(seen.header("mcp-param-coded"), Some("=?base64?w6k=?="));
    }
    let twice = call(&[("mcp-param-twice", "one"), ("mcp-param-twice", "two")]);
    assert_eq!(send(&process, &twice).await.status(), 200);
    let seen = peer.last("tools/call").unwrap();
    let all: Vec<_> = seen.headers.get_all("mcp-param-twice").iter().collect();
    assert_eq!(all, ["one", "two"]);
}

/// A legacy client knows nothing of such headers: vmcp writes them for it.
#[tokio::test]
async fn a_legacy_clients_parameters_are_repeated_for_it() {
    let (peer, process) = strict().await;
    let clients = Clients::of(&process).await;
    clients.call(Era::Legacy, "a_region", ARGUMENTS).await.result().unwrap();
    let seen = peer.last("tools/call").unwrap();
    for (name, value) in [
        ("mcp-param-region", "=?base64?w6kgd2VzdA==?="),
        ("mcp-param-level", "42"),
        ("mcp-param-urgent", "true"),
        ("mcp-param-zone", "=?base64?IGEg?="),
    ] {
        assert_eq!(seen.header(name), Some(value));
    }
    assert_eq!(seen.param("arguments").unwrap().get(), ARGUMENTS);
    assert_eq!(peer.refusals(), Vec::<String>::new());
}

/// Tools whose marks are invalid are not offered to anybody, and the others are.
#[tokio::test]
async fn tools_with_invalid_marks_are_left_out() {
    let mut peer = peers::modern();
    for definition in peers::INVALID_HEADERS {
        peer = peer.tool(definition, vmcp_testkit::modern::text("never"));
    }
    let peer = peer.start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let clients = Clients::of(&process).await;
    let tools = clients.modern.learn_tools().await.unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"a_region"), "{names:?}");
    for name in ["empty", "spaced", "broken", "twice", "number", "listed", "chosen"] {
        assert!(!names.contains(&&*format!("a_{name}")), "{name} is offered");
        eventually(&format!("there is a warning of {name}"), async || {
            let log = process.log();
            (log.contains(name) && log.contains("x-mcp-header")).then_some(())
        })
        .await;
    }
}

/// A page in a browser may send what the protocol wants of it, whatever a tool's parameters are called.
#[tokio::test]
async fn pages_may_send_the_headers_of_parameters() {
    let (_peer, process) = strict().await;
    let asked = [
        ("origin", "http://localhost"),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "mcp-name, Mcp-Param-Region,mcp-param-zone, x-secret, mcp-param-\t",
        ),
    ];
    let client = Client::new(&process.url());
    let response = client.send(Method::OPTIONS, &asked, Bytes::new()).await.unwrap();
    assert_eq!(response.status(), 204);
    let allowed = response.header("access-control-allow-headers").unwrap();
    let allowed: Vec<_> = allowed.split(", ").collect();
    for name in
        ["mcp-protocol-version", "mcp-method", "mcp-name", "mcp-param-region", "mcp-param-zone"]
    {
        assert!(allowed.contains(&name), "{name}: {allowed:?}");
    }
    assert!(!allowed.contains(&"x-secret"), "{allowed:?}");
}
