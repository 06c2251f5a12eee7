//! The report for programs: one JSON object. Times are in microseconds, memory in KiB.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Report, Row, met};
use crate::case::Bar;

pub(super) fn write(report: &Report, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, &value(report))?;
    writeln!(out)
}

pub(super) fn value(report: &Report) -> Value {
    let idle = report.memory.iter().map(|idle| {
        json!({"state": idle.state, "kib": idle.kib, "bar": idle.bar, "met": met(idle.kib, idle.bar)})
    });
    let shared = report.shared.iter().map(|figure| {
        let met = figure.bar.map(|bar| met(figure.value, bar));
        json!({"what": figure.what, "value": figure.value, "bar": figure.bar, "met": met})
    });
    json!({
        "cores": report.cores,
        "errors": report.errors(),
        "cases": report.rows.iter().map(row).collect::<Vec<_>>(),
        "memoryPerIdleSession": idle.collect::<Vec<_>>(),
        "recordsInRedis": shared.collect::<Vec<_>>(),
    })
}

fn row(row: &Row) -> Value {
    let mut value = json!({
        "case": row.case,
        "connections": row.connections,
        "cpuRatio": row.cpu_ratio(),
    });
    for (party, figures) in row.parties() {
        value[party] = json!(figures);
    }
    if let Some((nginx, vmcp)) = row.latency_added() {
        value["latencyAdded"] = json!({"nginx": nginx, "vmcp": vmcp});
    }
    if let (Some(bar), Some((ratio, limit))) = (row.bar, row.judged()) {
        let of = match bar {
            Bar::Cpu(_) => "cpu",
            Bar::LatencyAdded(_) => "latencyAdded",
        };
        value["bar"] = json!({"of": of, "ratio": ratio, "bar": limit, "met": met(ratio, limit)});
    }
    value
}
