//! What records say.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::tempdir;
use vmcp_audit::{Auditor, Settings, reference};
use vmcp_model::{
    BackendId, Kind,
    trail::{Client, End, Target, Trail},
};

use crate::support::{SESSION, TOKEN, full_call, records, to, trail};

/// Notes all that can be noted.
fn note_everything(trail: &Trail) {
    trail.note_client(|| Some(Client { name: "inspector".into(), version: "2.1".into() }.into()));
    trail.note_target(|| Target {
        backend: Some(BackendId::new("jira").unwrap()),
        capability: Some((Kind::Tool, "jira_search".into())),
    });
    trail.note_end(|| End::Error { code: -32000, message: "no index".into() });
    trail.note_status(200);
    trail.note_response(&Bytes::from_static(b"{\"error\": {\"code\": -32000}}"));
}

/// The record of a call with everything, without what differs each time.
pub(crate) fn full_record(settings: impl FnOnce(Settings) -> Settings) -> Value {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let auditor = Auditor::start(settings(Settings {
        include_request_data: true,
        include_response_data: true,
        max_delegation_depth: 2,
        ..to(&path)
    }))
    .unwrap();
    let trail = trail(&auditor, full_call());
    note_everything(&trail);
    auditor.record(&trail, Duration::from_micros(12_345));
    assert_eq!(auditor.close().written, 1);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains(TOKEN) && !text.contains(SESSION), "{text}");
    records(&path).remove(0)
}

#[test]
fn a_record_says_all_that_is_known() {
    let mut record = full_record(|settings| settings);
    let fields = record.as_object_mut().unwrap();
    let id = fields.remove("audit_id").unwrap();
    let (time, logged_at) = (fields.remove("time"), fields.remove("logged_at"));
    assert_eq!(id.as_str().unwrap().len(), 36);
    assert_eq!(time, logged_at);
    assert_eq!(time.unwrap().as_str().unwrap().len(), "2026-01-01T00:00:00.000Z".len());
    assert_eq!(
        record,
        json!({
            "level": "AUDIT",
            "msg": "audit_event",
            "type": "mcp_tool_call",
            "outcome": "application_error",
            "component": "vmcp-server",
            "source": {
                "type": "network",
                "value": "192.0.2.7",
                "extra": {"user_agent": "agent/1.0", "request_id": "request-1"},
            },
            "subjects": {
                "user": "Alice",
                "user_id": "u-1",
                "issuer": "https://idp.example",
                "client_name": "inspector",
                "client_version": "2.1",
            },
            "delegation": {
                "actors": [
                    {"sub": "agent", "iss": "https://a", "client_id": "c"},
                    {"sub": "relay"},
                ],
                "truncated": true,
                "omitted": 1,
            },
            "target": {
                "endpoint": "/mcp",
                "method": "tools/call",
                "type": "tool",
                "name": "jira_search",
                "backend": "jira",
            },
            "metadata": {"extra": {
                "duration_ms": 12.345,
                "transport": "http",
                "response_size_bytes": 27,
                "backend_name": "jira",
                "jsonrpc_error_code": -32000,
                "jsonrpc_error_message": "no index",
                "http_status": 200,
                "trace_id": "4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b",
                // printf %s MARKED-SESSION | sha256sum
                "session": "6ff4311aabfe3f05",
            }},
            "data": {
                "request": {"name": "jira_search", "big": 12345678901234567890123.0},
                "response": {"error": {"code": -32000}},
            },
        })
    );
}

/// The paths of all values that are not objects, elements of arrays as one.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let data = ["data.request", "data.response"].contains(&path);
    match value {
        Value::Object(members) if !data => {
            for (name, value) in members {
                let separator = if path.is_empty() { "" } else { "." };
                paths(value, &format!("{path}{separator}{name}"), found);
            }
        }
        Value::Array(elements) if !data => {
            elements.iter().for_each(|element| paths(element, &format!("{path}[]"), found));
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn the_reference_names_every_field_and_no_other() {
    let mut found = BTreeSet::new();
    paths(&full_record(|settings| settings), "", &mut found);
    paths(&full_record(|settings| Settings { max_data_size: 4, ..settings }), "", &mut found);
    // What only other records have.
    found.extend(["metadata.extra.reason", "metadata.extra.dropped"].map(str::to_owned));
    let table = reference();
    let named = table.lines().skip(2).map(|row| row.split('`').nth(1).unwrap().to_owned());
    assert_eq!(named.collect::<BTreeSet<_>>(), found);
    assert!(table.lines().skip(2).all(|row| row.matches(" | ").count() == 2), "{table}");
}
