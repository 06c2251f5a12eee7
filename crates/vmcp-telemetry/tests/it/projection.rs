//! What requests become in metrics.

use std::time::Duration;

use vmcp_model::{
    Era, Kind, Method,
    trail::{End, Via, Why},
};
use vmcp_telemetry::{
    catalogue::requests::{
        BACKEND_DURATION, BACKEND_ERRORS, BACKEND_REQUESTS, CLIENT_DURATION, REQUEST_DURATION,
        REQUESTS, SERIES, SERIES_DROPPED, SERVER_DURATION, TOOL_CALLS,
    },
    family::{Family, Metric, Value},
    metrics::{Metrics, Settings},
};

use crate::{
    example,
    support::{Request, Server, call, metrics, points, sum, without_target},
};

fn after(requests: &[Request]) -> Vec<Family> {
    let metrics = metrics(100);
    let server = Server::new(&metrics);
    requests.iter().for_each(|request| server.serve(request));
    metrics.families()
}

fn only(families: &[Family], metric: &'static Metric) -> String {
    let points = points(families, metric);
    let [(attributes, 1)] = points.as_slice() else { panic!("{}: {points:?}", metric.name) };
    attributes.clone()
}

#[test]
fn a_call_is_in_all_metrics_of_requests() {
    let families = after(&[call("search")]);
    for (metric, attributes) in [
        (
            &SERVER_DURATION,
            "mcp.method.name=tools/call mcp.protocol.version=2025-11-25 network.transport=tcp \
             gen_ai.operation.name=execute_tool gen_ai.tool.name=search",
        ),
        (&CLIENT_DURATION, "mcp.method.name=tools/call target.workload_name=jira"),
        (
            &REQUESTS,
            "method=POST status_code=200 status=success mcp_method=tools/call \
             mcp_resource_id=search server=vmcp transport=streamable-http",
        ),
        (
            &REQUEST_DURATION,
            "method=POST status_code=200 status=success mcp_method=tools/call \
             mcp_resource_id=search server=vmcp transport=streamable-http",
        ),
        (&TOOL_CALLS, "server=vmcp tool=search status=success"),
        (
            &BACKEND_REQUESTS,
            "target.workload_id=jira target.workload_name=jira action=call_tool \
             mcp.method.name=tools/call tool_name=search gen_ai.tool.name=search",
        ),
        (
            &BACKEND_DURATION,
            "target.workload_id=jira target.workload_name=jira action=call_tool \
             mcp.method.name=tools/call tool_name=search gen_ai.tool.name=search",
        ),
    ] {
        assert_eq!(only(&families, metric), attributes, "{}", metric.name);
    }
    assert_eq!(points(&families, &BACKEND_ERRORS), []);
}

#[test]
fn metrics_of_toolhive_are_left_out_if_they_are_not_wanted() {
    let settings = Settings { max_series: 10, legacy: false, server: "vmcp".to_owned() };
    let metrics = std::sync::Arc::new(Metrics::new(settings));
    Server::new(&metrics).serve(&call("search"));
    let families = metrics.families();
    let names: Vec<_> = families.iter().map(|family| family.metric.name).collect();
    let expected = [&SERVER_DURATION, &CLIENT_DURATION, &SERIES, &SERIES_DROPPED];
    assert_eq!(names, expected.map(|metric| metric.name));
    assert!(only(&families, &SERVER_DURATION).contains("gen_ai.tool.name=search"));
    assert!(only(&families, &CLIENT_DURATION).contains("target.workload_name=jira"));
}

#[test]
fn times_are_until_the_end_and_until_the_backend_begins_to_answer() {
    let metrics = metrics(100);
    let server = Server::new(&metrics);
    let trail = server.trail(&call("search"));
    server.wait(Duration::from_millis(90));
    drop(trail);
    // Sent once more, and never answered.
    let trail = server.trail(&call("search"));
    server.wait(Duration::from_secs(1));
    trail.note_sent();
    server.wait(Duration::from_secs(2));
    drop(trail);
    let families = metrics.families();
    for (metric, bucket, sum) in [
        (&SERVER_DURATION, [(3, 1), (8, 1)], 0.1 + 3.01),
        (&CLIENT_DURATION, [(0, 1), (7, 1)], 0.008 + 2.0),
    ] {
        let family = families.iter().find(|family| family.metric == metric).unwrap();
        let [point] = family.points.as_slice() else { panic!("{family:?}") };
        let Value::Histogram(histogram) = &point.value else { panic!("{point:?}") };
        let mut counts = vec![0; 15];
        bucket.into_iter().for_each(|(place, count)| counts[place] = count);
        assert_eq!(histogram.counts, counts, "{}", metric.name);
        assert!((histogram.sum - sum).abs() < 1e-9, "{} is {}", metric.name, histogram.sum);
    }
}

