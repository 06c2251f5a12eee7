//! Whoever is shown records beside the output.

use std::sync::{Arc, Mutex};

use vmcp_audit::{Also, Auditor, Output, Settings};
use vmcp_model::{Method, trace::Trace, trail::Asked};

use crate::support::{asked, trail};

/// Each record is shown once, as it is written, with the span that it belongs to.
#[test]
fn records_are_shown_to_others_though_they_are_written_nowhere() {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&shown);
    let also: Also = Box::new(move |record| {
        let line: serde_json::Value = serde_json::from_slice(record.line).unwrap();
        seen.lock().unwrap().push((line["type"].as_str().unwrap().to_owned(), record.trace));
    });
    let settings = Settings { output: Output::Nowhere, ..Settings::default() };
    let auditor = Auditor::start_with(settings, Some(also)).unwrap();
    let trace = Trace {
        trace: [7; 16],
        span: [8; 8],
        onward: [9; 8],
        parent: None,
        sampled: true,
        state: None,
    };
    for asked in [asked(Method::Ping), Asked { trace: Some(trace), ..asked(Method::ToolsCall) }] {
        auditor.record(&trail(&auditor, asked), std::time::Duration::ZERO);
    }
    assert_eq!(auditor.close().written, 2);
    let expected = [("mcp_ping", None), ("mcp_tool_call", Some(([7; 16], [8; 8])))];
    assert_eq!(*shown.lock().unwrap(), expected.map(|(name, trace)| (name.to_owned(), trace)));
}
