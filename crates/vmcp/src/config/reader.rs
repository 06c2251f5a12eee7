//! Reads one map of the file by its table of keys.
//!
//! What the table does not list is refused when the reader is made. What the table does list must
//! be asked for by whoever uses the reader: a key that is accepted and read by nobody would do
//! nothing.

use std::{cell::RefCell, time::Duration};

use super::{
    not_yet,
    problem::{Place, Report},
    schema::{Key, Need, Shape},
    suggest::{did_you_mean, nearest},
    tree::{Content, Entry, Node},
    units,
    value::{Value, join},
};

/// Where it is said what callers may do.
const AUTHORIZATION: &str = "incomingAuth.authz";

/// A map whose keys are known.
pub(super) struct Reader<'a> {
    keys: &'static [Key],
    entries: &'a [Entry],
    /// Whether the map stands in the file at all. Where it does not, defaults are read from it.
    present: bool,
    place: Place,
    path: String,
    pub(super) report: &'a Report<'a>,
    asked: RefCell<Vec<&'static str>>,
    /// Keys that probably stand there, misspelt.
    meant: RefCell<Vec<&'static str>>,
}

impl<'a> Reader<'a> {
    /// Reads the whole document.
    pub(super) fn root(node: &'a Node, keys: &'static [Key], report: &'a Report<'a>) -> Self {
        Self::of(&Value::new(node, String::new(), report), keys)
    }

    /// Refuses whatever the table does not list.
    fn of(value: &Value<'a>, keys: &'static [Key]) -> Self {
        let entries = value.entries();
        let reader = Self {
            keys,
            entries: entries.unwrap_or_default(),
            present: entries.is_some(),
            place: value.place(),
            path: value.path().to_owned(),
            report: value.report(),
            asked: RefCell::default(),
            meant: RefCell::default(),
        };
        for entry in reader.entries {
            reader.refuse_unknown(entry);
        }
        reader
    }

    /// Says that something is wrong with the map as a whole.
    pub(super) fn problem(&self, text: impl Into<String>) {
        self.report.problem(self.place, &self.path, text);
    }

    /// Says that a key is missing, unless it has been asked whether a misspelt one means it.
    pub(super) fn missing(&self, name: &str, text: impl Into<String>) {
        if self.meant.borrow().contains(&name) {
            return;
        }
        self.report.problem(self.place, &join(&self.path, name), text);
    }

