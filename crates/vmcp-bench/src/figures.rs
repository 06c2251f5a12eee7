//! What rounds tell: a figure for each, medians, and ratios of neighbours; pure.

use crate::load::Round;

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    CallsPerSecond,
    /// CPU time per call in microseconds, at the peak.
    Cpu,
    /// Microseconds that half of the calls did not exceed.
    P50,
    P99,
    P999,
    /// Memory in MiB after all rounds.
    Resident,
}

impl Figure {
    pub(crate) const ALL: [Self; 6] =
        [Self::CallsPerSecond, Self::Cpu, Self::P50, Self::P99, Self::P999, Self::Resident];
}

/// The rounds of one party.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    pub(crate) party: &'static str,
    /// As many calls as it can answer.
    pub(crate) peak: Vec<Round>,
    /// As many calls as another one answers.
    pub(crate) paced: Vec<Round>,
    pub(crate) resident_kib: Option<u64>,
}

impl Rounds {
    pub(crate) fn of(party: &'static str) -> Self {
        Self { party, ..Self::default() }
    }

    /// The middle of a figure over all rounds that tell it.
    pub(crate) fn median(&self, figure: Figure) -> Option<f64> {
        Some(Spread::of(self.each(figure))?.median)
    }

    /// A figure of each round; nothing if the rounds are too short to tell it.
    pub(crate) fn each(&self, figure: Figure) -> Vec<f64> {
        // Latency at the peak tells how many connections there are, unless there is only one.
        let timed = if self.paced.is_empty() { &self.peak } else { &self.paced };
        match figure {
            Figure::CallsPerSecond => {
                let per_second = |round: &Round| calls(round) / round.elapsed.as_secs_f64();
                self.peak.iter().map(per_second).collect()
            }
            Figure::Cpu => self.peak.iter().map(cpu).collect(),
            Figure::P50 => quantiles(timed, 0.5),
            Figure::P99 => quantiles(timed, 0.99),
            Figure::P999 => quantiles(timed, 0.999),
            #[expect(clippy::cast_precision_loss, reason = "KiB of memory fit")]
            Figure::Resident => {
                self.resident_kib.map(|kib| kib as f64 / 1024.0).into_iter().collect()
            }
        }
    }

    /// CPU time per call at the fixed rate, in microseconds.
    pub(crate) fn paced_cpu(&self) -> Option<f64> {
        Some(Spread::of(self.paced.iter().map(cpu).collect())?.median)
    }

    /// How late the load itself sent what was due, in microseconds.
    pub(crate) fn late(&self, share: f64) -> Option<f64> {
        // A load that never had to wait was behind all the time, as its calls' latencies tell.
        let waited = self.paced.iter().filter(|round| round.late.count() > 0);
        let late = waited.map(|round| round.late.quantile(share));
        Some(Spread::of(late.collect())?.median)
    }

    pub(crate) fn errors(&self) -> u64 {
        self.all().map(|round| round.errors).sum()
    }

    pub(crate) fn first_error(&self) -> Option<&str> {
        self.all().find_map(|round| round.first_error.as_deref())
    }

    fn all(&self) -> impl Iterator<Item = &Round> {
        self.peak.iter().chain(&self.paced)
    }
}

/// The middle of several figures, and the quarters below and above.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Nothing of nothing.
    pub(crate) fn of(mut figures: Vec<f64>) -> Option<Self> {
        let last = figures.len().checked_sub(1)?;
        figures.sort_by(f64::total_cmp);
        // Between the two figures on either side of a quarter; in quarters of a place.
        let at = |quarters: usize| {
            let (below, part) = (last * quarters / 4, last * quarters % 4);
            let above = (below + 1).min(last);
            #[expect(clippy::cast_precision_loss, reason = "less than four")]
            let part = part as f64 / 4.0;
            figures[below] + (figures[above] - figures[below]) * part
        };
        Some(Self { low: at(1), median: at(2), high: at(3) })
    }

    /// One party's rounds in those of another that were next to them, so that what slows a machine
    /// down for a while is in both.
    pub(crate) fn of_ratios(figure: Figure, base: &Rounds, subject: &Rounds) -> Option<Self> {
        let pairs = base.each(figure).into_iter().zip(subject.each(figure));
        Self::of(pairs.map(|(base, subject)| subject / base).collect())
    }

    /// The same of what one party has more than another.
    pub(crate) fn of_differences(figure: Figure, base: &Rounds, subject: &Rounds) -> Option<Self> {
        let pairs = base.each(figure).into_iter().zip(subject.each(figure));
        Self::of(pairs.map(|(base, subject)| subject - base).collect())
    }
}

#[expect(clippy::cast_precision_loss, reason = "calls of a few seconds fit")]
fn calls(round: &Round) -> f64 {
    round.calls.count() as f64
}

/// A round without a call has errors, which is all that counts then.
fn cpu(round: &Round) -> f64 {
    round.cpu * 1e6 / calls(round).max(1.0)
}

/// Nothing if a round has so few calls that one alone would be the figure.
fn quantiles(rounds: &[Round], share: f64) -> Vec<f64> {
    let enough = |round: &Round| calls(round) * (1.0 - share) >= 0.99;
    if !rounds.iter().all(enough) {
        return Vec::new();
    }
    rounds.iter().map(|round| round.calls.quantile(share)).collect()
}

#[cfg(test)]
mod tests;
