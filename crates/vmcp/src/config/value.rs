//! One value of the file: reading it as what its key calls for, or saying why that fails.
//!
//! A message quotes a value as it stands in the file, never what a variable put into it, and
//! where the wrong kind of value stands it quotes nothing: it may be a misplaced secret.

use std::{cell::RefCell, time::Duration};

use super::{
    expand::{self, Unexpanded},
    problem::{Place, Report},
    schema::LEAST_TIME,
    tree::{Content, Entry, Node},
    units,
};

/// A value, and the keys that lead to it.
#[derive(Clone)]
pub(super) struct Value<'a> {
    node: &'a Node,
    path: String,
    report: &'a Report<'a>,
}

impl<'a> Value<'a> {
    pub(super) fn new(node: &'a Node, path: String, report: &'a Report<'a>) -> Self {
        Self { node, path, report }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn place(&self) -> Place {
        self.node.place
    }

    pub(super) fn report(&self) -> &'a Report<'a> {
        self.report
    }

    pub(super) fn problem(&self, text: impl Into<String>) {
        self.report.problem(self.place(), &self.path, text);
    }

    /// Says that a variable or a file that the value names is not there.
    pub(super) fn not_here(&self, text: impl Into<String>) {
        self.report.not_here(self.place(), &self.path, text);
    }

    /// Says that a variable that the value names is not there.
    pub(super) fn no_variable(&self, text: impl Into<String>) {
        self.report.no_variable(self.place(), &self.path, text);
    }

    pub(super) fn warning(&self, text: impl Into<String>) {
        self.report.warning(self.place(), &self.path, text);
    }

    /// Warns of a variable as a shell has it, `$NAME`, whose value nobody puts in. The text may be a
    /// secret and is not shown.
    pub(super) fn warn_of_shell_variables(&self) {
        if let Content::Text(text) = &self.node.content
            && expand::shell_variable(text).is_some()
        {
            self.warning(
                "holds a $ and a name without braces, which stays as it stands; \
                 write ${NAME} for the value of the environment variable NAME",
            );
        }
    }

    /// The value in quotes, as it stands in the file, for a message.
    pub(super) fn quoted(&self) -> String {
        const LONGEST: usize = 100;
        match &self.node.content {
            Content::Text(text) if text.chars().count() <= LONGEST => format!("{text:?}"),
            _ => "the value".to_owned(),
        }
    }

    /// Text, which may be empty. Numbers and truth values count as the text they are written as.
    pub(super) fn any_text(&self) -> Option<String> {
        match &self.node.content {
            Content::Text(text) => self.expanded(text),
            Content::Null => self.no_value(),
            Content::List(_) | Content::Map(_) => {
                self.problem("must be text");
                None
            }
        }
    }

    /// What the variables in a text hold.
    pub(super) fn variables(&self) -> Vec<String> {
        let found = RefCell::new(Vec::new());
        if let Content::Text(text) = &self.node.content {
            let variable = |name: &str| {
                let content = self.report.variable(name)?;
                found.borrow_mut().push(content.clone());
                Some(content)
            };
            // What is wrong with it is told when it is read.
            let _expanded = expand::expand(text, variable);
        }
        found.into_inner()
    }

    /// Text that is not empty.
    pub(super) fn text(&self) -> Option<String> {
        let text = self.any_text()?;
        if text.trim().is_empty() {
            self.problem("is empty");
            return None;
        }
        Some(text)
    }

    pub(super) fn flag(&self) -> Option<bool> {
        if matches!(self.node.content, Content::List(_) | Content::Map(_)) {
            self.problem("must be true or false");
            return None;
        }
        self.scalar("is not true or false", units::flag)
    }

    pub(super) fn count(&self, least: usize, most: usize) -> Option<usize> {
        let count = self.scalar("is not a whole number", units::whole)?;
        self.within(usize::try_from(count).ok(), least, most, |count| count.to_string())
    }

    pub(super) fn size(&self, most: usize) -> Option<usize> {
        let wrong = "is not a size; write a number of bytes, or one with KiB, MiB or GiB";
        let size = self.scalar(wrong, units::size)?;
        self.within(usize::try_from(size).ok(), 1, most, units::show_size)
    }

    pub(super) fn time(&self, most: Duration) -> Option<Duration> {
        let wrong = "is not a duration; write it like 30s, 1m30s or 500ms";
        let time = self.scalar(wrong, |text| match text.strip_prefix('-') {
            Some(below_zero) => units::duration(below_zero).map(|_time| None),
            None => units::duration(text).map(Some),
        })?;
        self.within(time, LEAST_TIME, most, units::show_duration)
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Vec<Self> {
        match &self.node.content {
            Content::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.inside(item, format!("{}[{index}]", self.path)))
                .collect(),
            Content::Null => self.no_value().unwrap_or_default(),
            Content::Text(_) | Content::Map(_) => {
                self.problem("must be a list");
                Vec::new()
            }
        }
    }

    /// Whether this is a list or a map with nothing in it.
    pub(super) fn is_bare(&self) -> bool {
        match &self.node.content {
            Content::List(items) => items.is_empty(),
            Content::Map(entries) => entries.is_empty(),
            Content::Null | Content::Text(_) => false,
        }
    }

    /// The entries of a map, as the file has them.
    pub(super) fn entries(&self) -> Option<&'a [Entry]> {
        match &self.node.content {
            Content::Map(entries) => Some(entries),
            Content::Null => self.no_value(),
            Content::Text(_) | Content::List(_) => {
                self.problem("must be a map of keys");
                None
            }
        }
    }

