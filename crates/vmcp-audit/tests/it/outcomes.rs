//! Which type and which outcome a record has, and which are filtered out.

use std::time::Duration;

use tempfile::tempdir;
use vmcp_audit::{Auditor, EventType, Settings};
use vmcp_model::{
    Method,
    trail::{Asked, Details, End, Via, Why},
};

use crate::support::{asked, caller, records, to, trail};

fn failed(why: Why) -> Option<End> {
    Some(End::Failed { why, code: -32603, message: "no".into() })
}

/// Records these in a row, and returns `type method outcome reason` of each.
fn check(settings: Settings, trails: Vec<(Asked, Option<End>, u16)>) -> Vec<String> {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let auditor = Auditor::start(Settings { ..with_path(settings, &path) }).unwrap();
    for (asked, end, status) in trails {
        let trail = trail(&auditor, asked);
        if let Some(end) = end {
            trail.note_end(|| end);
        }
        trail.note_status(status);
        auditor.record(&trail, Duration::ZERO);
    }
    auditor.close();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
    let line = |record: &serde_json::Value| {
        let reason = &record["metadata"]["extra"]["reason"];
        [&record["type"], &record["target"]["method"], &record["outcome"], reason]
            .map(text)
            .join(" ")
    };
    records(&path).iter().map(line).collect()
}

fn with_path(settings: Settings, path: &std::path::Path) -> Settings {
    Settings { output: to(path).output, ..settings }
}

#[test]
fn each_way_to_end_has_its_outcome() {
    let error = || Some(End::Error { code: -32000, message: "no".into() });
    let table = [
        (Some(End::Answered), 200, "success -"),
        (Some(End::Answered), 404, "failure -"),
        (Some(End::Answered), 503, "error -"),
        (Some(End::ToolError), 200, "application_error -"),
        (error(), 200, "application_error -"),
        (failed(Why::Unauthenticated), 401, "denied unauthenticated"),
        (failed(Why::Denied), 200, "denied denied"),
        (failed(Why::Invalid), 400, "failure invalid"),
        (failed(Why::Invalid), 403, "denied invalid"),
        (failed(Why::OverBound), 429, "failure over_bound"),
        (failed(Why::Unavailable), 503, "error unavailable"),
        (failed(Why::Backend), 200, "error backend"),
        (failed(Why::Timeout), 200, "error timeout"),
        (failed(Why::Cancelled), 200, "failure cancelled"),
        (failed(Why::Internal), 500, "error internal"),
        (None, 0, "failure abandoned"),
        (None, 200, "failure abandoned"),
        (None, 202, "success -"),
        (None, 401, "denied -"),
        (None, 404, "failure -"),
        (None, 503, "error -"),
    ];
    for method in [Method::ToolsCall, Method::Ping, Method::ResourcesSubscribe] {
        let trails = table.iter().map(|(end, status, _)| (asked(method), end.clone(), *status));
        let lines = check(Settings::default(), trails.collect());
        let begin = EventType::of(&trail_of(method));
        let expected = table.iter().map(|(_, _, end)| format!("{} {method} {end}", begin.name()));
        assert_eq!(lines, expected.collect::<Vec<_>>());
    }
}

/// A trail that nobody records.
fn trail_of(method: Method) -> std::sync::Arc<vmcp_model::trail::Trail> {
    let auditor = Auditor::start(Settings::default()).unwrap();
    trail(&auditor, asked(method))
}

#[test]
fn errors_of_applications_count_only_where_they_are_looked_for() {
    let settings = Settings { detect_application_errors: false, ..Settings::default() };
    let error = Some(End::Error { code: -32000, message: "no".into() });
    let call = || asked(Method::ToolsCall);
    let lines = check(settings, vec![(call(), Some(End::ToolError), 200), (call(), error, 200)]);
    assert_eq!(lines, vec!["mcp_tool_call tools/call success -"; 2]);
}

#[test]
fn each_method_has_its_type() {
    let answered = |asked| (asked, Some(End::Answered), 200);
    let trails = Method::ALL.map(|method| answered(asked(method)));
    let lines = check(Settings::default(), trails.into());
    let expected = "mcp_initialize initialize
        mcp_ping ping
        mcp_request server/discover
        mcp_tools_list tools/list
        mcp_tool_call tools/call
        mcp_resources_list resources/list
        mcp_request resources/templates/list
        mcp_resource_read resources/read
        mcp_request resources/subscribe
        mcp_request resources/unsubscribe
        mcp_prompts_list prompts/list
        mcp_prompt_get prompts/get
        mcp_completion completion/complete
        mcp_logging logging/setLevel
        mcp_request subscriptions/listen
        mcp_request tasks/list
        mcp_request tasks/get
        mcp_request tasks/result
        mcp_request tasks/update
        mcp_request tasks/cancel
        mcp_request sampling/createMessage
        mcp_request elicitation/create
        mcp_request roots/list
        mcp_notification notifications/initialized
        mcp_notification notifications/cancelled
        mcp_notification notifications/progress
        mcp_notification notifications/message
        mcp_notification notifications/tools/list_changed
        mcp_notification notifications/resources/list_changed
        mcp_notification notifications/resources/updated
        mcp_notification notifications/prompts/list_changed
        mcp_roots_list_changed notifications/roots/list_changed
        mcp_notification notifications/tasks/status
        mcp_notification notifications/tasks
        mcp_notification notifications/elicitation/complete
        mcp_notification notifications/subscriptions/acknowledged
        mcp_notification other";
    let expected: Vec<_> =
        expected.lines().map(|line| format!("{} success -", line.trim())).collect();
    assert_eq!(lines, expected);
}