    /// What an environment variable holds that the file need not name.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.report.variable(name)
    }

    /// Whether the map stands in the file.
    pub(super) fn is_present(&self) -> bool {
        self.present
    }

    /// Passes over a key whose meaning is unknown because of another problem.
    pub(super) fn leave(&self, name: &str) {
        self.key(name);
    }

    /// Whether there is such a key in its table.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name && self.entry(key).is_some())
    }

    /// Where a key stands with a value that is not the same as none.
    fn entry(&self, key: &Key) -> Option<&'a Entry> {
        let entry = self.entries.iter().find(|entry| entry.key == key.name)?;
        (!is_none(key, &entry.node.content)).then_some(entry)
    }

    /// What stands under a key, to read it or to complain about it.
    pub(super) fn value(&self, name: &str) -> Option<Value<'a>> {
        let key = self.key(name);
        let path = join(&self.path, name);
        let Some(entry) = self.entry(key) else {
            if key.is_required() && self.present {
                self.missing(name, format!("is required: {}", key.doc));
            }
            return None;
        };
        Some(Value::new(&entry.node, path, self.report))
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = self.value(name)?;
        let may_be_empty = matches!(self.key(name).shape, Shape::AnyText);
        if may_be_empty { value.any_text() } else { value.text() }
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.value(name)?.flag()
    }

    /// What one word out of several stands for. `meanings` has one for each, in the table's order.
    pub(super) fn choice<T: Copy>(&self, name: &str, meanings: &[T]) -> Option<T> {
        let Shape::Choice { values, not_yet } = self.key(name).shape else {
            unreachable!("{name} is not a choice")
        };
        debug_assert_eq!(values.len(), meanings.len(), "{name} has a word without a meaning");
        let value = self.value(name)?;
        let text = value.any_text()?;
        if let Some(index) = values.iter().position(|word| *word == text) {
            return meanings.get(index).copied();
        }
        let quoted = value.quoted();
        let mut words = values.join(" or ");
        if values.len() == 1 && not_yet.is_empty() && !self.key(name).is_required() {
            words += " or left out";
        }
        let not_yet_words = || not_yet.iter().map(|(word, _)| *word);
        let near = nearest(&text, values.iter().copied().chain(not_yet_words()));
        let advice = |wanted: &str| not_yet.iter().find(|(word, _)| *word == wanted);
        value.problem(match (advice(&text), near.and_then(advice), not_yet.first()) {
            (Some((_, advice)), _, _) => format!("{quoted} is not supported yet{advice}"),
            (None, Some((word, advice)), _) => {
                format!("unknown word {quoted}; did you mean {word:?}? It is not supported yet{advice}")
            }
            (None, None, Some((_, advice))) if near.is_none() => format!(
                "{quoted} is not a word that is known here ({words}), and any other is not supported \
                 yet{advice}"
            ),
            (None, None, _) => {
                let hint = did_you_mean(&text, values.iter().copied());
                format!("must be {words}, not {quoted}{hint}")
            }
        });
        None
    }

    /// A number; the default where there is none, or none that can be used.
    pub(super) fn count(&self, name: &str) -> usize {
        let Shape::Count { default, least, most } = self.key(name).shape else {
            unreachable!("{name} is not a number")
        };
        self.value(name).and_then(|value| value.count(least, most)).unwrap_or(default)
    }

    /// A number of bytes, or the default.
    pub(super) fn size(&self, name: &str) -> usize {
        let Shape::Size { default, most } = self.key(name).shape else {
            unreachable!("{name} is not a size")
        };
        self.value(name).and_then(|value| value.size(most)).unwrap_or(default)
    }

    /// A duration, or the default.
    pub(super) fn time(&self, name: &str) -> Duration {
        let Shape::Time { default, most } = self.key(name).shape else {
            unreachable!("{name} is not a duration")
        };
        self.value(name).and_then(|value| value.time(most)).unwrap_or(default)
    }

    /// The longest duration that a map of durations may hold.
    pub(super) fn longest(&self, name: &str) -> Duration {
        let Shape::TimeMap { most } = self.key(name).shape else {
            unreachable!("{name} is not a map of durations")
        };
        most
    }

    /// The items of a list.
    pub(super) fn items(&self, name: &str) -> Vec<Value<'a>> {
        self.value(name).map(|value| value.items()).unwrap_or_default()
    }

    /// The texts of a list, each with its value.
    pub(super) fn texts(&self, name: &str) -> Vec<(Value<'a>, String)> {
        let items = self.items(name).into_iter();
        items.filter_map(|item| item.text().map(|text| (item, text))).collect()
    }

    /// The entries of a map whose keys are free.
    pub(super) fn pairs(&self, name: &str) -> Vec<(&'a str, Value<'a>)> {
        self.value(name).map(|value| value.pairs()).unwrap_or_default()
    }

    /// The map under a key; an empty one where there is none.
    pub(super) fn section(&self, name: &str) -> Self {
        let Shape::Section(keys) = self.key(name).shape else {
            unreachable!("{name} is not a section")
        };
        match self.value(name) {
            Some(value) => Self::of(&value, keys),
            None => Self {
                keys,
                entries: &[],
                present: false,
                place: self.place,
                path: join(&self.path, name),
                report: self.report,
                asked: RefCell::default(),
                meant: RefCell::default(),
            },
        }
    }

    /// The maps of a list.
    pub(super) fn sections(&self, name: &str) -> Vec<Self> {
        let Shape::Sections(keys) = self.key(name).shape else {
            unreachable!("{name} is not a list of sections")
        };
        self.items(name).iter().map(|item| Self::of(item, keys)).collect()
    }

    /// The maps of a map whose keys are free.
    pub(super) fn named(&self, name: &str) -> Vec<(&'a str, Value<'a>, Self)> {
        let Shape::Named(keys) = self.key(name).shape else {
            unreachable!("{name} is not a map of sections")
        };
        let pairs = self.pairs(name).into_iter();
        pairs
            .map(|(key, value)| {
                let reader = Self::of(&value, keys);
                (key, value, reader)
            })
            .collect()
    }

    /// Looks a key up in the table, and marks it as read.
    fn key(&self, name: &str) -> &'static Key {
        let key = self.keys.iter().find(|key| key.name == name);
        let key = key.expect("only keys of the table are asked for");
        self.asked.borrow_mut().push(key.name);
        key
    }

    fn refuse_unknown(&self, entry: &Entry) {
        let name = entry.key.as_str();
        let named = self.keys.iter().find(|key| key.name == name);
        let content = &entry.node.content;
        match named.map(|key| key.need) {
            Some(Need::Required | Need::Optional) => {}
            Some(Need::NotYet { off, .. }) if off.holds(content) => {}
            Some(Need::NotYet { advice, .. }) => {
                let text = format!("is not supported yet{advice}");
                self.report.problem(entry.place, &join(&self.path, name), text);
            }
            Some(Need::WithoutEffect(_)) if not_yet::is_empty(content) => {}
            Some(Need::WithoutEffect(why)) => {
                self.report.warning(entry.place, &join(&self.path, name), why);
            }
            None => {
                let names = self.keys.iter().map(|key| key.name);
                let hint = if let Some(meant) = nearest(name, names) {
                    self.meant.borrow_mut().push(meant);
                    format!("; did you mean {meant:?}?")
                } else if not_yet::decides_upon_calls(name) && self.path != AUTHORIZATION {
                    format!("; what callers may do stands under {AUTHORIZATION}")
                } else {
                    let supported = self.keys.iter().filter(|key| key.is_read());
                    let supported: Vec<_> = supported.map(|key| key.name).collect();
                    format!("; the keys here are {}", supported.join(", "))
                };
                self.report.problem(entry.place, &self.path, format!("unknown key {name:?}{hint}"));
            }
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let asked = self.asked.borrow();
        let forgotten = self.keys.iter().find(|key| key.is_read() && !asked.contains(&key.name));
        debug_assert!(
            forgotten.is_none() || std::thread::panicking(),
            "{}: {:?} is accepted and read by nobody",
            self.path,
            forgotten.map(|key| key.name)
        );
    }
}

/// Whether a value under a key is the same as none. A list or a map may be left empty, as its lines
/// are when all of them are comments.
fn is_none(key: &Key, content: &Content) -> bool {
    match (key.shape, content) {
        (shape, Content::Null) if shape.is_collection() => !key.is_required(),
        (Shape::Time { .. }, Content::Text(text)) => {
            key.or_zero && (text == "0" || units::duration(text).is_some_and(|time| time.is_zero()))
        }
        (Shape::Count { .. }, Content::Text(text)) => key.or_zero && text == "0",
        (_, Content::Null) => key.or_zero,
        (_, Content::Text(text)) => key.or_zero && text.is_empty(),
        _ => false,
    }
}
