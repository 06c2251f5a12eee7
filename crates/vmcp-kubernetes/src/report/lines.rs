//! The lines in which replicas keep what they see, and how they are written into the message of a condition.
//!
//! `backends 1f3a9c2e5b7d0846; hub-6d5-x2x 17 500r; hub-6d5-zz9 4 498r1u1-`: two replicas, of which the second
//! reaches one backend not and does not know another. The number after a replica's name is counted up by that
//! replica alone and whenever it writes, so that others see that it lives. The letters stand for the backends in the
//! order of their names, the number before a letter says for how many. A `?` at the end says that there may be
//! backends of which the replica does not know. Names are not repeated: they are those under
//! `discoveredBackends` of the same status, and the digest at the front tells if somebody else has changed that list
//! since. So 500 backends cost a replica 5 to 500 characters.

use std::collections::{BTreeMap, BTreeSet};

use super::{BackendHealth, BackendReport, Report};

/// How many characters the API server lets a message of a condition have.
const MAX_MESSAGE: usize = 32_768;

/// The letter for a backend that the replica does not know.
const ABSENT: char = '-';

/// The last word of a replica that waits to be told which backends there are.
const WAITING: &str = "?";

/// What a replica says of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View {
    pub(super) state: BackendHealth,
    /// Whether its breaker keeps calls away.
    pub(super) is_tripped: bool,
}

/// What a replica has written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// How often it wrote.
    pub(super) count: u64,
    /// Its backends, by name.
    pub(super) views: BTreeMap<String, View>,
    /// There may be others, of which it does not know.
    pub(super) is_waiting: bool,
}

/// The lines of all replicas, by the replicas' names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lines(pub(super) BTreeMap<String, Line>);

impl Lines {
    /// Reads a message that goes with a list of backends. If it was written for another list, nobody's backends are
    /// known until each replica has written again. What cannot be read is left out.
    pub(super) fn read(message: &str, names: &BTreeSet<&str>) -> Self {
        let mut parts = message.split("; ");
        let is_of_these = parts.next() == Some(heading(names.iter().copied()).as_str());
        let line = |text: &str| {
            let mut words = text.split(' ');
            let (replica, count) = (words.next()?, words.next()?.parse().ok()?);
            let views = words.next().filter(|_| is_of_these);
            let views = views.and_then(|letters| views_of(letters, names)).unwrap_or_default();
            let is_waiting = words.next() == Some(WAITING);
            (!replica.is_empty()).then(|| (replica.to_owned(), Line { count, views, is_waiting }))
        };
        Self(parts.filter_map(line).collect())
    }

    /// Every backend that some replica knows, by name.
    pub(super) fn names(&self) -> BTreeSet<&str> {
        self.0.values().flat_map(|line| line.views.keys()).map(String::as_str).collect()
    }

    /// Keeps as many lines as a message holds, those of the first replicas by name: then all leave out the same.
    /// Returns what they come to.
    pub(super) fn fit(&mut self) -> String {
        loop {
            let message = self.message();
            if message.len() <= MAX_MESSAGE || self.0.pop_last().is_none() {
                return message;
            }
        }
    }

    fn message(&self) -> String {
        let names = self.names();
        let mut message = heading(names.iter().copied());
        for (replica, line) in &self.0 {
            message.push_str(&format!("; {replica} {} ", line.count));
            message.push_str(&letters_of(&line.views, &names));
            if line.is_waiting {
                message.push_str(&format!(" {WAITING}"));
            }
        }
        message
    }
}

impl Line {
    /// What a replica has to say that sees this.
    pub(super) fn of(report: &Report, count: u64) -> Self {
        let known = report.backends.iter().filter(|backend| !backend.name.is_empty());
        let views = known.map(|backend| (backend.name.clone(), View::of(backend))).collect();
        Self { count, views, is_waiting: report.waiting.is_some() }
    }
}

impl View {
    pub(super) fn of(backend: &BackendReport) -> Self {
        Self { state: backend.state, is_tripped: backend.breaker.is_tripped() }
    }

    fn letter(self) -> char {
        let letter = match self.state {
            BackendHealth::Ready => 'r',
            BackendHealth::Degraded => 'd',
            BackendHealth::Unavailable => 'u',
            BackendHealth::Unknown => 'n',
            BackendHealth::Unauthenticated => 'a',
        };
        if self.is_tripped { letter.to_ascii_uppercase() } else { letter }
    }

    fn read(letter: char) -> Option<Self> {
        let state = match letter.to_ascii_lowercase() {
            'r' => BackendHealth::Ready,
            'd' => BackendHealth::Degraded,
            'u' => BackendHealth::Unavailable,
            'n' => BackendHealth::Unknown,
            'a' => BackendHealth::Unauthenticated,
            _ => return None,
        };
        Some(Self { state, is_tripped: letter.is_ascii_uppercase() })
    }
}

