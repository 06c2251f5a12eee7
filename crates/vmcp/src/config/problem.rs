//! What is wrong with a configuration, and where.

use std::{cell::RefCell, fmt, path::Path};

/// Where something stands in the file. Both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: u64,
    pub(super) column: u64,
}

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    /// `None` speaks of the file as a whole.
    pub(super) place: Option<Place>,
    /// The keys that lead there; empty at the root.
    pub(super) path: String,
    pub(super) text: String,
}

/// Everything that is wrong, file by file, in the order of the lines. Holds the lines to show.
#[derive(Debug)]
pub(crate) struct Problems(Vec<String>);

/// Collects what the readers of a file have to say about it.
pub(super) struct Report<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// Told of each file that the configuration refers to, before it is read.
    note: &'a dyn Fn(&Path),
}

impl Problem {
    /// A problem of the file as a whole.
    pub(super) fn of_file(text: impl Into<String>) -> Self {
        Self { place: None, path: String::new(), text: text.into() }
    }

    /// The same of a server that is not served because of it.
    pub(super) fn of_what_is_left_out(self) -> Self {
        Self { text: format!("{}; this server is left out", self.text), ..self }
    }

    /// The line that people read.
    pub(super) fn rendered(&self, file: &str) -> String {
        let place = self.place.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
        let path = if self.path.is_empty() { String::new() } else { format!("{}: ", self.path) };
        format!("{file}{place}: {path}{}", self.text)
    }
}

impl Problems {
    pub(super) fn new(file: &str, mut list: Vec<Problem>) -> Self {
        list.sort();
        list.dedup();
        Self(list.iter().map(|problem| problem.rendered(file)).collect())
    }

    /// Adds what is wrong with another file.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// What is wrong with some files, and with one more.
    pub(super) fn joined(some: Option<Self>, more: Self) -> Self {
        let Some(mut all) = some else { return more };
        all.extend(more);
        all
    }

    /// Each problem as people read it.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// One problem a line.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

impl<'a> Report<'a> {
    /// Starts with what the YAML itself had wrong.
    pub(super) fn new(
        environment: &'a dyn Fn(&str) -> Option<String>,
        problems: Vec<Problem>,
    ) -> Self {
        Self {
            environment,
            problems: RefCell::new(problems),
            warnings: RefCell::default(),
            note: &|_path| {},
        }
    }

    /// Has files noted that the configuration refers to.
    pub(super) fn noting(self, note: &'a dyn Fn(&Path)) -> Self {
        Self { note, ..self }
    }

    /// What an environment variable holds.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name)
    }

    /// Notes a file that the configuration refers to and that is about to be read.
    pub(super) fn refers_to(&self, path: &Path) {
        (self.note)(path);
    }

    pub(super) fn problem(&self, place: Place, path: &str, text: impl Into<String>) {
        let problem = Problem { place: Some(place), path: path.to_owned(), text: text.into() };
        self.problems.borrow_mut().push(problem);
    }

    /// Says something that does not keep the configuration from being used.
    pub(super) fn warning(&self, place: Place, path: &str, text: impl Into<String>) {
        let warning = Problem { place: Some(place), path: path.to_owned(), text: text.into() };
        self.warnings.borrow_mut().push(warning);
    }

    /// Everything that has been found: problems, and warnings.
    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.problems.into_inner(), self.warnings.into_inner())
    }

    /// The warnings, if there is no problem.
    pub(super) fn finish(self, file: &str) -> Result<Vec<String>, Problems> {
        let problems = self.problems.into_inner();
        if !problems.is_empty() {
            return Err(Problems::new(file, problems));
        }
        let mut warnings = self.warnings.into_inner();
        warnings.sort();
        Ok(warnings.iter().map(|warning| warning.rendered(file)).collect())
    }
}