#[test]
fn errors_are_told_apart_by_what_went_wrong() {
    let error = |code| Some(End::Error { code, message: "gone".into() });
    let failed = |why| Some(End::Failed { why, code: -32603, message: "no".into() });
    for (end, status, expected) in [
        (Some(End::Answered), 200, ""),
        (Some(End::ToolError), 200, "tool_error"),
        (error(-32602), 200, "-32602"),
        (error(-32042), 200, "-32042"),
        (error(7), 200, "_OTHER"),
        (error(0), 200, "_OTHER"),
        (error(i64::MIN), 200, "_OTHER"),
        (failed(Why::Denied), 200, "denied"),
        (failed(Why::Timeout), 200, "timeout"),
        (failed(Why::Internal), 500, "internal"),
        (None, 0, "abandoned"),
        (None, 200, "abandoned"),
        (None, 202, ""),
        (None, 401, "unauthenticated"),
        (None, 403, "denied"),
        (None, 404, "invalid"),
        (None, 429, "over_bound"),
        (None, 502, "backend"),
        (None, 503, "unavailable"),
        (None, 504, "timeout"),
        (None, 599, "internal"),
    ] {
        let families = after(&[Request { end: end.clone(), status, ..call("search") }]);
        let attributes = only(&families, &SERVER_DURATION);
        let told = attributes.split(' ').find_map(|one| one.strip_prefix("error.type="));
        assert_eq!(told.unwrap_or_default(), expected, "{end:?} {status}");
        let state = if expected.is_empty() { "success" } else { "error" };
        assert_eq!(sum(&families, &TOOL_CALLS, &format!("status={state}")), 1);
        let has_result = matches!(expected, "" | "tool_error");
        assert_eq!(sum(&families, &BACKEND_ERRORS, ""), u64::from(!has_result), "{end:?}");
    }
}

#[test]
fn backends_are_told_apart_where_they_share_a_name() {
    let github = Request { backend: Some("github"), ..call("search") };
    let families = after(&[call("search"), github.clone(), github]);
    for metric in [&CLIENT_DURATION, &BACKEND_REQUESTS] {
        assert_eq!(sum(&families, metric, "target.workload_name=jira"), 1);
        assert_eq!(sum(&families, metric, "target.workload_name=github"), 2);
    }
    assert_eq!(sum(&families, &TOOL_CALLS, "tool=search"), 3);
    assert_eq!(points(&families, &TOOL_CALLS).len(), 1);
}

#[test]
fn what_has_no_answer_is_not_abandoned() {
    for (via, method, status) in [
        (Via::Get, None, 200),
        (Via::Delete, None, 204),
        (Via::Post, None, 202),
        (Via::Post, Some(Method::Initialized), 202),
        (Via::Post, Some(Method::Cancelled), 200),
    ] {
        let request = Request { via, method, status, end: None, ..without_target(Method::Ping) };
        let families = after(&[request]);
        let attributes = only(&families, &REQUESTS);
        assert!(attributes.contains("status=success"), "{attributes}");
        assert_eq!(points(&families, &SERVER_DURATION).len(), usize::from(method.is_some()));
    }
}

#[test]
fn resources_and_statuses_without_end_are_not_told_apart() {
    let uris = (0..50).map(|number| Request {
        method: Some(Method::ResourcesRead),
        capability: Some((Kind::Resource, format!("file:///{number}"))),
        status: 200 + number,
        ..call("")
    });
    let families = after(&uris.collect::<Vec<_>>());
    for family in &families {
        let values = family.points.iter().flat_map(|point| &point.attributes);
        assert!(values.clone().all(|(_, value)| !value.contains("file:")), "{family:?}");
    }
    assert_eq!(sum(&families, &REQUESTS, ""), 50);
    assert_eq!(points(&families, &REQUESTS).len(), 3);
}

#[test]
fn sums_of_all_metrics_agree() {
    let metrics = metrics(1_000);
    let server = Server::new(&metrics);
    let requests = example::requests();
    requests.iter().for_each(|request| server.serve(request));
    let families = metrics.families();
    let count = |wanted: &dyn Fn(&Request) -> bool| {
        u64::try_from(requests.iter().filter(|request| wanted(request)).count()).unwrap()
    };
    let is_sent = |request: &Request| request.at_backend.is_some();
    let is_call = |request: &Request| matches!(request.capability, Some((Kind::Tool, _)));
    for (metric, expected) in [
        (&REQUESTS, count(&|_| true)),
        (&REQUEST_DURATION, count(&|_| true)),
        (&SERVER_DURATION, count(&|request| request.method.is_some())),
        (&CLIENT_DURATION, count(&is_sent)),
        (&BACKEND_REQUESTS, count(&is_sent)),
        (&BACKEND_DURATION, count(&is_sent)),
        (&TOOL_CALLS, count(&is_call)),
    ] {
        assert_eq!(sum(&families, metric, ""), expected, "{}", metric.name);
    }
    let modern = count(&|request| request.method.is_some() && request.era == Era::Modern);
    assert_eq!(sum(&families, &SERVER_DURATION, "mcp.protocol.version=2026-07-28"), modern);
    for family in &families {
        for point in &family.points {
            let mut known = family.metric.attributes.iter();
            for (name, _) in &point.attributes {
                let metric = family.metric.name;
                assert!(known.any(|known| known == name), "{metric}: {name} is out of order");
            }
        }
    }
}
