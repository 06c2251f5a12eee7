//! The report as a table for people.

use std::io::{self, Write};

use super::{Report, Row, met};
use crate::{case::Bar, shared::Shared};

const HEAD: [[&str; COLUMNS]; 2] = [
    ["", "conn", "calls/s", "", "CPU us/call", "", "", "", "p50 us", "", "p99 us", "", "errors"],
    [
        "case", "", "nginx", "vmcp", "nginx", "vmcp", "ratio", "bar", "nginx", "vmcp", "nginx",
        "vmcp", "",
    ],
];
const COLUMNS: usize = 13;

pub(super) fn write(report: &Report, mut out: impl Write) -> io::Result<()> {
    if !report.rows.is_empty() {
        cases(&report.rows, &mut out)?;
    }
    for row in &report.rows {
        latency(row, &mut out)?;
    }
    for idle in &report.memory {
        let (state, kib, bar) = (idle.state, idle.kib, idle.bar);
        let verdict = verdict(kib, bar);
        writeln!(out, "memory per idle session {state}: {kib:.2} KiB (bar {bar}: {verdict})")?;
    }
    for Shared { what, value, bar } in &report.shared {
        let judged = bar.map(|bar| format!(" (bar {bar}: {})", verdict(*value, bar)));
        writeln!(out, "records in Redis: {what}: {value:.4}{}", judged.unwrap_or_default())?;
    }
    for row in &report.rows {
        for (party, figures) in row.parties() {
            if let Some(error) = &figures.first_error {
                let (case, connections) = (&row.case, row.connections);
                writeln!(out, "{case}, {connections} connections, {party}: {error}")?;
            }
        }
    }
    writeln!(out, "medians of rounds on {} cores; errors: {}", report.cores, report.errors())
}

fn cases(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let mut lines: Vec<[String; COLUMNS]> =
        HEAD.iter().map(|line| line.map(str::to_owned)).collect();
    lines.extend(rows.iter().map(cells));
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    for line in &lines {
        let mut text = format!("{:<width$}", line[0], width = widths[0]);
        for (cell, width) in line.iter().zip(widths).skip(1) {
            text.push_str(&format!("  {cell:>width$}"));
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    writeln!(out)
}

fn cells(row: &Row) -> [String; COLUMNS] {
    let Row { case, connections, nginx, vmcp, .. } = row;
    let bar = match (row.bar, row.judged()) {
        (Some(Bar::Cpu(bar)), Some((ratio, _))) => format!("{bar:.1} {}", verdict(ratio, bar)),
        // It is about latency, and has a line of its own.
        (Some(Bar::LatencyAdded(_)), _) => "below".to_owned(),
        (Some(Bar::Cpu(_)) | None, _) => String::new(),
    };
    let errors: u64 = row.parties().map(|(_, figures)| figures.errors).sum();
    [
        case.clone(),
        connections.to_string(),
        format!("{:.0}", nginx.calls_per_second),
        format!("{:.0}", vmcp.calls_per_second),
        format!("{:.1}", nginx.cpu),
        format!("{:.1}", vmcp.cpu),
        format!("{:.2}", row.cpu_ratio()),
        bar,
        format!("{:.0}", nginx.p50),
        format!("{:.0}", vmcp.p50),
        format!("{:.0}", nginx.p99),
        format!("{:.0}", vmcp.p99),
        errors.to_string(),
    ]
}

fn latency(row: &Row, out: &mut impl Write) -> io::Result<()> {
    let (Some(direct), Some((nginx, vmcp)), Some((ratio, bar))) =
        (&row.direct, row.latency_added(), row.judged())
    else {
        return Ok(());
    };
    let (case, connections, direct) = (&row.case, row.connections, direct.p50);
    let verdict = verdict(ratio, bar);
    writeln!(
        out,
        "latency added to {case}, {connections} connection, p50 over {direct:.0} us direct: \
         nginx {nginx:.0} us, vmcp {vmcp:.0} us: {ratio:.2} x (bar {bar:.1}: {verdict})"
    )
}

fn verdict(ratio: f64, bar: f64) -> &'static str {
    if met(ratio, bar) { "ok" } else { "MISSED" }
}
