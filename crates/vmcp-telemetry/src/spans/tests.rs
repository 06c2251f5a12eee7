//! What spans tell of a request, and what they keep to themselves.

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU64, Ordering},
};

use vmcp_model::{
    BackendId, Era, Kind, Method,
    trace::{Parent, Trace},
    trail::{Asked, Client, Details, Observer, Target, Via, Wants},
};

use super::*;

/// A clock of which each look takes a second.
#[derive(Debug)]
struct Seconds(AtomicU64);

impl Observer for Seconds {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn wants(&self) -> Wants {
        Wants { details: true, traces: true, ..Wants::default() }
    }

    fn trace(&self, _parent: Option<Parent>, _state: Option<&str>) -> Option<Trace> {
        None
    }

    fn take(&self, _trail: &Trail, _took: Duration) {}
}

const TOOK: Duration = Duration::from_secs(100);

fn trace(sampled: bool) -> Trace {
    Trace {
        trace: [1; 16],
        span: [2; 8],
        onward: [3; 8],
        parent: Some([4; 8]),
        sampled,
        state: Some("a=b".into()),
    }
}

/// The trail of a request that asks for this, as it is at ten seconds.
fn trail(method: Option<Method>, name: &str) -> Arc<Trail> {
    let asked = Asked {
        via: Via::Post,
        method,
        era: Era::Legacy,
        identity: None,
        address: Ipv4Addr::new(10, 0, 0, 1).into(),
        trace: Some(trace(true)),
        details: Some(Box::new(Details { name: Some(name.into()), ..Details::default() })),
    };
    begin(asked)
}

fn begin(asked: Asked) -> Arc<Trail> {
    Trail::new(Arc::new(Seconds(AtomicU64::new(10))), asked)
}

fn lead_to(trail: &Trail, backend: &str, capability: Option<(Kind, &str)>) {
    let backend = Some(BackendId::new(backend).unwrap());
    let capability = capability.map(|(kind, name)| (kind, name.into()));
    trail.note_target(|| Target { backend, capability });
}

fn both(trail: &Trail, legacy: bool) -> (Span, Option<Span>) {
    let style = Style { server_name: "gateway".into(), legacy };
    spans_of(trail, TOOK, SystemTime::UNIX_EPOCH, &style).unwrap()
}

fn text_of<'s>(span: &'s Span, name: &str) -> Option<&'s str> {
    span.attributes.iter().find(|(own, _)| *own == name).map(|(_, value)| match value {
        AttributeValue::Text(text) => &**text,
        AttributeValue::Name(name) => name,
        AttributeValue::Int(_) => panic!("{name} is a number"),
    })
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn a_call_has_a_span_at_vmcp_and_one_at_its_backend() {
    let trail = trail(Some(Method::ToolsCall), "add");
    lead_to(&trail, "sums", Some((Kind::Tool, "sums_add")));
    trail.note_sent();
    trail.note_answered();
    trail.note_end(|| End::Answered);
    let (server, client) = both(&trail, false);
    let client = client.unwrap();
    assert_eq!((server.id, server.parent, server.side), ([2; 8], Some([4; 8]), Side::Server));
    assert_eq!((client.id, client.parent, client.side), ([3; 8], Some([2; 8]), Side::Client));
    assert_eq!((server.start, server.end, server.answered), (at(10), at(110), None));
    assert_eq!((client.start, client.end, client.answered), (at(11), at(110), Some(at(12))));
    for span in [&server, &client] {
        assert_eq!((span.trace, span.state.as_deref()), ([1; 16], Some("a=b")));
        assert_eq!((&*span.name, &span.error), ("tools/call sums_add", &None));
        assert_eq!(text_of(span, "mcp.method.name"), Some("tools/call"));
        assert_eq!(text_of(span, "gen_ai.operation.name"), Some("execute_tool"));
        assert_eq!(text_of(span, "gen_ai.tool.name"), Some("sums_add"));
        assert_eq!(text_of(span, "target.workload_name"), Some("sums"));
        assert_eq!(text_of(span, "error.type"), None);
        assert_eq!(text_of(span, "mcp.protocol.version"), None);
    }
    assert_eq!(text_of(&server, "mcp.server.name"), Some("gateway"));
    assert_eq!(text_of(&client, "mcp.server.name"), Some("sums"));
    assert_eq!(text_of(&client, "client.address"), None);
}

#[test]
fn what_was_sent_nowhere_has_one_span_and_what_is_not_recorded_none() {
    assert_eq!(both(&trail(Some(Method::Ping), ""), false).1, None);
    let untraced = Asked { trace: None, ..trail(None, "").asked().clone() };
    let unsampled = Asked { trace: Some(trace(false)), ..untraced.clone() };
    let style = Style { server_name: "gateway".into(), legacy: false };
    for asked in [untraced, unsampled] {
        assert_eq!(spans_of(&begin(asked), TOOK, at(0), &style), None);
    }
}

