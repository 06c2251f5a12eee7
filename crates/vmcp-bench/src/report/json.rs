//! The report for programs: one JSON object. Times are in microseconds, memory in MiB.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::{Line, Report, Row, met};
use crate::{
    case::{Judged, Limit},
    figures::{Figure, Rounds},
};

pub(super) fn write(report: &Report, mut out: impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut out, &value(report))?;
    writeln!(out)
}

pub(super) fn value(report: &Report) -> Value {
    json!({
        "cores": report.cores,
        "errors": report.errors(),
        "barsMissed": report.missed(),
        "loadLateP99": report.load_late(),
        "cases": report.rows.iter().map(row).collect::<Vec<_>>(),
        "figures": report.lines.iter().map(line).collect::<Vec<_>>(),
    })
}

fn row(row: &Row) -> Value {
    let ratios: Map<String, Value> = Figure::ALL
        .into_iter()
        .filter_map(|figure| Some((name(figure).to_owned(), json!(row.ratio(figure)?))))
        .collect();
    let mut value = json!({
        "case": row.case,
        "connections": row.connections,
        "ratePerSecond": row.rate,
        "parties": row.parties().map(party).collect::<Vec<_>>(),
        "ratios": ratios,
    });
    if let Some(added) = row.added() {
        value["latencyAdded"] =
            json!({row.base.party: added.base, row.subject.party: added.subject});
    }
    if let (Some(bar), Some((ratio, limit))) = (row.bar, row.judged()) {
        let of = match bar.of {
            Judged::Cpu => name(Figure::Cpu),
            Judged::P99 => name(Figure::P99),
            Judged::LatencyAdded => "latencyAdded",
        };
        value["bar"] = json!({"of": of, "value": ratio, "limit": judged(ratio, limit)});
    }
    value
}

fn party(rounds: &Rounds) -> Value {
    let mut value = json!({
        "party": rounds.party,
        "errors": rounds.errors(),
        "cpuAtRate": rounds.paced_cpu(),
        "loadLateP50": rounds.late(0.5),
        "loadLateP99": rounds.late(0.99),
    });
    for figure in Figure::ALL {
        value[name(figure)] = json!(rounds.median(figure));
    }
    if let Some(error) = rounds.first_error() {
        value["firstError"] = json!(error);
    }
    value
}

fn line(line: &Line) -> Value {
    let limit = line.limit.map(|limit| judged(line.value, limit));
    json!({"what": line.what, "unit": line.unit, "value": line.value, "limit": limit})
}

fn judged(value: f64, limit: Limit) -> Value {
    let aim_met = limit.aim.map(|aim| met(value, aim));
    json!({"bar": limit.bar, "met": met(value, limit.bar), "aim": limit.aim, "aimMet": aim_met})
}

fn name(figure: Figure) -> &'static str {
    match figure {
        Figure::CallsPerSecond => "callsPerSecond",
        Figure::Cpu => "cpu",
        Figure::P50 => "p50",
        Figure::P99 => "p99",
        Figure::P999 => "p999",
        Figure::Resident => "residentMiB",
    }
}
