//! What came of calls, one by one and together.

use std::{collections::BTreeMap, fmt, time::Duration};

use tokio::time::Instant;

/// What came of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The backend counted.
    Counted,
    /// vmcp refused it with this status, and said when to try again or not.
    Refused { status: u16, says_when: bool },
    /// The answer is an error with status 200.
    Error,
    /// No whole answer came: whether the backend has counted is unknown.
    Cut,
}

/// One call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub began: Instant,
    pub took: Duration,
    pub outcome: Outcome,
}

/// What came of a load.
#[derive(Debug, Default)]
pub struct Tally {
    /// Every call, session by session.
    pub calls: Vec<Call>,
    /// Counts that were not what they had to be, and refusals of calls that ran.
    pub wrong: Vec<String>,
    /// An example of each kind of failure, for a failing test to show.
    pub examples: BTreeMap<Outcome, String>,
}

impl Tally {
    /// How many calls ended like this.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.calls.iter().filter(|call| call.outcome == outcome).count()
    }

    /// How many calls were answered by the backend.
    pub fn counted(&self) -> usize {
        self.count(Outcome::Counted)
    }

    /// How many were not.
    pub fn failed(&self) -> usize {
        self.calls.len() - self.counted()
    }

    /// The calls that were refused with this status.
    pub fn refused(&self, status: u16) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| {
            matches!(call.outcome, Outcome::Refused { status: given, .. } if given == status)
        })
    }

    /// The longest time that a call took.
    pub fn longest(&self) -> Duration {
        self.calls.iter().map(|call| call.took).max().unwrap_or_default()
    }

    pub(super) fn add(&mut self, other: Self) {
        self.calls.extend(other.calls);
        self.wrong.extend(other.wrong);
        self.examples.extend(other.examples);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut outcomes: BTreeMap<Outcome, usize> = BTreeMap::new();
        self.calls.iter().for_each(|call| *outcomes.entry(call.outcome).or_default() += 1);
        write!(f, "{} calls, longest {:?}:", self.calls.len(), self.longest())?;
        outcomes.iter().try_for_each(|(outcome, count)| write!(f, " {outcome:?} {count}"))
    }
}
