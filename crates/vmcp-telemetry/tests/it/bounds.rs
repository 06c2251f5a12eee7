//! However many names there are, and however often they change, there are so many series and no more.

use std::{sync::mpsc::sync_channel, thread, time::Duration};

use allocation_counter::measure;
use vmcp_model::{
    Method,
    trail::{End, Why},
};
use vmcp_telemetry::catalogue::requests::{
    BACKEND_REQUESTS, CLIENT_DURATION, REQUESTS, SERIES, SERIES_DROPPED, SERVER_DURATION,
    TOOL_CALLS,
};

use crate::support::{Request, Server, call, metrics, points, sum, without_target};

#[test]
fn the_series_that_was_unused_longest_is_folded() {
    let metrics = metrics(4);
    let server = Server::new(&metrics);
    for tool in ["a", "b", "c", "d", "a", "e", "b"] {
        server.call(tool);
    }
    // `e` has pushed out `b`, and `c` for what stands for those that are folded; `b`, which came again, `d`.
    let families = metrics.families();
    let mut calls = points(&families, &TOOL_CALLS);
    calls.sort();
    let expected = [("a", 2), ("b", 1), ("e", 1), ("other", 3)];
    let expected =
        expected.map(|(tool, count)| (format!("server=vmcp tool={tool} status=success"), count));
    assert_eq!(calls, expected);
    assert_eq!(sum(&families, &SERIES, ""), 4);
    assert_eq!(sum(&families, &SERIES_DROPPED, ""), 3);
    // Its backend is still told.
    assert_eq!(sum(&families, &BACKEND_REQUESTS, "target.workload_name=jira tool_name=other"), 3);
    assert_eq!(sum(&families, &CLIENT_DURATION, "target.workload_name=jira"), 7);
}

#[test]
fn a_series_that_is_used_again_is_not_among_the_oldest_any_more() {
    let metrics = metrics(65);
    let server = Server::new(&metrics);
    (0..64).for_each(|number| server.call(&format!("t{number}.")));
    server.call("x0.");
    // The oldest are looked for a few at a time; between, some of these are used.
    for number in 1..20 {
        server.call(&format!("x{number}."));
        server.call("t2.");
        server.call("t4.");
    }
    let families = metrics.families();
    assert_eq!(sum(&families, &SERIES_DROPPED, ""), 20);
    assert_eq!(sum(&families, &TOOL_CALLS, "tool=t2."), 20);
    let calls = points(&families, &TOOL_CALLS);
    for number in 0..64 {
        let is_there = calls.iter().any(|(call, _)| call.contains(&format!("tool=t{number}.")));
        assert_eq!(is_there, matches!(number, 2 | 4 | 22..), "t{number}");
    }
}

#[test]
fn backends_are_told_until_there_are_no_names_left_to_fold() {
    let metrics = metrics(4);
    let server = Server::new(&metrics);
    let at = |backend| Request { backend: Some(backend), ..call("search") };
    let shown = || {
        let mut shown = points(&metrics.families(), &CLIENT_DURATION);
        shown.iter_mut().for_each(|(attributes, _)| {
            *attributes =
                attributes.replace("mcp.method.name=tools/call target.workload_name=", "");
        });
        shown.sort();
        shown
    };
    let expect = |expected: &[(&str, u64)]| {
        let expected: Vec<_> =
            expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        assert_eq!(shown(), expected);
    };
    for backend in ["a", "b", "a", "b"] {
        server.serve(&at(backend));
    }
    server.call("x");
    server.call("y");
    server.serve(&at("c"));
    // Nothing has a name now but the newest.
    expect(&[("a", 2), ("b", 2), ("c", 1), ("jira", 2)]);
    server.serve(&at("d"));
    expect(&[("b", 2), ("c", 1), ("d", 1), ("jira", 2), ("other", 0)]);
    server.serve(&at("a"));
    expect(&[("a", 1), ("c", 1), ("d", 1), ("jira", 2), ("other", 0)]);
    assert_eq!(sum(&metrics.families(), &SERIES, ""), 4);
}

