//! What is measured, and how good it must be: the bars of the design's section on speed.

use std::time::Duration;

use crate::{
    client::message::Request,
    load::{Pace, Work},
};

/// Where nginx has the bytes of vmcp's list: in the legacy era, and in the modern one.
pub(crate) const LIST_FILES: [&str; 2] = ["/files/list.json", "/files/modern-list.json"];
/// Backends that the list is merged from.
pub(crate) const LIST_BACKENDS: usize = 20;

/// The case that has a vmcp of its own.
pub(crate) const LIST: &str = "tools/list";
/// What is measured without nginx.
pub(crate) const MEMORY: &str = "memory of idle sessions";
/// What it costs that replicas share their records.
pub(crate) const SHARED: &str = "records in Redis";

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) connections: usize,
    pub(crate) nginx: Work,
    pub(crate) vmcp: Work,
    pub(crate) bar: Option<Bar>,
}

/// How many times what nginx needs may be needed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    /// CPU time per call.
    Cpu(f64),
    /// Median latency beyond that of the backend itself, which is therefore measured too.
    LatencyAdded(f64),
}

/// How often and how long each case is driven.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) pace: Pace,
}

impl Plan {
    pub(crate) fn new(quick: bool, threads: usize) -> Self {
        let milliseconds = Duration::from_millis;
        let (rounds, warm_up, measured) = if quick { (3, 250, 1250) } else { (5, 500, 3000) };
        let pace =
            Pace { warm_up: milliseconds(warm_up), measured: milliseconds(measured), threads };
        Self { rounds, pace }
    }
}

/// The cases in front of one backend whose names hold this text.
pub(crate) fn calls(quick: bool, only: &str) -> Vec<Case> {
    const KB: usize = 1024;
    let both = |name: &str, connections, work, bar| Case {
        name: name.to_owned(),
        connections,
        nginx: work,
        vmcp: work,
        bar,
    };
    let modern = |name, request, bar| both(name, 16, Work::AskModern(request), bar);
    let ask = |name, connections, request, bar| both(name, connections, Work::Ask(request), bar);
    let mut cases = vec![
        ask("tools/call 64 B", 16, Request::Echo(64), Some(Bar::Cpu(2.5))),
        ask("tools/call 4 KB", 16, Request::Echo(4 * KB), Some(Bar::Cpu(2.5))),
        ask("tools/call 64 KB", 16, Request::Echo(64 * KB), Some(Bar::Cpu(3.5))),
        ask("tools/call 64 B", 1, Request::Echo(64), Some(Bar::LatencyAdded(2.0))),
        modern("modern tools/call 64 B", Request::Echo(64), Some(Bar::Cpu(2.5))),
    ];
    if !quick {
        cases.extend([
            modern("modern tools/call 4 KB", Request::Echo(4 * KB), Some(Bar::Cpu(2.5))),
            modern("modern tools/call 64 KB", Request::Echo(64 * KB), Some(Bar::Cpu(3.5))),
            ask("tools/call 64 B", 256, Request::Echo(64), None),
            ask("result of 1 MiB", 16, Request::Fill(KB * KB), None),
            ask("SSE answer 64 B", 16, Request::Stream(64), None),
            both("initialize+DELETE", 16, Work::Cycle, Some(Bar::Cpu(4.0))),
        ]);
    }
    cases.retain(|case| case.name.contains(only));
    cases
}

/// The list of many backends, against a file that holds the same bytes.
pub(crate) fn list(tools: usize, bytes: usize, is_modern: bool) -> Case {
    let (before, vmcp) = if is_modern {
        ("modern ", Work::AskModern(Request::List))
    } else {
        ("", Work::Ask(Request::List))
    };
    Case {
        name: format!("{before}{LIST} {tools} ({} KB)", bytes / 1024),
        connections: 16,
        nginx: Work::File(LIST_FILES[usize::from(is_modern)]),
        vmcp,
        bar: Some(Bar::Cpu(1.5)),
    }
}
