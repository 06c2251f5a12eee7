//! Which of the other replicas have ended without a word.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::Instant;

use super::lines::Lines;

/// What this replica has seen of the lines of others, by its own clock: those of others may be wrong, and tell
/// nothing here.
pub(super) struct Alive {
    seen: BTreeMap<String, Seen>,
    last: Option<Instant>,
    /// How long a line may be unchanged.
    limit: Duration,
    /// How long a replica may be absent from the [register](super::Register) in which it was before.
    absence: Duration,
    /// How much at most passes between two looks. All may have been kept from writing for longer.
    most: Duration,
}

#[derive(Default)]
struct Seen {
    count: u64,
    /// How long nothing has shown that it lives.
    silent: Duration,
    was_registered: bool,
}

impl Alive {
    /// Where each replica looks, and enters the register, once in an interval.
    pub(super) fn new(limit: Duration, interval: Duration) -> Self {
        let (absence, most) = (interval * 3, interval * 2);
        Self { seen: BTreeMap::new(), last: None, limit, absence, most }
    }

    /// Looks at the lines that stand there now, and at what a register says of their replicas: `None` where it says
    /// nothing. Returns which of the others' are to go.
    pub(super) fn look(
        &mut self,
        lines: &Lines,
        own: &str,
        registered: impl Fn(&str) -> Option<bool>,
        now: Instant,
    ) -> BTreeSet<String> {
        let passed = self.last.map_or(Duration::ZERO, |last| now.duration_since(last));
        let passed = passed.min(self.most);
        self.last = Some(now);
        let mut before = std::mem::take(&mut self.seen);
        for (replica, line) in lines.0.iter().filter(|(replica, _)| *replica != own) {
            let mut seen = before
                .remove(replica)
                .map(|seen| Seen { silent: seen.silent + passed, ..seen })
                .unwrap_or_default();
            let is_registered = registered(replica);
            // Where the register cannot be asked, nobody may have written anew who relies on it.
            let is_unknown = is_registered.is_none() && seen.was_registered;
            if seen.count != line.count || is_registered == Some(true) || is_unknown {
                seen.silent = Duration::ZERO;
            }
            seen.count = line.count;
            seen.was_registered |= is_registered == Some(true);
            self.seen.insert(replica.clone(), seen);
        }
        let limit = |seen: &Seen| if seen.was_registered { self.absence } else { self.limit };
        let gone = self.seen.iter().filter(|(_, seen)| seen.silent >= limit(seen));
        gone.map(|(replica, _)| replica.clone()).collect()
    }

    /// Whether a replica was seen before, and has shown for so long by nothing that it lives.
    pub(super) fn is_silent(&self, replica: &str, time: Duration) -> bool {
        self.seen.get(replica).is_some_and(|seen| seen.silent >= time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::lines::Line;

    const MINUTE: Duration = Duration::from_secs(60);

    fn lines(counts: &[(&str, u64)]) -> Lines {
        let line = |(replica, count): &(&str, u64)| {
            ((*replica).to_owned(), Line { count: *count, ..Line::default() })
        };
        Lines(counts.iter().map(line).collect())
    }

    fn nobody(_replica: &str) -> Option<bool> {
        None
    }

    #[test]
    fn who_is_registered_lives_and_who_is_so_no_more_is_gone_soon() {
        let mut alive = Alive::new(15 * MINUTE, MINUTE);
        let start = Instant::now();
        let lines = lines(&[("rests", 7), ("dies", 7)]);
        let mut look = |minute: u32, registered: fn(&str) -> Option<bool>| {
            alive.look(&lines, "own", registered, start + minute * MINUTE)
        };
        for minute in 0..60 {
            assert!(look(minute, |_| Some(true)).is_empty(), "{minute}");
        }
        for minute in 60..90 {
            assert!(look(minute, nobody).is_empty(), "it cannot be asked at {minute}");
        }
        for minute in 90..92 {
            assert!(look(minute, |replica| Some(replica == "rests")).is_empty(), "{minute}");
        }
        let gone = look(92, |replica| Some(replica == "rests"));
        assert_eq!(gone, ["dies".to_owned()].into());
    }

    #[test]
    fn who_was_never_registered_lives_as_its_line_shows() {
        let mut alive = Alive::new(15 * MINUTE, MINUTE);
        let start = Instant::now();
        let lines = lines(&[("older", 7)]);
        for minute in 0..15 {
            let gone = alive.look(&lines, "own", |_| Some(false), start + minute * MINUTE);
            assert!(gone.is_empty(), "{minute}");
        }
        assert!(!alive.look(&lines, "own", |_| Some(false), start + 15 * MINUTE).is_empty());
    }

    #[test]
    fn a_line_goes_that_was_seen_unchanged_for_the_whole_time() {
        let mut alive = Alive::new(15 * MINUTE, MINUTE);
        let start = Instant::now();
        for minute in 0..15 {
            let lines = lines(&[("own", 1), ("still", 7), ("lives", u64::from(minute / 5))]);
            let gone = alive.look(&lines, "own", nobody, start + minute * MINUTE);
            assert!(gone.is_empty(), "{minute}");
        }
        let last = lines(&[("own", 1), ("still", 7), ("lives", 2)]);
        let gone = alive.look(&last, "own", nobody, start + 15 * MINUTE);
        assert_eq!(gone, ["still".to_owned()].into());
    }

    #[test]
    fn time_in_which_nothing_was_seen_does_not_count() {
        let mut alive = Alive::new(15 * MINUTE, MINUTE);
        let start = Instant::now();
        let lines = lines(&[("other", 7)]);
        assert!(alive.look(&lines, "own", nobody, start).is_empty());
        assert!(alive.look(&lines, "own", nobody, start + 60 * MINUTE).is_empty());
        assert!(alive.look(&lines, "own", nobody, start + 72 * MINUTE).is_empty());
        for minute in 73..83 {
            assert!(
                alive.look(&lines, "own", nobody, start + minute * MINUTE).is_empty(),
                "{minute}"
            );
        }
        assert!(!alive.look(&lines, "own", nobody, start + 83 * MINUTE).is_empty());
    }

    #[test]
    fn a_line_that_comes_back_is_new() {
        let mut alive = Alive::new(2 * MINUTE, MINUTE);
        let start = Instant::now();
        alive.look(&lines(&[("other", 7)]), "own", nobody, start);
        alive.look(&lines(&[]), "own", nobody, start + MINUTE);
        let back = lines(&[("other", 7)]);
        assert!(alive.look(&back, "own", nobody, start + 2 * MINUTE).is_empty());
        assert!(alive.look(&back, "own", nobody, start + 3 * MINUTE).is_empty());
        assert!(!alive.look(&back, "own", nobody, start + 4 * MINUTE).is_empty());
    }
}