#[test]
fn a_series_that_another_thread_uses_is_not_unused() {
    let metrics = metrics(3);
    let (ask, asked) = sync_channel::<&str>(0);
    let (tell, told) = sync_channel::<()>(0);
    let (here, there) = (Server::new(&metrics), Server::new(&metrics));
    let thread = thread::spawn(move || {
        while let Ok(tool) = asked.recv() {
            there.call(tool);
            tell.send(()).unwrap();
        }
    });
    let call_there = |tool| {
        ask.send(tool).unwrap();
        told.recv().unwrap();
    };
    here.call("a");
    here.call("b");
    (0..5).for_each(|_| call_there("a"));
    here.call("c");
    here.call("d");
    let has = |tool: &str| sum(&metrics.families(), &TOOL_CALLS, &format!("tool={tool}"));
    assert_eq!((has("a"), has("b"), has("other")), (6, 0, 2));
    // Folded here, it begins anew there.
    (0..20).for_each(|number| here.call(&format!("x{number}")));
    assert_eq!(has("a"), 0);
    call_there("a");
    assert_eq!(has("a"), 1);
    assert_eq!(sum(&metrics.families(), &CLIENT_DURATION, ""), 6 + 1 + 1 + 1 + 20 + 1);
    drop(ask);
    thread.join().unwrap();
    assert_eq!(sum(&metrics.families(), &CLIENT_DURATION, ""), 30);
}

#[test]
fn sums_without_names_never_go_down() {
    let metrics = metrics(60);
    let server = Server::new(&metrics);
    let failed = End::Failed { why: Why::Timeout, code: -32603, message: "late".into() };
    let groups = [
        ("mcp.method.name=tools/call error.type=timeout", Some(failed)),
        ("mcp.method.name=tools/call error.type=tool_error", Some(End::ToolError)),
    ];
    for number in 1..200 {
        for (group, end) in &groups {
            server.serve(&Request { end: end.clone(), ..call(&format!("t{}", number % 90)) });
            assert_eq!(sum(&metrics.families(), &CLIENT_DURATION, group), number, "{group}");
        }
        server.serve(&without_target(Method::ALL[usize::try_from(number).unwrap() % 37]));
    }
    assert_eq!(sum(&metrics.families(), &SERIES, ""), 60);
}

#[test]
fn memory_stays_flat_with_names_that_come_and_go_for_ever() {
    const MAX: usize = 2_000;
    let metrics = metrics(MAX);
    let server = Server::new(&metrics);
    // A thread that has counted much and does nothing more holds no more than what it has counted.
    let (idle, other) = (Server::new(&metrics), sync_channel::<()>(0));
    let (wait, waits) = other;
    let (begun, begins) = sync_channel::<()>(0);
    let thread = thread::spawn(move || {
        (0..3_000).for_each(|number| idle.call(&format!("idle{number}")));
        begun.send(()).unwrap();
        let _ended = waits.recv();
    });
    begins.recv().unwrap();
    let churn = |from: u64, to: u64| {
        for number in from..to {
            server.call(&format!("tool-{number}"));
        }
    };
    churn(0, 40_000);
    let later = measure(|| churn(40_000, 80_000));
    assert!(later.bytes_current.abs() < 50_000, "{later:?}");
    assert!(later.bytes_max < 1_000_000, "{later:?}");
    let families = metrics.families();
    assert_eq!(sum(&families, &SERIES, ""), 2_000);
    for metric in [&REQUESTS, &TOOL_CALLS, &SERVER_DURATION, &BACKEND_REQUESTS] {
        assert_eq!(points(&families, metric).len(), MAX, "{}", metric.name);
        assert_eq!(sum(&families, metric, ""), 83_000, "{}", metric.name);
    }
    assert_eq!(sum(&families, &SERIES_DROPPED, ""), 81_001);
    drop(wait);
    thread.join().unwrap();
    assert_eq!(sum(&metrics.families(), &REQUESTS, ""), 83_000);
}

#[test]
fn counting_in_a_series_that_exists_allocates_nothing() {
    let metrics = metrics(100);
    let server = Server::new(&metrics);
    for tool in ["search", "line\nbreak", &"long".repeat(100)] {
        let trail = server.trail(&call(tool));
        metrics.count(&trail, Duration::from_millis(3));
        let counting = measure(|| {
            for milliseconds in 0..1_000 {
                metrics.count(&trail, Duration::from_millis(milliseconds));
            }
        });
        assert_eq!(counting.count_total, 0, "{tool:?}: {counting:?}");
    }
    assert_eq!(sum(&metrics.families(), &REQUESTS, ""), 3 * 1_002);
}
