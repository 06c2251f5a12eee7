//! What spans tell of calls that end badly: their status and `error.type`.

use serde_json::{Value, json};
use vmcp_testkit::{
    client::Client,
    gateway::Gateway,
    modern_client::ModernClient,
    raw::{Answer, RawServer},
};

use super::{PARENT, Span, Spans, Traced, trace_id, traceparent};

const ERROR: &str = "STATUS_CODE_ERROR";
const UNSET: &str = "STATUS_CODE_UNSET";

/// What is expected of a call: its tool, `error.type`, the status of the span at vmcp and of that at the backend, if it
/// was sent there, what both say if they say something, and the code of the error.
type Row<'a> = (&'a str, &'a str, &'a str, Option<&'a str>, &'a str, Option<&'a str>);

const ROWS: &[Row<'_>] = &[
    ("a_fine", "", UNSET, Some(UNSET), "", None),
    ("a_says_no", "tool_error", ERROR, Some(ERROR), "", None),
    // A client that asks for nonsense is no failure of the server, but the backend's client is vmcp.
    ("a_refuses", "-32602", UNSET, Some(ERROR), "no such issue", Some("-32602")),
    ("a_breaks", "-32603", ERROR, Some(ERROR), "out of order", Some("-32603")),
    ("a_own", "-31999", ERROR, Some(ERROR), "of its own", Some("-31999")),
    ("a_hang", "timeout", ERROR, Some(ERROR), "did not answer within", Some("")),
    ("a_denied", "denied", UNSET, None, "", Some("")),
    ("a_unknown", "invalid", UNSET, None, "", Some("-32602")),
    ("b_close", "backend", ERROR, Some(ERROR), "", Some("")),
    ("b_close", "backend", ERROR, Some(ERROR), "", Some("")),
    // Its breaker is open now, and nothing is sent.
    ("b_close", "backend", ERROR, None, "is left alone", Some("")),
];

fn tool(name: &str) -> String {
    format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#)
}

/// A gateway before one server that fails in every way, and one that always fails.
async fn fixture() -> (Traced, [vmcp_testkit::raw::Running; 2]) {
    let refusing = RawServer::builder()
        .tool(&tool("fine"), Answer::text("fine"))
        .tool(&tool("says_no"), r#"{"content":[{"type":"text","text":"a secret"}],"isError":true}"#)
        .tool(&tool("refuses"), Answer::error(-32602, "no such issue"))
        .tool(&tool("breaks"), Answer::error(-32603, "out of order"))
        .tool(&tool("own"), Answer::error(-31999, "of its own"))
        .tool(&tool("hang"), Answer::Hang)
        .tool(&tool("denied"), Answer::text("denied"));
    let failing = RawServer::builder().tool(&tool("close"), Answer::Close);
    let [a, b] = [refusing.start().await.unwrap(), failing.start().await.unwrap()];
    let policies = json!([
        "permit(principal, action, resource);",
        "forbid(principal, action, resource) when { resource.name == \"a_denied\" };"
    ]);
    let gateway = Gateway::before(&[("a", a.url()), ("b", b.url())])
        .incoming(&format!("type: anonymous, authz: {{type: cedar, policies: {policies}}}"))
        .with(
            "operational:
  timeouts: {default: 20s, perWorkload: {a: 1500ms}}
  failureHandling: {circuitBreaker: {enabled: true, failureThreshold: 2, timeout: 1h}}",
        );
    (Traced::start(&gateway, ", samplingRate: '0'").await, [a, b])
}

fn assert_told(name: &str, spans: &Spans, trace: &str, row: Row<'_>) {
    let (_, kind, status, at_backend, message, code) = row;
    let of = |kind: &str| {
        let of_trace = spans.of_trace(trace).into_iter();
        of_trace.filter(|span| span.kind() == kind).collect::<Vec<_>>()
    };
    let [server] = of("SPAN_KIND_SERVER")[..] else {
        panic!("{name}: {:#?}", spans.of_trace(trace));
    };
    assert_eq!(server.parent(), PARENT, "{name}");
    let clients = of("SPAN_KIND_CLIENT");
    assert_eq!(clients.len(), usize::from(at_backend.is_some()), "{name}: {clients:#?}");
    let all = [(server, status)].into_iter().chain(clients.into_iter().zip(at_backend));
    for (span, status) in all {
        let attributes = &span.0["attributes"];
        assert_eq!(span.0["status"], status, "{name}: {span:#?}");
        assert_eq!(
            attributes["error.type"].as_str().unwrap_or_default(),
            kind,
            "{name}: {span:#?}"
        );
        let told = span.text("message");
        match status {
            ERROR => assert!(told.contains(message), "{name}: {span:#?}"),
            _ => assert_eq!(told, "", "{name}: {span:#?}"),
        }
        let of_response = attributes["rpc.response.status_code"].as_str();
        assert_eq!(of_response.is_some(), code.is_some(), "{name}: {span:#?}");
        if let Some(code) = code.filter(|code| !code.is_empty()) {
            assert_eq!(of_response, Some(code), "{name}: {span:#?}");
        }
        assert!(!span.0.to_string().contains("a secret"), "{name}: {span:#?}");
    }
    assert_named(name, server);
}

/// A span is called after a tool only if that is there and the caller may use it.
fn assert_named(name: &str, server: &Span) {
    let tool = name.split(' ').next_back().unwrap();
    let is_known = !["a_denied", "a_unknown"].contains(&tool);
    let expected = if is_known { format!("tools/call {tool}") } else { "tools/call".to_owned() };
    assert_eq!(server.text("name"), expected);
    let attributes = &server.0["attributes"];
    assert_eq!(attributes["gen_ai.tool.name"], tool);
    let backend = if is_known { json!(&tool[..1]) } else { Value::Null };
    assert_eq!(attributes["target.workload_name"], backend, "{name}");
}

#[tokio::test]
async fn spans_tell_how_calls_end_badly() {
    for is_modern in [false, true] {
        let (traced, _backends) = fixture().await;
        let legacy = Client::connect(&traced.url()).await.unwrap();
        let modern = ModernClient::new(&traced.url()).capable().tolerant();
        for (number, (tool, ..)) in ROWS.iter().enumerate() {
            let parent = traceparent(&trace_id(number), "01");
            let params = json!({"name": tool, "arguments": {}});
            // How it is answered is the subject of other tests.
            if is_modern {
                let calling = modern.clone().header("traceparent", &parent);
                drop(calling.request("tools/call", params).await.unwrap());
            } else {
                let calling = legacy.clone().with_header("traceparent", &parent);
                let answer = calling.open("1", "tools/call", &params.to_string()).await.unwrap();
                answer.bytes().await.unwrap();
            }
        }
        let spans = traced.end().await;
        for (number, row) in ROWS.iter().enumerate() {
            let name = format!("{} {}", if is_modern { "modern" } else { "legacy" }, row.0);
            assert_told(&name, &spans, &trace_id(number), *row);
        }
    }
}