#[test]
fn what_has_no_method_is_told_by_how_it_came() {
    let named = |name: &str, id: Option<&str>| Asked {
        details: Some(Box::new(Details {
            method_name: Some(name.into()),
            id: id.map(Into::into),
            ..Details::default()
        })),
        ..asked(Method::Other)
    };
    let by = |via| Asked { via, method: None, ..asked(Method::Other) };
    let trails = vec![
        (named("their/own", Some("1")), Some(End::Answered), 200),
        (named("notifications/their/own", None), Some(End::Answered), 202),
        // Whatever they are called.
        (named("notifications/their/own", Some("1")), Some(End::Answered), 200),
        (named("tools/call", None), Some(End::Answered), 202),
        (by(Via::Get), None, 200),
        (by(Via::Get), failed(Why::Unauthenticated), 401),
        (by(Via::Delete), Some(End::Answered), 204),
        (by(Via::Delete), None, 404),
        // An answer to a question of the server.
        (by(Via::Post), None, 202),
        (by(Via::Post), failed(Why::Unauthenticated), 401),
        (by(Via::Post), failed(Why::OverBound), 413),
    ];
    let expected = [
        "mcp_request their/own success -",
        "mcp_notification notifications/their/own success -",
        "mcp_request notifications/their/own success -",
        "mcp_notification tools/call success -",
        "sse_connection GET success -",
        "sse_connection GET denied unauthenticated",
        "http_request DELETE success -",
        "http_request DELETE failure -",
        "mcp_request POST success -",
        "http_request POST denied unauthenticated",
        "http_request POST failure over_bound",
    ];
    assert_eq!(check(Settings::default(), trails), expected);
}

#[test]
fn filters_choose_what_is_recorded() {
    use EventType::{Ping, SseConnection, ToolCall};
    let check = |event_types: &[EventType], exclude: &[EventType]| {
        let settings = Settings {
            event_types: event_types.to_vec(),
            exclude: exclude.to_vec(),
            ..Settings::default()
        };
        let stream = Asked { via: Via::Get, method: None, ..asked(Method::Other) };
        let asked = [asked(Method::ToolsCall), asked(Method::Ping), stream];
        let lines = check(settings, asked.map(|asked| (asked, Some(End::Answered), 200)).into());
        let types = lines.iter().filter_map(|line| line.split(' ').next()).map(str::to_owned);
        types.collect::<Vec<_>>()
    };
    assert_eq!(check(&[], &[]), ["mcp_tool_call", "mcp_ping", "sse_connection"]);
    assert_eq!(check(&[Ping, SseConnection], &[]), ["mcp_ping", "sse_connection"]);
    assert_eq!(check(&[], &[ToolCall]), ["mcp_ping", "sse_connection"]);
    assert_eq!(check(&[Ping, ToolCall], &[Ping]), ["mcp_tool_call"]);
    assert!(check(&[EventType::WorkflowFailed], &[]).is_empty());
}

#[test]
fn types_are_found_by_their_names() {
    for event_type in EventType::ALL {
        assert_eq!(EventType::from_name(event_type.name()), Some(event_type));
    }
    for name in ["sse_connection", "vmcp_workflow_step_skipped", "http_request"] {
        assert!(EventType::from_name(name).is_some(), "{name}");
    }
    assert_eq!(EventType::from_name("audit_gap"), None);
}

#[test]
fn users_are_named_by_the_first_claim_that_does() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let auditor = Auditor::start(to(&path)).unwrap();
    let table = [
        (r#"{"sub":"1","name":"Alice","preferred_username":"al","email":"a@b"}"#, "Alice"),
        (r#"{"sub":"1","name":"","preferred_username":"al","email":"a@b"}"#, "al"),
        (r#"{"sub":"1","name":{"first":"A"},"email":"a@b"}"#, "a@b"),
        (r#"{"sub":"1"}"#, "anonymous"),
        ("no claims", "anonymous"),
    ];
    for (claims, _) in table {
        let asked = Asked { identity: Some(caller(claims)), ..asked(Method::Ping) };
        auditor.record(&trail(&auditor, asked), Duration::ZERO);
    }
    let claims = r#"{"client_name":"cli","client_version":"3"}"#;
    let asked = Asked { identity: Some(caller(claims)), ..asked(Method::Ping) };
    auditor.record(&trail(&auditor, asked), Duration::ZERO);
    auditor.close();
    let records = records(&path);
    let users = records.iter().map(|record| record["subjects"]["user"].as_str().unwrap());
    let expected = table.iter().map(|(_, user)| *user).chain(["anonymous"]);
    assert_eq!(users.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    let last = &records[table.len()]["subjects"];
    assert_eq!((&last["client_name"], &last["client_version"]), (&"cli".into(), &"3".into()));
}
