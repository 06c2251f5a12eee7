//! Text for Prometheus, read again by another program than the one that wrote it.

use std::collections::BTreeMap;

use vmcp_telemetry::{
    catalogue::{self, METRICS, backends, process, requests, server},
    exposition::{name, text},
    family::{Metric, MetricKind, Value},
    points::Families,
};

use crate::{
    example::{self, HOSTILE},
    parser::{Sample, parse},
    support::{Server, metrics},
};

#[test]
fn names_are_as_the_compatibility_specification_makes_them() {
    for (metric, expected) in [
        (&requests::SERVER_DURATION, "mcp_server_operation_duration_seconds"),
        (&requests::REQUESTS, "toolhive_mcp_requests_total"),
        (&requests::REQUEST_DURATION, "toolhive_mcp_request_duration_seconds"),
        (&requests::BACKEND_DURATION, "toolhive_vmcp_backend_requests_duration_seconds"),
        (&backends::DISCOVERED, "toolhive_vmcp_backends_discovered"),
        (&server::SESSIONS, "vmcp_sessions"),
        (&server::HELD, "vmcp_held_bytes"),
        (&server::CONFIGURATION_AGE, "vmcp_configuration_age_seconds"),
        (&process::CPU, "process_cpu_seconds_total"),
        (&process::RESIDENT_MEMORY, "process_resident_memory_bytes"),
        (&process::START_TIME, "process_start_time_seconds"),
        (&process::BUILD_INFO, "vmcp_build_info"),
    ] {
        assert_eq!(name(metric), expected);
    }
    let metric = |name, kind, unit| Metric { name, kind, unit, help: "", attributes: &[] };
    for (metric, expected) in [
        (metric("a..b-c", MetricKind::Counter, "1"), "a_b_c_total"),
        (metric("a.total", MetricKind::Counter, "{thing}"), "a_total"),
        (metric("3.used", MetricKind::Gauge, "1"), "_3_used_ratio"),
        (metric("read.bytes", MetricKind::Counter, "By"), "read_bytes_total"),
    ] {
        assert_eq!(name(&metric), expected);
    }
}

#[test]
fn another_reader_finds_every_metric_with_its_points() {
    let families = example::families();
    let parsed = parse(&text(&families, &[("service.name", "vmcp")]));
    assert_eq!(parsed.types.len(), METRICS.len() + 1);
    let find = |wanted: &str, labels: &BTreeMap<String, String>| {
        let is_it = |sample: &&Sample| sample.name == wanted && sample.labels == *labels;
        parsed.samples.iter().find(is_it).map(|sample| sample.value)
    };
    for family in &families {
        let name = name(family.metric);
        for point in &family.points {
            let label = |(name, value): &(&str, std::borrow::Cow<'_, str>)| {
                (name.replace('.', "_"), value.clone().into_owned())
            };
            let mut labels: BTreeMap<_, _> = point.attributes.iter().map(label).collect();
            match &point.value {
                #[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
                Value::Number(number) => assert_eq!(find(&name, &labels), Some(*number as f64)),
                Value::Fraction(fraction) => assert_eq!(find(&name, &labels), Some(*fraction)),
                Value::Histogram(histogram) => {
                    let sum = find(&format!("{name}_sum"), &labels);
                    assert_eq!(sum, Some(histogram.sum));
                    let count = find(&format!("{name}_count"), &labels).unwrap();
                    let (mut before, bucket) = (0.0, format!("{name}_bucket"));
                    let bounds = histogram.bounds.iter().map(f64::to_string);
                    for (bound, more) in bounds.chain(["+Inf".to_owned()]).zip(&histogram.counts) {
                        labels.insert("le".to_owned(), bound);
                        #[expect(clippy::cast_precision_loss, reason = "the numbers are small")]
                        let expected = before + *more as f64;
                        assert_eq!(find(&bucket, &labels), Some(expected), "{labels:?}");
                        before = expected;
                    }
                    assert!((before - count).abs() < f64::EPSILON);
                }
            }
        }
    }
}

#[test]
fn the_order_of_families_and_points_does_not_matter() {
    let mut families = example::families();
    let expected = text(&families, &[]);
    families.reverse();
    families.iter_mut().for_each(|family| family.points.reverse());
    let (first, second) = families.split_at(families.len() / 2);
    let twice = [second, first, first].concat();
    assert_eq!(text(&twice, &[]), expected);
}

#[test]
fn names_of_others_can_neither_add_lines_nor_grow() {
    let metrics = metrics(100);
    let server = Server::new(&metrics);
    let long = "é".repeat(100);
    HOSTILE.iter().for_each(|tool| server.call(tool));
    server.call(&long);
    server.call(&format!("{long}!"));
    let parsed = parse(&text(&metrics.families(), &[]));
    let calls = parsed.samples.iter().filter(|sample| sample.name.contains("_tool_calls"));
    let mut tools: BTreeMap<_, _> =
        calls.map(|call| (call.labels["tool"].as_str(), call.value)).collect();
    assert_eq!(tools.remove("é".repeat(64).as_str()), Some(2.0));
    assert_eq!(tools.remove("line\u{fffd}break"), Some(1.0));
    assert_eq!(tools.remove("closing\"} 1\u{fffd}# TYPE fake counter"), Some(1.0));
    assert_eq!(tools.remove("back\\slash"), Some(1.0));
    assert_eq!(tools.len(), HOSTILE.len() - 3);
    assert!(!parsed.types.contains_key("fake"));
}

#[test]
fn what_all_is_of_is_told_once() {
    let resource =
        [("service.name", "vmcp"), ("service_name", "other"), ("9.x", "a\"b\\c\nd"), ("__a", "1")];
    let parsed = parse(&text(&[], &resource));
    let [sample] = parsed.samples.as_slice() else { panic!("{parsed:?}") };
    assert_eq!((sample.name.as_str(), sample.value), ("target_info", 1.0));
    let labels = [("_a", "1"), ("key_9_x", "a\"b\\c\nd"), ("service_name", "vmcp;other")];
    let expected = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(sample.labels, expected.into());
}

#[test]
fn families_come_together_in_the_order_of_the_catalogue() {
    let mut families = Families::default();
    families.add(process::UPTIME.number(std::time::Duration::from_millis(1_500)));
    families.add(backends::KEPT_SESSIONS.by(&[("vmcp.backend", "jira")], 3_u64));
    families.add(server::STORE_REACHABLE.number(true));
    families.add(backends::KEPT_SESSIONS.by(&[("vmcp.backend", "github")], 4_u64));
    let families = families.into_vec();
    let names: Vec<_> = families.iter().map(|family| family.metric.name).collect();
    let expected = ["vmcp.store.reachable", "vmcp.backend.kept_sessions", "vmcp.uptime"];
    assert_eq!(names, expected);
    let text = text(&families, &[]);
    for line in [
        "vmcp_backend_kept_sessions{vmcp_backend=\"github\"} 4\n",
        "vmcp_backend_kept_sessions{vmcp_backend=\"jira\"} 3\n",
        "vmcp_store_reachable 1\n",
        "vmcp_uptime_seconds 1.5\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(catalogue::reference().contains("| `vmcp_uptime_seconds` | `vmcp.uptime` |"));
}
