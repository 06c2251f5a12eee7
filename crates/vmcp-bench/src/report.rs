//! What was found, as figures: medians over rounds, ratios, and how they stand against the bars.
//!
//! How they are written is in [`table`] and [`json`].

use std::io::{self, Write};

use crate::{case::Bar, load::Round, memory::Idle, shared::Shared};

mod json;
mod table;

/// Everything that a run found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) cores: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) memory: Vec<Idle>,
    pub(crate) shared: Vec<Shared>,
}

/// One case.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) connections: usize,
    pub(crate) nginx: Figures,
    pub(crate) vmcp: Figures,
    /// Straight to the backend, where latency added is asked for.
    pub(crate) direct: Option<Figures>,
    pub(crate) bar: Option<Bar>,
}

/// Medians over the rounds of one party. Times are in microseconds.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Figures {
    pub(crate) calls_per_second: f64,
    pub(crate) cpu: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Of all rounds.
    pub(crate) errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_error: Option<String>,
}

impl Report {
    pub(crate) fn errors(&self) -> u64 {
        self.rows.iter().flat_map(Row::parties).map(|(_, figures)| figures.errors).sum()
    }

    pub(crate) fn write_table(&self, out: impl Write) -> io::Result<()> {
        table::write(self, out)
    }

    pub(crate) fn write_json(&self, out: impl Write) -> io::Result<()> {
        json::write(self, out)
    }
}

impl Row {
    /// vmcp's CPU time per call in nginx's.
    fn cpu_ratio(&self) -> f64 {
        self.vmcp.cpu / self.nginx.cpu
    }

    /// What nginx and vmcp add to the backend's median latency.
    fn latency_added(&self) -> Option<(f64, f64)> {
        let direct = self.direct.as_ref()?.p50;
        Some((self.nginx.p50 - direct, self.vmcp.p50 - direct))
    }

    /// The ratio that the bar is about, and the bar.
    fn judged(&self) -> Option<(f64, f64)> {
        match self.bar? {
            Bar::Cpu(bar) => Some((self.cpu_ratio(), bar)),
            Bar::LatencyAdded(bar) => {
                let (nginx, vmcp) = self.latency_added()?;
                Some((vmcp / nginx, bar))
            }
        }
    }

    fn parties(&self) -> impl Iterator<Item = (&'static str, &Figures)> {
        let direct = self.direct.as_ref().map(|figures| ("direct", figures));
        [("nginx", &self.nginx), ("vmcp", &self.vmcp)].into_iter().chain(direct)
    }
}

impl Figures {
    pub(crate) fn of(rounds: &[Round]) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "calls of a few seconds fit")]
        let calls = |round: &Round| round.calls.count() as f64;
        let medium = |figure: &dyn Fn(&Round) -> f64| median(rounds.iter().map(figure).collect());
        Self {
            calls_per_second: medium(&|round| calls(round) / round.elapsed.as_secs_f64()),
            // A round without a call has errors, which is all that counts then.
            cpu: medium(&|round| round.cpu * 1e6 / calls(round).max(1.0)),
            p50: medium(&|round| round.calls.quantile(0.5)),
            p99: medium(&|round| round.calls.quantile(0.99)),
            errors: rounds.iter().map(|round| round.errors).sum(),
            first_error: rounds.iter().find_map(|round| round.first_error.clone()),
        }
    }
}

/// The middle one, or between the middle two; 0 of none.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.get(middle) {
        None => 0.0,
        Some(upper) if figures.len() % 2 == 1 => *upper,
        Some(upper) => f64::midpoint(figures[middle - 1], *upper),
    }
}

/// Whether a bar is met.
fn met(ratio: f64, bar: f64) -> bool {
    // A ratio that is no number, for want of calls, meets nothing.
    ratio <= bar
}

#[cfg(test)]
mod tests;