/// A name that can stand in a line: that of a pod always can.
pub(super) fn replica_name(name: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
    let plain = |character| if is_plain(character) { character } else { '-' };
    let name: String = name.chars().map(plain).take(253).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

/// FNV-1a, which every version of this program computes alike.
pub(super) fn digest<'a>(names: impl Iterator<Item = &'a str>) -> u64 {
    let bytes = names.flat_map(|name| name.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn heading<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("backends {:016x}", digest(names))
}

fn letters_of(views: &BTreeMap<String, View>, names: &BTreeSet<&str>) -> String {
    let letter = |name: &&str| views.get(*name).map_or(ABSENT, |view| view.letter());
    let letters: Vec<char> = names.iter().map(letter).collect();
    let run = |run: &[char]| match run {
        [letter] => letter.to_string(),
        many => format!("{}{}", many.len(), many[0]),
    };
    letters.chunk_by(|one, next| one == next).map(run).collect()
}

/// `None` if the letters are not as many as the names.
fn views_of(letters: &str, names: &BTreeSet<&str>) -> Option<BTreeMap<String, View>> {
    let mut names = names.iter();
    let mut views = BTreeMap::new();
    let mut rest = letters;
    while let Some(at) = rest.find(|character: char| !character.is_ascii_digit()) {
        let letter = rest[at..].chars().next()?;
        let count: usize = if at == 0 { 1 } else { rest[..at].parse().ok()? };
        if count > names.len() {
            return None;
        }
        let view = View::read(letter);
        if view.is_none() && letter != ABSENT {
            return None;
        }
        for name in names.by_ref().take(count) {
            views.extend(view.map(|view| ((*name).to_owned(), view)));
        }
        rest = &rest[at + letter.len_utf8()..];
    }
    (rest.is_empty() && names.len() == 0).then_some(views)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(count: u64, letters: &str, names: &[&str]) -> Line {
        let names = names.iter().copied().collect();
        Line { count, views: views_of(letters, &names).unwrap(), is_waiting: false }
    }

    fn any_lines() -> impl Strategy<Value = Lines> {
        let letter = prop::sample::select("rduna-RDUNA".chars().collect::<Vec<_>>());
        let views = prop::collection::btree_map("[a-e]{1,2}", letter, 0..9);
        let line = (any::<u64>(), views, any::<bool>()).prop_map(|(count, letters, is_waiting)| {
            let view = |(name, letter)| Some((name, View::read(letter)?));
            let views = letters.into_iter().filter_map(view).collect();
            Line { count, views, is_waiting }
        });
        prop::collection::btree_map("[a-z0-9.-]{1,9}", line, 0..5).prop_map(Lines)
    }

    #[test]
    fn lines_are_short_and_say_everything() {
        let names = ["a", "b", "c", "d"];
        let lines = Lines(BTreeMap::from([
            ("hub-1".to_owned(), line(17, "4r", &names)),
            ("hub-2".to_owned(), line(4, "2rU-", &names)),
        ]));
        let digest = digest(names.into_iter());
        assert_eq!(
            lines.clone().fit(),
            format!("backends {digest:016x}; hub-1 17 4r; hub-2 4 2rU-")
        );
    }

    #[test]
    fn a_list_that_somebody_else_changed_is_not_read_against_the_lines() {
        let lines = Lines(BTreeMap::from([("hub-1".to_owned(), line(3, "rr", &["a", "b"]))]));
        let message = lines.clone().fit();
        let read = Lines::read(&message, &["a", "c"].into());
        assert_eq!(read.0["hub-1"], Line { count: 3, ..Line::default() });
        assert_eq!(Lines::read(&message, &["a", "b"].into()), lines);
    }

    #[test]
    fn five_hundred_backends_and_fifty_replicas_that_see_each_another_fit() {
        let names: Vec<String> = (0..500).map(|index| format!("backend-{index:03}")).collect();
        let of = |replica: usize| {
            let view = |(index, name): (usize, &String)| {
                let state = if (index + replica).is_multiple_of(2) { 'r' } else { 'u' };
                (name.clone(), View::read(state).unwrap())
            };
            let views = names.iter().enumerate().map(view).collect();
            (
                format!("hub-7c9d8f6b5-{replica:05}"),
                Line { count: 99_999, views, is_waiting: false },
            )
        };
        let mut lines = Lines((0..50).map(of).collect());
        let message = lines.fit();
        assert_eq!(lines.0.len(), 50);
        assert!(message.len() <= MAX_MESSAGE, "{}", message.len());
    }

    #[test]
    fn what_does_not_fit_are_the_last_replicas() {
        let names: Vec<String> = (0..9_000).map(|index| format!("{index:04}")).collect();
        let of = |replica: usize| {
            let view = |(index, name): (usize, &String)| {
                let state = if index.is_multiple_of(2) { 'r' } else { 'u' };
                (name.clone(), View::read(state).unwrap())
            };
            let views = names.iter().enumerate().map(view).collect();
            (replica.to_string(), Line { count: 1, views, is_waiting: false })
        };
        let mut lines = Lines((0..5).map(of).collect());
        lines.fit();
        assert_eq!(lines.0.keys().collect::<Vec<_>>(), ["0", "1", "2"]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(mut lines in any_lines()) {
            let message = lines.fit();
            prop_assert_eq!(Lines::read(&message, &lines.names()), lines);
        }

        #[test]
        fn any_message_is_read(message in ".*", runs in "[0-9ruUxé-]{0,30}") {
            Lines::read(&message, &["a", "b"].into());
            let heading = heading(["a", "b"].into_iter());
            Lines::read(&format!("{heading}; x 1 {runs}; {message}"), &["a", "b"].into());
        }

        #[test]
        fn any_name_of_a_replica_can_stand_in_a_line(name in ".*") {
            let name = replica_name(&name);
            let mut lines = Lines(BTreeMap::from([(name, line(1, "r", &["a"]))]));
            prop_assert_eq!(Lines::read(&lines.fit(), &["a"].into()), lines);
        }
    }
}
