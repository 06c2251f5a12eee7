//! What is measured, and how good it must be: the bars of the design's section on speed.

use crate::{
    client::message::Request,
    load::Work,
    setup::{Setup, Told},
};

/// Where nginx has the bytes of vmcp's list: in the legacy era, and in the modern one.
pub(crate) const LIST_FILES: [&str; 2] = ["/files/list.json", "/files/modern-list.json"];

/// What nginx and vmcp add to the time of a call.
pub(crate) const LATENCY: &str = "latency added";
/// vmcp against itself: many sessions against none, many tools against few.
pub(crate) const IDLE: &str = "idle sessions";
pub(crate) const CATALOG: &str = "size of the catalog";
/// vmcp against itself: a client of the modern era against one of the legacy era, before a backend of
/// the latter.
pub(crate) const ACROSS: &str = "modern client, legacy backend";
/// What is measured without load.
pub(crate) const MEMORY: &str = "memory of idle sessions";
/// What it costs that replicas share their records.
pub(crate) const SHARED: &str = "records in Redis";

const KB: usize = 1024;

/// vmcp against nginx.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) connections: usize,
    pub(crate) backends: Backends,
    pub(crate) setup: Setup,
    pub(crate) nginx: Work,
    pub(crate) vmcp: Work,
    pub(crate) bar: Option<Bar>,
    /// Whether it is part of a quick run.
    pub(crate) quick: bool,
}

/// What is behind vmcp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backends {
    One,
    /// One that speaks the legacy era only.
    Legacy,
    Many(Many),
}

/// So many backends, with so many tools each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Many {
    pub(crate) backends: usize,
    pub(crate) tools: usize,
}

impl Many {
    /// What large installations have.
    pub(crate) const TYPICAL: Self = Self { backends: 20, tools: 50 };
    /// As many backends with a tool each.
    pub(crate) const SPARSE: Self = Self { backends: 20, tools: 1 };
    /// What the bars of memory are about.
    pub(crate) const TEN: Self = Self { backends: 10, tools: 50 };
}

/// How much of a figure there may be, in that of what it is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bar {
    pub(crate) of: Judged,
    pub(crate) limit: Limit,
}

/// What a bar is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    Cpu,
    P99,
    /// Median latency beyond that of the backend itself, which is therefore measured too.
    LatencyAdded,
}

/// What must be reached, and what should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limit {
    pub(crate) bar: f64,
    pub(crate) aim: Option<f64>,
}

impl Limit {
    pub(crate) const fn new(bar: f64, aim: f64) -> Self {
        Self { bar, aim: Some(aim) }
    }

    pub(crate) const fn bar(bar: f64) -> Self {
        Self { bar, aim: None }
    }
}

/// Of a call, at 16 connections.
const CALL: Bar = Bar { of: Judged::Cpu, limit: Limit::new(2.5, 1.5) };
/// The same with all that a company switches on.
const FULL_CALL: Bar = Bar { of: Judged::Cpu, limit: Limit::new(1.6, 1.3) };
const LARGE_CALL: Bar = Bar { of: Judged::Cpu, limit: Limit::new(3.5, 1.5) };
const LIST: Bar = Bar { of: Judged::Cpu, limit: Limit::new(1.5, 1.0) };
const CYCLE: Bar = Bar { of: Judged::Cpu, limit: Limit::bar(4.0) };
pub(crate) const LATENCY_ADDED: Bar = Bar { of: Judged::LatencyAdded, limit: Limit::new(2.0, 1.0) };
/// A session that does nothing must not be felt by one that calls.
pub(crate) const BESIDE_IDLE: Bar = Bar { of: Judged::P99, limit: Limit::bar(1.2) };
/// A call must not cost more the more tools there are. The bar leaves room for what one process
/// differs from another that does the same, which is two or three percent.
pub(crate) const LARGER_CATALOG: Bar = Bar { of: Judged::Cpu, limit: Limit::bar(1.05) };

/// A call must not cost much more because its backend speaks the other era.
pub(crate) const ACROSS_ERAS: Bar = Bar { of: Judged::Cpu, limit: Limit::new(1.3, 1.0) };

/// vmcp against itself: what it costs to tell what was done, each with its bar. That of metrics and traces is one of
/// instructions, which `vmcp-bench instructions` counts.
pub(crate) const TOLD: [(&str, Told, Option<Bar>); 3] = [
    ("metrics on", Told::Metrics, None),
    ("audit to a file", Told::Audit, Some(Bar { of: Judged::Cpu, limit: Limit::bar(1.05) })),
    ("1% of traces", Told::Traces, None),
];

/// The cases of this run.
pub(crate) fn cases(quick: bool, only: &str) -> Vec<Case> {
    let chosen = |case: &Case| (case.quick || !quick) && case.name.contains(only);
    all().into_iter().filter(chosen).collect()
}

fn all() -> Vec<Case> {
    use Request::{Echo, Fill, OfMany, Stream};
    let case = |name, connections, work, bar| Case {
        name,
        connections,
        backends: Backends::One,
        setup: Setup::PLAIN,
        nginx: work,
        vmcp: work,
        bar,
        quick: false,
    };
    let ask = |name, connections, request, bar| case(name, connections, Work::Ask(request), bar);
    let modern = |name, request, bar| case(name, 16, Work::AskModern(request), bar);
    let before_many = |case: Case| Case { backends: Backends::Many(Many::TYPICAL), ..case };
    let list = |name, file, vmcp| {
        let of_file = Case { nginx: Work::File(file), ..case(name, 16, vmcp, Some(LIST)) };
        before_many(of_file)
    };
    let full = ask("tools/call, everything on", 16, Echo(64), Some(FULL_CALL));
    let full = Case { setup: Setup::EVERYTHING, ..full };
    let quick = |case: Case| Case { quick: true, ..case };
    vec![
        quick(ask("tools/call 64 B", 16, Echo(64), Some(CALL))),
        quick(full),
        ask("tools/call 4 KB", 16, Echo(4 * KB), Some(CALL)),
        quick(ask("tools/call 64 KB", 16, Echo(64 * KB), Some(LARGE_CALL))),
        ask("tools/call 64 B", 256, Echo(64), None),
        ask("result of 1 MiB", 16, Fill(KB * KB), None),
        ask("SSE answer 64 B", 16, Stream(64), None),
        quick(modern("modern tools/call 64 B", Echo(64), Some(CALL))),
        modern("modern tools/call 64 KB", Echo(64 * KB), Some(LARGE_CALL)),
        modern("modern SSE answer 64 B", Stream(64), None),
        case("initialize+DELETE", 16, Work::Cycle, Some(CYCLE)),
        before_many(ask("tools/call 64 B of 1000 tools", 16, OfMany(64), Some(CALL))),
        quick(list("tools/list 1000 tools", LIST_FILES[0], Work::Ask(Request::List))),
        list("modern tools/list 1000 tools", LIST_FILES[1], Work::AskModern(Request::List)),
    ]
}

#[cfg(test)]
mod tests {
    use super::cases;

    #[test]
    fn a_quick_run_is_a_part_of_a_full_one() {
        let (quick, full) = (cases(true, ""), cases(false, ""));
        assert!(!quick.is_empty() && quick.len() < full.len() / 2, "{quick:?}");
    }

    #[test]
    fn cases_are_chosen_by_their_names() {
        let names: Vec<_> = cases(false, "list").into_iter().map(|case| case.name).collect();
        assert_eq!(names, ["tools/list 1000 tools", "modern tools/list 1000 tools"]);
    }
}
