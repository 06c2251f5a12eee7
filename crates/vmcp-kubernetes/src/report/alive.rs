//! Which of the other replicas have ended without a word.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::lines::{Line, Lines};

/// What this replica has seen of the lines of others, by its own clock: those of others may be wrong, and tell
/// nothing here.
pub(super) struct Alive {
    seen: BTreeMap<String, Seen>,
    last: Option<Instant>,
    /// How long a line may be unchanged.
    limit: Duration,
    /// How much at most passes between two looks. All may have been kept from writing for longer.
    most: Duration,
}

struct Seen {
    count: u64,
    unchanged: Duration,
}

impl Alive {
    pub(super) fn new(limit: Duration, most: Duration) -> Self {
        Self { seen: BTreeMap::new(), last: None, limit, most }
    }

    /// Looks at the lines that stand there now. Returns which of the others' are to go.
    pub(super) fn look(&mut self, lines: &Lines, own: &str, now: Instant) -> BTreeSet<String> {
        let passed = self.last.map_or(Duration::ZERO, |last| now.duration_since(last));
        let passed = passed.min(self.most);
        self.last = Some(now);
        let others = || lines.0.iter().filter(|(replica, _)| *replica != own);
        let before = std::mem::take(&mut self.seen);
        let look = |(replica, line): (&String, &Line)| {
            let seen = before.get(replica).filter(|seen| seen.count == line.count);
            let unchanged = seen.map_or(Duration::ZERO, |seen| seen.unchanged + passed);
            (replica.clone(), Seen { count: line.count, unchanged })
        };
        self.seen = others().map(look).collect();
        let gone = self.seen.iter().filter(|(_, seen)| seen.unchanged >= self.limit);
        gone.map(|(replica, _)| replica.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn lines(counts: &[(&str, u64)]) -> Lines {
        let line = |(replica, count): &(&str, u64)| {
            ((*replica).to_owned(), Line { count: *count, views: BTreeMap::new() })
        };
        Lines(counts.iter().map(line).collect())
    }

    #[test]
    fn a_line_goes_that_was_seen_unchanged_for_the_whole_time() {
        let mut alive = Alive::new(15 * MINUTE, 2 * MINUTE);
        let start = Instant::now();
        for minute in 0..15 {
            let lines = lines(&[("own", 1), ("still", 7), ("lives", u64::from(minute / 5))]);
            let gone = alive.look(&lines, "own", start + minute * MINUTE);
            assert!(gone.is_empty(), "{minute}");
        }
        let last = lines(&[("own", 1), ("still", 7), ("lives", 2)]);
        let gone = alive.look(&last, "own", start + 15 * MINUTE);
        assert_eq!(gone, ["still".to_owned()].into());
    }

    #[test]
    fn time_in_which_nothing_was_seen_does_not_count() {
        let mut alive = Alive::new(15 * MINUTE, 2 * MINUTE);
        let start = Instant::now();
        let lines = lines(&[("other", 7)]);
        assert!(alive.look(&lines, "own", start).is_empty());
        assert!(alive.look(&lines, "own", start + 60 * MINUTE).is_empty());
        assert!(alive.look(&lines, "own", start + 72 * MINUTE).is_empty());
        for minute in 73..83 {
            assert!(alive.look(&lines, "own", start + minute * MINUTE).is_empty(), "{minute}");
        }
        assert!(!alive.look(&lines, "own", start + 83 * MINUTE).is_empty());
    }

    #[test]
    fn a_line_that_comes_back_is_new() {
        let mut alive = Alive::new(2 * MINUTE, 2 * MINUTE);
        let start = Instant::now();
        alive.look(&lines(&[("other", 7)]), "own", start);
        alive.look(&lines(&[]), "own", start + MINUTE);
        let back = lines(&[("other", 7)]);
        assert!(alive.look(&back, "own", start + 2 * MINUTE).is_empty());
        assert!(alive.look(&back, "own", start + 3 * MINUTE).is_empty());
        assert!(!alive.look(&back, "own", start + 4 * MINUTE).is_empty());
    }
}