#[test]
fn names_have_targets_only_where_there_are_only_so_many() {
    for (method, capability, name) in [
        (Some(Method::ToolsCall), Some((Kind::Tool, "add")), "tools/call add"),
        (Some(Method::ToolsCall), None, "tools/call"),
        (Some(Method::PromptsGet), Some((Kind::Prompt, "greet")), "prompts/get greet"),
        (Some(Method::ResourcesRead), Some((Kind::Resource, "file:///a")), "resources/read"),
        (Some(Method::Other), None, "other"),
        (None, None, "POST"),
    ] {
        let trail = trail(method, "whatever a client writes");
        lead_to(&trail, "sums", capability);
        assert_eq!(both(&trail, false).0.name, name);
    }
}

#[test]
fn texts_of_clients_are_cut() {
    let long = "é".repeat(1000);
    for (method, attribute) in [
        (Method::ToolsCall, "gen_ai.tool.name"),
        (Method::PromptsGet, "gen_ai.prompt.name"),
        (Method::ResourcesRead, "mcp.resource.uri"),
    ] {
        let (server, _) = both(&trail(Some(method), &long), false);
        assert_eq!(text_of(&server, attribute), Some(&long[..MAX_TEXT]), "{attribute}");
    }
}

#[test]
fn a_client_is_told_apart_without_its_secrets() {
    let details = Details {
        method_name: Some("vendor/do".into()),
        id: Some(r#""seven""#.into()),
        user_agent: Some("agent/1".into()),
        session: Some("abc".into()),
        params: Some(bytes::Bytes::from_static(b"{\"password\":1}")),
        ..Details::default()
    };
    let asked = trail(Some(Method::Other), "").asked().clone();
    let trail = begin(Asked { era: Era::Modern, details: Some(Box::new(details)), ..asked });
    trail.note_client(|| Some(Client { name: "inspector".into(), version: "1".into() }.into()));
    trail.note_status(202);
    let (server, _) = both(&trail, false);
    for (name, text) in [
        ("mcp.method.name", "vendor/do"),
        ("jsonrpc.request.id", "seven"),
        ("user_agent.original", "agent/1"),
        // The beginning of SHA-256 of "abc" (FIPS 180-2, appendix B.1).
        ("mcp.session.id", "ba7816bf8f01cfea"),
        ("mcp.client.name", "inspector"),
        ("mcp.protocol.version", "2026-07-28"),
        ("client.address", "10.0.0.1"),
        ("http.request.method", "POST"),
    ] {
        assert_eq!(text_of(&server, name), Some(text), "{name}");
    }
    let status = ("http.response.status_code", AttributeValue::Int(202));
    assert!(server.attributes.contains(&status));
    assert!(!format!("{server:?}").contains("password"));
}

#[test]
fn an_error_counts_where_it_was_made() {
    let failed = |why| End::Failed { why, code: -32000, message: "why".into() };
    let error = |code| End::Error { code, message: "why".into() };
    let (yes, no) = (Some("why"), None);
    for (end, kind, at_vmcp, at_backend) in [
        (End::Answered, None, no, no),
        (End::ToolError, Some("tool_error"), Some(""), Some("")),
        (error(-32602), Some("-32602"), no, yes),
        (error(-32603), Some("-32603"), yes, yes),
        (failed(Why::Timeout), Some("timeout"), yes, yes),
        (failed(Why::Internal), Some("internal"), yes, yes),
        (failed(Why::Denied), Some("denied"), no, yes),
        (failed(Why::Cancelled), Some("cancelled"), no, no),
    ] {
        let trail = trail(Some(Method::ToolsCall), "add");
        trail.note_sent();
        trail.note_end(|| end.clone());
        let (server, client) = both(&trail, false);
        let client = client.unwrap();
        assert_eq!(server.error.as_deref(), at_vmcp, "{end:?}");
        assert_eq!(client.error.as_deref(), at_backend, "{end:?}");
        for span in [&server, &client] {
            assert_eq!(text_of(span, "error.type"), kind, "{end:?}");
        }
    }
    let long = End::Error { code: 1, message: "é".repeat(1000).into() };
    assert_eq!(error_at_vmcp(Some(&long)).map(|message| message.len()), Some(MAX_TEXT));
}

/// Receivers refuse what stands there twice.
#[test]
fn earlier_names_are_added_where_they_are_wanted() {
    let trail = trail(Some(Method::ToolsCall), "add");
    lead_to(&trail, "sums", Some((Kind::Tool, "add")));
    trail.note_sent();
    let (server, client) = both(&trail, true);
    for (name, text) in [
        ("mcp.method", "tools/call"),
        ("rpc.system", "jsonrpc"),
        ("rpc.service", "mcp"),
        ("mcp.tool.name", "add"),
        ("http.method", "POST"),
    ] {
        assert_eq!(text_of(&server, name), Some(text), "{name}");
        assert_eq!(text_of(&both(&trail, false).0, name), None, "{name}");
    }
    for span in [server, client.unwrap()] {
        let mut names: Vec<&str> = span.attributes.iter().map(|(name, _)| *name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{names:?}");
    }
}