    /// The entries of a map whose keys are free.
    pub(super) fn pairs(&self) -> Vec<(&'a str, Self)> {
        let entries = self.entries().unwrap_or_default();
        let pair = |entry: &'a Entry| {
            let value = self.inside(&entry.node, join(&self.path, &entry.key));
            (entry.key.as_str(), value)
        };
        entries.iter().map(pair).collect()
    }

    fn inside(&self, node: &'a Node, path: String) -> Self {
        Self { node, path, report: self.report }
    }

    fn scalar<T>(&self, wrong: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = read(&self.text()?);
        if value.is_none() {
            self.problem(format!("{} {wrong}", self.quoted()));
        }
        value
    }

    /// A value within its bounds; `None` is beyond any.
    fn within<T: PartialOrd>(
        &self,
        value: Option<T>,
        least: T,
        most: T,
        show: impl Fn(T) -> String,
    ) -> Option<T> {
        let value = value.filter(|value| (&least..=&most).contains(&value));
        if value.is_none() {
            let (least, most) = (show(least), show(most));
            self.problem(format!("{} is not between {least} and {most}", self.quoted()));
        }
        value
    }

    fn expanded(&self, text: &str) -> Option<String> {
        match expand::expand(text, |name| self.report.variable(name)) {
            Ok(text) => Some(text),
            Err(Unexpanded::Unset(name)) => {
                self.no_variable(format!(
                    "the environment variable {name} is not set; set it, or write $${{ for ${{"
                ));
                None
            }
            Err(Unexpanded::Nested) => {
                self.problem(
                    "a default cannot hold \"${\", as variables do not nest; \
                     write the default itself, or set the variable",
                );
                None
            }
            Err(Unexpanded::Foreign { what, cure }) => {
                self.problem(format!("{what}; write {cure}"));
                None
            }
            Err(Unexpanded::Malformed) => {
                self.problem(
                    "\"${\" is not followed by a variable's name and \"}\"; \
                     write $${ if it means itself",
                );
                None
            }
        }
    }

    fn no_value<T>(&self) -> Option<T> {
        self.problem("has no value; give it one or remove it");
        None
    }
}

/// The path of a key inside a map.
pub(super) fn join(path: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let key =
        if !key.is_empty() && key.chars().all(plain) { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
