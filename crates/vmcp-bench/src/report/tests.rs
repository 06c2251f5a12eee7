//! Medians, ratios and bars, and how they are written.

use std::time::Duration;

use super::{Figures, Report, Row, json, median, table};
use crate::{case::Bar, histogram::Histogram, load::Round, memory::Idle, shared::Shared};

fn figures(calls_per_second: f64, cpu: f64, p50: f64, p99: f64) -> Figures {
    Figures { calls_per_second, cpu, p50, p99, errors: 0, first_error: None }
}

fn report() -> Report {
    let nginx = figures(45_000.0, 12.0, 300.0, 900.0);
    let call = Row {
        case: "tools/call 64 B".into(),
        connections: 16,
        nginx: nginx.clone(),
        vmcp: figures(30_000.0, 33.0, 450.0, 1200.4),
        direct: None,
        bar: Some(Bar::Cpu(2.5)),
    };
    let latency = Row {
        case: "tools/call 64 B".into(),
        connections: 1,
        nginx: figures(10_000.0, 20.0, 80.0, 100.0),
        vmcp: figures(9_000.0, 30.0, 100.0, 130.0),
        direct: Some(figures(20_000.0, 10.0, 50.0, 60.0)),
        bar: Some(Bar::LatencyAdded(2.0)),
    };
    let broken = Figures { errors: 3, first_error: Some("an answer".into()), ..nginx.clone() };
    let free =
        Row { case: "ping".into(), connections: 256, nginx, vmcp: broken, direct: None, bar: None };
    let memory = vec![Idle { state: "before any call", kib: 1.5, bar: 2.0 }];
    let shared = vec![Shared { what: "commands per call", value: 0.02, bar: Some(0.01) }];
    Report { cores: 2, rows: vec![call, latency, free], memory, shared }
}

#[test]
fn the_table_shows_ratios_bars_and_errors() {
    let mut text = Vec::new();
    table::write(&report(), &mut text).unwrap();
    let expected = "
                 conn  calls/s         CPU us/call                           p50 us        p99 us        errors
case                     nginx   vmcp        nginx  vmcp  ratio         bar   nginx  vmcp   nginx  vmcp
tools/call 64 B    16    45000  30000         12.0  33.0   2.75  2.5 MISSED     300   450     900  1200       0
tools/call 64 B     1    10000   9000         20.0  30.0   1.50       below      80   100     100   130       0
ping              256    45000  45000         12.0  12.0   1.00                 300   300     900   900       3

latency added to tools/call 64 B, 1 connection, p50 over 50 us direct: nginx 30 us, vmcp 50 us: 1.67 x (bar 2.0: ok)
memory per idle session before any call: 1.50 KiB (bar 2: ok)
records in Redis: commands per call: 0.0200 (bar 0.01: MISSED)
ping, 256 connections, vmcp: an answer
medians of rounds on 2 cores; errors: 3
";
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text, expected.trim_start_matches('\n'));
}

#[test]
fn json_tells_what_a_bar_is_about() {
    let value = json::value(&report());
    assert_eq!(value["errors"], 3);
    assert_eq!(value["cases"][0]["bar"]["of"], "cpu");
    assert_eq!(value["cases"][0]["bar"]["ratio"], 2.75);
    assert_eq!(value["cases"][0]["bar"]["met"], false);
    assert_eq!(value["cases"][1]["latencyAdded"]["vmcp"], 50.0);
    assert_eq!(value["cases"][1]["bar"]["met"], true);
    assert_eq!(value["cases"][2]["vmcp"]["firstError"], "an answer");
    assert_eq!(value["memoryPerIdleSession"][0]["kib"], 1.5);
    assert_eq!(value["recordsInRedis"][0]["met"], false);
}

#[test]
fn figures_are_medians_over_rounds() {
    let round = |calls: u64, cpu: f64| {
        let mut histogram = Histogram::new();
        for _ in 0..calls {
            histogram.record(Duration::from_micros(100));
        }
        let elapsed = Duration::from_secs(2);
        Round { calls: histogram, elapsed, cpu, errors: 1, first_error: None }
    };
    let figures = Figures::of(&[round(100, 0.01), round(300, 0.03), round(200, 0.04)]);
    assert!((figures.calls_per_second - 100.0).abs() < 1e-9, "{figures:?}");
    assert!((figures.cpu - 100.0).abs() < 1e-9, "{figures:?}");
    assert_eq!(figures.errors, 3);
}

#[test]
fn a_median_is_the_middle() {
    for (figures, expected) in
        [(vec![], 0.0), (vec![3.0], 3.0), (vec![9.0, 1.0, 2.0], 2.0), (vec![4.0, 2.0], 3.0)]
    {
        assert!((median(figures) - expected).abs() < f64::EPSILON);
    }
}
