//! What was recorded, and what is said when something else is counted; pure.
//!
//! It fails in both directions. A path that has become dearer is what this is for; one that has
//! become cheaper must be recorded, or it could become as dear again without anybody noticing.

use std::fmt;

use anyhow::{Context, Result};

/// How far a count may be from what was recorded, as a share of it. Counts of the same vmcp differ
/// by less than [`NOISE`], as what arrives together is read together and may arrive otherwise; the
/// rest is for what the compiler places differently when something else changes.
const TOLERANCE: f64 = 0.03;
/// A line that differs by less is left alone when a new baseline is recorded, so that the change of
/// the file shows what has changed.
const NOISE: f64 = 0.01;

const HEADER: &str = "\
# Instructions that vmcp executes for one call of its hottest paths, as `./test` expects them.
#
# This file changes only in a commit that says why. To record what is true now:
#   cargo build --release --features vmcp/aws -p vmcp -p vmcp-testkit -p vmcp-bench
#   target/release/vmcp-bench instructions --vmcp target/release/vmcp --record
";
const MADE_WITH: &str = "made with ";

const OTHER_VERSIONS: &str =
    "The baseline was made with other versions, which may be all there is to it:";
const DEARER: &str = "\
A path has become dearer by more than the tolerance. Find out by what: --only and --profiles of this
command, then callgrind_annotate --inclusive=yes. If it is worth that, record it in a commit that says
why:";
const CHEAPER: &str = "\
A path has become cheaper. Record that, so that the gain is kept, in a commit that says what made it
so:";
const CHANGED: &str = "What is counted has changed. Record it in a commit that says why:";
const RECORD: &str = "  target/release/vmcp-bench instructions --vmcp target/release/vmcp --record";

/// Counts by path.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Baseline {
    /// The versions of what else decides the counts.
    pub(super) made_with: String,
    pub(super) counts: Vec<(String, u64)>,
}

impl Baseline {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut baseline = Self::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(versions) = line.strip_prefix(MADE_WITH) {
                versions.clone_into(&mut baseline.made_with);
                continue;
            }
            let count = line
                .split_once(' ')
                .and_then(|(count, path)| Some((path.trim().to_owned(), count.parse().ok()?)));
            baseline.counts.push(count.with_context(|| format!("not a count: {line}"))?);
        }
        Ok(baseline)
    }

    fn count(&self, path: &str) -> Option<u64> {
        self.counts.iter().find(|(name, _)| name == path).map(|(_, count)| *count)
    }

    /// What is to be recorded, now that these paths were counted, which are all whose names hold
    /// `only`.
    pub(super) fn renewed(self, now: Self, only: &str) -> Self {
        let kept = |path: &str, count| match self.count(path) {
            Some(before) if change(before, count).abs() < NOISE => before,
            _ => count,
        };
        let mut counts: Vec<(String, u64)> = Vec::new();
        counts.extend(now.counts.iter().map(|(path, count)| (path.clone(), kept(path, *count))));
        counts.extend(self.counts.into_iter().filter(|(path, _)| !path.contains(only)));
        Self { made_with: now.made_with, counts }
    }

    /// Holds what is counted now against this.
    pub(super) fn compare(&self, now: &Self, only: &str) -> Comparison {
        let mut lines: Vec<Line> = now
            .counts
            .iter()
            .map(|(path, count)| Line {
                path: path.clone(),
                now: Some(*count),
                recorded: self.count(path),
            })
            .collect();
        let is_gone = |path: &str| path.contains(only) && now.count(path).is_none();
        lines.extend(
            self.counts.iter().filter(|(path, _)| is_gone(path)).map(|(path, count)| Line {
                path: path.clone(),
                now: None,
                recorded: Some(*count),
            }),
        );
        let made_with = [self.made_with.clone(), now.made_with.clone()];
        Comparison { lines, made_with }
    }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}\n{MADE_WITH}{}\n", self.made_with)?;
        self.counts.iter().try_for_each(|(path, count)| writeln!(f, "{count:>9}  {path}"))
    }
}

/// What is counted beside what was recorded.
#[derive(Debug)]
pub(super) struct Comparison {
    lines: Vec<Line>,
    /// Then and now.
    made_with: [String; 2],
}

/// One path.
#[derive(Debug)]
struct Line {
    path: String,
    now: Option<u64>,
    recorded: Option<u64>,
}

/// How a path stands.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    Dearer,
    Cheaper,
    /// Nothing was recorded.
    New,
    /// It is not counted any more.
    Gone,
}

impl Line {
    fn change(&self) -> Option<f64> {
        Some(change(self.recorded?, self.now?))
    }

    fn verdict(&self) -> Verdict {
        match self.change() {
            Some(change) if change > TOLERANCE => Verdict::Dearer,
            Some(change) if change < -TOLERANCE => Verdict::Cheaper,
            Some(_) => Verdict::Same,
            None if self.now.is_some() => Verdict::New,
            None => Verdict::Gone,
        }
    }
}

impl Comparison {
    pub(super) fn is_good(&self) -> bool {
        self.lines.iter().all(|line| line.verdict() == Verdict::Same)
    }

    fn any(&self, verdict: &Verdict) -> bool {
        self.lines.iter().any(|line| line.verdict() == *verdict)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |count: Option<u64>| count.map_or_else(|| "-".into(), |n| n.to_string());
        let width = self.lines.iter().map(|line| line.path.len()).max().unwrap_or(0);
        writeln!(
            f,
            "{:width$}  {:>12}  {:>9}  {:>7}",
            "instructions a call", "now", "recorded", "change"
        )?;
        for line in &self.lines {
            let change = line.change().map_or_else(String::new, percent);
            let verdict = match line.verdict() {
                Verdict::Same => "",
                Verdict::Dearer => "  DEARER",
                Verdict::Cheaper => "  CHEAPER",
                Verdict::New => "  NEW",
                Verdict::Gone => "  GONE",
            };
            let (path, now, recorded) = (&line.path, number(line.now), number(line.recorded));
            writeln!(f, "{path:width$}  {now:>12}  {recorded:>9}  {change:>7}{verdict}")?;
        }
        if self.is_good() { Ok(()) } else { self.advise(f) }
    }
}

impl Comparison {
    fn advise(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        let [then, now] = &self.made_with;
        if then != now {
            writeln!(f, "{OTHER_VERSIONS}\n  then {then}\n  now  {now}")?;
        }
        let advice = if self.any(&Verdict::Dearer) {
            DEARER
        } else if self.any(&Verdict::Cheaper) {
            CHEAPER
        } else {
            CHANGED
        };
        writeln!(f, "{advice}\n{RECORD}")
    }
}

/// By what share of `before` a count has grown.
fn change(before: u64, now: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "2^53 instructions are a month of a core")]
    let (before, now) = (before as f64, now as f64);
    now / before - 1.0
}

fn percent(share: f64) -> String {
    format!("{:+.1} %", share * 100.0)
}

#[cfg(test)]
mod tests;
