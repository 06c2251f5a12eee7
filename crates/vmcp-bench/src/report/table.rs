//! The report as a table for people.

use std::io::{self, Write};

use super::{Added, Line, Report, Row, met};
use crate::{
    case::{Judged, Limit},
    figures::{Figure, Rounds},
};

const COLUMNS: usize = 11;
const HEAD: [&str; COLUMNS] = [
    "case", "conn", "rate/s", "", "calls/s", "CPU us", "p50 us", "p99 us", "p99.9 us", "MiB",
    "errors",
];
/// Waking up takes tens of microseconds, and waiting for a core milliseconds.
const LATE: f64 = 1000.0;
/// Columns of words, which begin where the others end.
const LEFT: [usize; 2] = [0, 3];

pub(super) fn write(report: &Report, mut out: impl Write) -> io::Result<()> {
    if !report.rows.is_empty() {
        rows(&report.rows, &mut out)?;
    }
    lines(&report.lines, &mut out)?;
    for row in &report.rows {
        for party in row.parties() {
            if let Some(error) = party.first_error() {
                let (case, connections, party) = (row.case, row.connections, party.party);
                writeln!(out, "{case}, {connections} connections, {party}: {error}")?;
            }
        }
    }
    if let Some(late) = report.load_late().filter(|late| *late > LATE) {
        writeln!(
            out,
            "The load itself was {late:.0} us late at p99: others want the cores, and latencies \
             say little."
        )?;
    }
    let (cores, missed, errors) = (report.cores, report.missed(), report.errors());
    writeln!(out, "medians of rounds on {cores} cores; bars missed: {missed}; errors: {errors}")
}

fn rows(rows: &[Row], out: &mut impl Write) -> io::Result<()> {
    let mut cells = vec![HEAD.map(str::to_owned)];
    for row in rows {
        cells.extend(row_cells(row));
    }
    let width = |column: usize| cells.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    // What is said of a bar stands behind the line that it is about.
    let mut behind = vec![String::new()];
    for row in rows {
        behind.extend(remarks(row));
    }
    for (line, remark) in cells.iter().zip(behind) {
        let mut text = String::new();
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            let padded = if LEFT.contains(&column) {
                format!("{cell:<width$}  ")
            } else {
                format!("{cell:>width$}  ")
            };
            text.push_str(&padded);
        }
        text.push_str(&remark);
        writeln!(out, "{}", text.trim_end())?;
    }
    writeln!(out)
}

/// A line for each party, and one for the ratios.
fn row_cells(row: &Row) -> Vec<[String; COLUMNS]> {
    let rate = row.rate.map(|rate| format!("{rate:.0}")).unwrap_or_default();
    let first = [row.case.to_owned(), row.connections.to_string(), rate];
    let mut lines = vec![line(first, &row.base), line(Default::default(), &row.subject)];
    let ratios = Figure::ALL.map(|figure| {
        row.ratio(figure).map(|spread| format!("{:.2}", spread.median)).unwrap_or_default()
    });
    lines.push(joined(Default::default(), "ratio", ratios, String::new()));
    lines
}

fn line(first: [String; 3], rounds: &Rounds) -> [String; COLUMNS] {
    let figures = Figure::ALL.map(|figure| {
        let digits = match figure {
            Figure::CallsPerSecond | Figure::P50 | Figure::P99 | Figure::P999 => 0,
            Figure::Cpu | Figure::Resident => 1,
        };
        rounds.median(figure).map(|value| format!("{value:.digits$}")).unwrap_or_default()
    });
    joined(first, rounds.party, figures, rounds.errors().to_string())
}

fn joined(
    first: [String; 3],
    party: &str,
    figures: [String; Figure::ALL.len()],
    errors: String,
) -> [String; COLUMNS] {
    let mut cells = first.into_iter().chain([party.to_owned()]).chain(figures).chain([errors]);
    std::array::from_fn(|_| cells.next().unwrap_or_default())
}

/// What is said behind each line of a row.
fn remarks(row: &Row) -> [String; 3] {
    let (Some(bar), Some((ratio, limit))) = (row.bar, row.judged()) else {
        return Default::default();
    };
    let verdict = verdict(ratio, limit);
    match (bar.of, row.added()) {
        (Judged::LatencyAdded, Some(Added { direct, base, subject })) => [
            format!("adds {:.0} us to {direct:.0} us direct", base.median),
            format!("adds {:.0} us", subject.median),
            format!("added {ratio:.2}: {verdict}"),
        ],
        (Judged::LatencyAdded, None) => [String::new(), String::new(), verdict],
        (Judged::Cpu, _) => [String::new(), String::new(), format!("CPU: {verdict}")],
        (Judged::P99, _) => [String::new(), String::new(), format!("p99: {verdict}")],
    }
}

fn lines(lines: &[Line], out: &mut impl Write) -> io::Result<()> {
    let width = lines.iter().map(|line| line.what.len()).max().unwrap_or(0);
    for Line { what, unit, value, limit } in lines {
        let verdict = limit.map(|limit| verdict(*value, limit)).unwrap_or_default();
        let digits = if value.abs() < 0.01 { 4 } else { 2 };
        let text = format!("{what:<width$}  {value:>8.digits$} {unit:<3}  {verdict}");
        writeln!(out, "{}", text.trim_end())?;
    }
    if lines.is_empty() { Ok(()) } else { writeln!(out) }
}

fn verdict(value: f64, limit: Limit) -> String {
    let bar = if met(value, limit.bar) { "ok" } else { "MISSED" };
    let aim = match limit.aim {
        Some(aim) if met(value, aim) => format!(", aim {aim} ok"),
        Some(aim) => format!(", aim {aim} is {:.2} away", value - aim),
        None => String::new(),
    };
    format!("bar {} {bar}{aim}", limit.bar)
}
