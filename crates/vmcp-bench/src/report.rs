//! What was found: the rounds of each case and the figures that stand alone, and how they stand
//! against the bars.
//!
//! How they are written is in [`table`] and [`json`].

use std::io::{self, Write};

use crate::{
    case::{Bar, Judged, Limit},
    figures::{Figure, Rounds, Spread},
};

mod json;
mod table;

/// Everything that a run found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) cores: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) lines: Vec<Line>,
}

/// Two parties with the same load.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) case: &'static str,
    pub(crate) connections: usize,
    /// The calls a second at which latency was measured, if it was not at the peak.
    pub(crate) rate: Option<f64>,
    /// What the other one is compared with.
    pub(crate) base: Rounds,
    pub(crate) subject: Rounds,
    /// Straight to the backend, where latency added is asked for.
    pub(crate) direct: Option<Rounds>,
    pub(crate) bar: Option<Bar>,
}

/// A figure that stands alone.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) value: f64,
    pub(crate) limit: Option<Limit>,
}

/// What two parties add to the median latency of the one behind them, in microseconds.
struct Added {
    direct: f64,
    base: Spread,
    subject: Spread,
}

impl Report {
    pub(crate) fn errors(&self) -> u64 {
        self.rows.iter().flat_map(Row::parties).map(Rounds::errors).sum()
    }

    /// How many bars are missed.
    pub(crate) fn missed(&self) -> usize {
        let rows = self.rows.iter().filter_map(Row::judged);
        let lines = self.lines.iter().filter_map(|line| Some((line.value, line.limit?)));
        rows.chain(lines).filter(|(value, limit)| !met(*value, limit.bar)).count()
    }

    /// How late the load itself was, in microseconds: p99, in the middle over all cases.
    fn load_late(&self) -> Option<f64> {
        let parties = self.rows.iter().flat_map(Row::parties);
        Some(Spread::of(parties.filter_map(|party| party.late(0.99)).collect())?.median)
    }

    pub(crate) fn write_table(&self, out: impl Write) -> io::Result<()> {
        table::write(self, out)
    }

    pub(crate) fn write_json(&self, out: impl Write) -> io::Result<()> {
        json::write(self, out)
    }
}

impl Row {
    /// The subject's figure in the base's.
    fn ratio(&self, figure: Figure) -> Option<Spread> {
        Spread::of_ratios(figure, &self.base, &self.subject)
    }

    fn added(&self) -> Option<Added> {
        let direct = self.direct.as_ref()?;
        Some(Added {
            direct: direct.median(Figure::P50)?,
            base: Spread::of_differences(Figure::P50, direct, &self.base)?,
            subject: Spread::of_differences(Figure::P50, direct, &self.subject)?,
        })
    }

    /// The ratio that the bar is about, and the bar. Without calls it is no number.
    fn judged(&self) -> Option<(f64, Limit)> {
        let Bar { of, limit } = self.bar?;
        let ratio = match of {
            Judged::Cpu => self.ratio(Figure::Cpu).map(|spread| spread.median),
            Judged::P99 => self.ratio(Figure::P99).map(|spread| spread.median),
            Judged::LatencyAdded => {
                self.added().map(|added| added.subject.median / added.base.median)
            }
        };
        Some((ratio.unwrap_or(f64::NAN), limit))
    }

    fn parties(&self) -> impl Iterator<Item = &Rounds> {
        [&self.base, &self.subject].into_iter().chain(&self.direct)
    }
}

/// Whether a bar is met.
fn met(value: f64, bar: f64) -> bool {
    // What is no number, for want of calls, meets nothing.
    value <= bar
}

#[cfg(test)]
mod tests;
