//! Ratios and bars, and how they are written.

use std::time::Duration;

use super::{Line, Report, Row, json, table};
use crate::{
    case::{Bar, Judged, LATENCY_ADDED, Limit},
    figures::Rounds,
    histogram::Histogram,
    load::Round,
};

/// A round of a second in which every call took as long.
fn round(calls: u32, cpu: f64, micros: u64) -> Round {
    let mut histogram = Histogram::default();
    for _ in 0..calls {
        histogram.record(Duration::from_micros(micros));
    }
    let elapsed = Duration::from_secs(1);
    let late = Histogram::default();
    Round {
        calls: histogram,
        late,
        elapsed,
        cpu: cpu * f64::from(calls) / 1e6,
        errors: 0,
        first_error: None,
    }
}

fn rounds(party: &'static str, calls: u32, cpu: f64, micros: u64) -> Rounds {
    let peak = vec![round(calls, cpu, micros * 2)];
    let paced = vec![round(2000, cpu, micros)];
    Rounds { party, peak, paced, resident_kib: Some(10 * 1024) }
}

fn report() -> Report {
    let case = "tools/call 64 B";
    let nginx = || rounds("nginx", 45_000, 12.0, 300);
    let limit = Limit::new(2.5, 1.5);
    let call = Row {
        case,
        connections: 16,
        rate: Some(15_000.4),
        base: nginx(),
        subject: rounds("vmcp", 30_000, 33.0, 450),
        direct: None,
        bar: Some(Bar { of: Judged::Cpu, limit }),
    };
    let single = |party, cpu, micros| Rounds {
        party,
        peak: vec![round(500, cpu, micros)],
        ..Rounds::default()
    };
    let latency = Row {
        case,
        connections: 1,
        rate: None,
        base: single("nginx", 20.0, 80),
        subject: single("vmcp", 30.0, 100),
        direct: Some(single("direct", 10.0, 50)),
        bar: Some(LATENCY_ADDED),
    };
    let mut broken = rounds("vmcp", 45_000, 12.0, 300);
    broken.paced[0].errors = 3;
    broken.paced[0].first_error = Some("an answer".into());
    let (rate, base) = (Some(22_500.0), nginx());
    let free = Row {
        case: "ping",
        connections: 256,
        rate,
        base,
        subject: broken,
        direct: None,
        bar: None,
    };
    let line = |what: &str, unit, value, limit| Line { what: what.to_owned(), unit, value, limit };
    let lines = vec![
        line("idle session", "KiB", 1.5, Some(Limit::new(2.0, 1.0))),
        line("commands per call", "", 0.006, Some(Limit::bar(0.005))),
        line("first call", "us", 250.0, None),
    ];
    Report { cores: 2, rows: vec![call, latency, free], lines }
}

#[test]
fn the_table_shows_ratios_bars_and_errors() {
    let mut text = Vec::new();
    table::write(&report(), &mut text).unwrap();
    let expected = "
case             conn  rate/s         calls/s  CPU us  p50 us  p99 us  p99.9 us   MiB  errors
tools/call 64 B    16   15000  nginx    45000    12.0     300     300       300  10.0       0
                               vmcp     30000    33.0     450     450       450  10.0       0
                               ratio     0.67    2.75    1.50    1.50      1.50  1.00          CPU: bar 2.5 MISSED, aim 1.5 is 1.25 away
tools/call 64 B     1          nginx      500    20.0      80      80                       0  adds 30 us to 50 us direct
                               vmcp       500    30.0     100     100                       0  adds 50 us
                               ratio     1.00    1.50    1.25    1.25                          added 1.66: bar 2 ok, aim 1 is 0.66 away
ping              256   22500  nginx    45000    12.0     300     300       300  10.0       0
                               vmcp     45000    12.0     300     300       300  10.0       3
                               ratio     1.00    1.00    1.00    1.00      1.00  1.00

idle session           1.50 KiB  bar 2 ok, aim 1 is 0.50 away
commands per call    0.0060      bar 0.005 MISSED
first call           250.00 us

ping, 256 connections, vmcp: an answer
medians of rounds on 2 cores; bars missed: 2; errors: 3
";
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text, expected.trim_start_matches('\n'));
}

#[test]
fn json_tells_what_a_bar_is_about() {
    let value = json::value(&report());
    assert_eq!(value["errors"], 3);
    assert_eq!(value["barsMissed"], 2);
    assert_eq!(value["cases"][0]["bar"]["of"], "cpu");
    assert_eq!(value["cases"][0]["ratios"]["cpu"]["median"], 2.75);
    assert_eq!(value["cases"][0]["bar"]["limit"]["met"], false);
    assert_eq!(value["cases"][0]["parties"][1]["residentMiB"], 10.0);
    assert_eq!(value["cases"][1]["parties"][1]["p999"], serde_json::Value::Null);
    assert_eq!(value["cases"][1]["bar"]["limit"]["met"], true);
    assert_eq!(value["cases"][2]["parties"][1]["firstError"], "an answer");
    assert_eq!(value["figures"][0]["value"], 1.5);
    assert_eq!(value["figures"][0]["limit"]["aimMet"], false);
    assert_eq!(value["figures"][2]["limit"], serde_json::Value::Null);
}

#[test]
fn it_is_said_when_the_load_was_late() {
    let mut report = report();
    report.rows[0].base.paced[0].late.record(Duration::from_millis(4));
    let mut text = Vec::new();
    table::write(&report, &mut text).unwrap();
    assert!(String::from_utf8(text).unwrap().contains("The load itself was 4"));
}

#[test]
fn a_bar_is_missed_where_nothing_was_answered() {
    let mut report = report();
    report.rows[0].subject.peak.clear();
    report.rows[1].direct = Some(Rounds::of("direct"));
    assert_eq!(report.missed(), 3);
}
