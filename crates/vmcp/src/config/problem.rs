//! What is wrong with a configuration, and where.

use std::{cell::RefCell, collections::BTreeMap, fmt, path::Path, sync::Arc};

/// Where something stands in the file. Both count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// `None` speaks of the file as a whole.
    pub(crate) place: Option<Place>,
    /// The keys that lead there; empty at the root.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A problem, or what is merely odd, and the file in which it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) file: String,
    pub(crate) problem: Problem,
}

/// Everything that is wrong, file by file, in the order of the lines; and what is merely odd beside it.
#[derive(Debug)]
pub(crate) struct Problems {
    list: Vec<Complaint>,
    beside: Beside,
}

/// What is told of a configuration beside what is wrong with it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beside {
    /// What is odd but can be used.
    pub(crate) warnings: Vec<Complaint>,
    /// What was left aside, as this machine does not have it.
    pub(crate) notes: Vec<Complaint>,
}

/// Collects what the readers of a file have to say about it.
pub(super) struct Report<'a> {
    environment: &'a dyn Fn(&str) -> Option<String>,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// What is not there, and is no problem.
    notes: RefCell<Vec<Problem>>,
    /// Told of each file that the configuration refers to, before it is read.
    note: &'a dyn Fn(&Path),
    /// Whether variables and files that are not there are no problem.
    without_secrets: bool,
    /// Whether a backend may lack the variables that it names, and is out then.
    backends_may_lack: bool,
    /// The variables that are not there for the backend that is being read.
    lacking: RefCell<Option<Vec<Problem>>>,
    /// The backends are those that were found in a cluster, of which these are out, and why.
    discovered: Option<&'a BTreeMap<String, String>>,
}

impl Problem {
    /// A problem of the file as a whole.
    pub(crate) fn of_file(text: impl Into<String>) -> Self {
        Self { place: None, path: String::new(), text: text.into() }
    }

    /// The same of a server that is not served because of it.
    pub(super) fn of_what_is_left_out(self) -> Self {
        Self { text: format!("{}; this server is left out", self.text), ..self }
    }

    /// The same, in its file.
    pub(crate) fn of(self, file: &str) -> Complaint {
        Complaint { file: file.to_owned(), problem: self }
    }
}

/// The line that people read.
impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, problem: Problem { place, path, text } } = self;
        f.write_str(file)?;
        if let Some(Place { line, column }) = place {
            write!(f, ":{line}:{column}")?;
        }
        if !path.is_empty() {
            write!(f, ": {path}")?;
        }
        write!(f, ": {text}")
    }
}

impl Problems {
    pub(super) fn new(file: &str, mut list: Vec<Problem>) -> Self {
        list.sort();
        list.dedup();
        list.into_iter().map(|problem| problem.of(file)).collect()
    }

    /// Adds what is odd in the same files.
    pub(super) fn with_warnings(mut self, warnings: impl IntoIterator<Item = Complaint>) -> Self {
        self.beside.warnings.extend(warnings);
        self
    }

    /// What is wrong with a file as a whole.
    pub(crate) fn of_file(file: &str, text: &str) -> Self {
        Self::new(file, vec![Problem::of_file(text)])
    }

    /// Adds what is wrong with another file.
    pub(crate) fn extend(&mut self, other: Self) {
        self.list.extend(other.list);
        self.beside.warnings.extend(other.beside.warnings);
        self.beside.notes.extend(other.beside.notes);
    }

    /// What is wrong with some files, and with one more.
    pub(super) fn joined(some: Option<Self>, more: Self) -> Self {
        let Some(mut all) = some else { return more };
        all.extend(more);
        all
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Complaint> {
        self.list.iter()
    }

    /// What would be told if nothing were wrong.
    pub(crate) fn beside(&self) -> &Beside {
        &self.beside
    }
}

impl FromIterator<Complaint> for Problems {
    fn from_iter<I: IntoIterator<Item = Complaint>>(list: I) -> Self {
        Self { list: list.into_iter().collect(), beside: Beside::default() }
    }
}

/// One problem a line.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.list.iter().map(Complaint::to_string).collect();
        f.write_str(&lines.join("\n"))
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
            notes: RefCell::default(),
            note: &|_path| {},
            without_secrets: false,
            backends_may_lack: false,
            lacking: RefCell::default(),
            discovered: None,
        }
    }

    /// Takes it that the backends were found in a cluster, and that some of them are out for a reason.
    #[cfg(feature = "kubernetes")]
    pub(super) fn with_discovered(self, out: &'a BTreeMap<String, String>) -> Self {
        Self { discovered: Some(out), ..self }
    }

    /// Whether the backends were found in a cluster.
    pub(super) fn has_discovered(&self) -> bool {
        self.discovered.is_some()
    }

    /// Why a backend that was found is out.
    pub(super) fn why_out(&self, backend: &str) -> Option<Arc<str>> {
        self.discovered?.get(backend).map(|why| why.as_str().into())
    }

    /// Takes it that variables and files that are not there are elsewhere.
    pub(super) fn without_secrets(self) -> Self {
        Self { without_secrets: true, ..self }
    }

    /// Lets backends lack the variables that they name.
    pub(super) fn letting_backends_lack(self) -> Self {
        Self { backends_may_lack: true, ..self }
    }

    /// Says that a variable or a file is not there, unless that is no problem.
    pub(super) fn not_here(&self, place: Place, path: &str, text: impl Into<String>) {
        if !self.without_secrets {
            return self.problem(place, path, text);
        }
        let text = format!("left aside: {}", text.into());
        self.notes.borrow_mut().push(Problem { place: Some(place), path: path.to_owned(), text });
    }

    /// Says that a variable is not there.
    pub(super) fn no_variable(&self, place: Place, path: &str, text: impl Into<String>) {
        match &mut *self.lacking.borrow_mut() {
            Some(lacking) => {
                lacking.push(Problem {
                    place: Some(place),
                    path: path.to_owned(),
                    text: text.into(),
                });
            }
            _ => self.not_here(place, path, text),
        }
    }

    /// Reads something of a backend, and gives the variables that are not there for it, each of which is a problem
    /// where no backend may lack any.
    pub(super) fn lacking<T>(&self, read: impl FnOnce() -> T) -> (T, Vec<Problem>) {
        if !self.backends_may_lack {
            return (read(), Vec::new());
        }
        let before = self.lacking.replace(Some(Vec::new()));
        let read = read();
        (read, self.lacking.replace(before).unwrap_or_default())
    }

    /// Says of what [`Report::lacking`] has given that it does not keep the configuration from being used.
    pub(super) fn warn_of(&self, lacking: Vec<Problem>, consequence: &str) {
        let warnings = lacking
            .into_iter()
            .map(|problem| Problem { text: format!("{}; {consequence}", problem.text), ..problem });
        self.warnings.borrow_mut().extend(warnings);
    }

    pub(super) fn is_without_secrets(&self) -> bool {
        self.without_secrets
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

    /// What is told besides, if there is no problem.
    pub(super) fn finish(self, file: &str) -> Result<Beside, Problems> {
        let sorted = |mut list: Vec<Problem>| {
            list.sort();
            list.into_iter().map(|one| one.of(file)).collect()
        };
        let notes = sorted(self.notes.take());
        let (problems, warnings) = self.into_parts();
        let beside = Beside { warnings: sorted(warnings), notes };
        if problems.is_empty() {
            return Ok(beside);
        }
        Err(Problems { beside, ..Problems::new(file, problems) })
    }
}
