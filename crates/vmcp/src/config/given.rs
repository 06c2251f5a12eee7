//! Backends that are given without a configuration file: on the command line, or in the file of
//! an editor.
//!
//! Each origin becomes the tree that a configuration file would have been read into, so that the
//! same readers check it, and name the place where the user wrote it.

use std::path::Path;

use super::{
    Configuration, Problems, file, keys, mcp_json,
    problem::{Place, Problem, Report},
    read,
    reader::Reader,
    tree::{Content, Entry, Node},
    write,
};

/// Backends from any number of origins.
#[derive(Default)]
pub(crate) struct Given {
    origins: Vec<Origin>,
}

/// Backends that were written in one place.
pub(super) struct Origin {
    /// What messages call it.
    pub(super) label: String,
    /// Whether lines and columns mean anything to whoever reads a message.
    pub(super) has_lines: bool,
    pub(super) backends: Vec<Imported>,
    /// What is odd about it.
    pub(super) warnings: Vec<Problem>,
}

/// An entry of `backends`, and what its keys are called where it comes from.
pub(super) struct Imported {
    pub(super) node: Node,
    /// The keys that lead to it.
    pub(super) path: String,
    /// Keys that have another name here: ours, theirs.
    pub(super) renamed: Vec<(&'static str, &'static str)>,
    /// It does not say how it is spoken to, as editors let it.
    pub(super) is_undecided: bool,
}

/// The name under which clients see what is served without a file.
const NAME: &str = "vmcp";

impl Given {
    /// Adds a backend of the command line: `NAME=URL` or `NAME=COMMAND`.
    pub(crate) fn add_argument(&mut self, argument: &str) -> Result<(), Problems> {
        let label = "--backend";
        let wrong = |text: &str| Problems::new(label, vec![Problem::of_file(text)]);
        let (name, what) = argument
            .split_once('=')
            .filter(|(name, _)| !name.contains("://") && !name.contains(char::is_whitespace))
            .ok_or_else(|| wrong("write NAME=URL, or NAME=COMMAND for a program to run"))?;
        let label = format!("{label} {name}");
        let entries = if is_url(what) {
            vec![("url", text(what))]
        } else {
            let words = shlex::split(what).filter(|words| !words.is_empty());
            let mut words = words
                .ok_or_else(|| {
                    wrong(&format!("{name} needs a URL or a command, its quotes closed"))
                })?
                .into_iter();
            let command = words.next().unwrap_or_default();
            vec![("command", text(&command)), ("args", list(words.map(|word| text(&word))))]
        };
        let node = map([("name", text(name))].into_iter().chain(entries));
        let backend =
            Imported { node, path: String::new(), renamed: Vec::new(), is_undecided: false };
        self.add(Origin { label, has_lines: false, backends: vec![backend], warnings: Vec::new() })
    }

    /// Adds the servers of an editor's file.
    pub(crate) fn add_mcp_json(&mut self, path: &Path) -> Result<(), Problems> {
        let label = path.display().to_string();
        let text = file::read_text(path)
            .map_err(|problem| Problems::new(&label, vec![Problem::of_file(problem)]))?;
        self.add_mcp_json_text(&text, label)
    }

    /// Adds the servers of an editor's file, which messages call by its label.
    pub(super) fn add_mcp_json_text(&mut self, text: &str, label: String) -> Result<(), Problems> {
        let origin = mcp_json::read(text, label, &self.names())?;
        self.add(origin)
    }

    /// Has all programs get these variables of vmcp's own environment.
    pub(crate) fn pass_on(&mut self, names: &[String]) {
        if names.is_empty() {
            return;
        }
        for origin in &mut self.origins {
            for backend in &mut origin.backends {
                let Content::Map(entries) = &mut backend.node.content else { continue };
                if entries.iter().any(|entry| entry.key == "command") {
                    let names = list(names.iter().map(|name| text(name)));
                    let key = "passEnv".to_owned();
                    entries.push(Entry { key, place: NOWHERE, node: names });
                }
            }
        }
    }

    /// What the backends come to, with the defaults for all else.
    pub(crate) fn configuration(
        &self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Configuration, Problems> {
        let mut whole: Option<Configuration> = None;
        let mut warnings = Vec::new();
        let mut problems: Option<Problems> = None;
        for origin in &self.origins {
            warnings.extend(origin.warnings.iter().map(|one| one.rendered(&origin.label)));
            if origin.backends.is_empty() {
                continue;
            }
            match (origin.configuration(environment), &mut whole, &mut problems) {
                (Ok(more), Some(whole), _) => {
                    whole.backends.extend(more.backends);
                    whole.rules.order.extend(more.rules.order);
                    whole.warnings.extend(more.warnings);
                }
                (Ok(first), None, _) => whole = Some(first),
                (Err(more), _, Some(problems)) => problems.extend(more),
                (Err(first), _, None) => problems = Some(first),
            }
        }
        if let Some(problems) = problems {
            return Err(problems);
        }
        let Some(mut whole) = whole else {
            let label = self.origins.first().map_or(NAME, |origin| &origin.label);
            return Err(Problems::new(label, vec![Problem::of_file("holds no backend to serve")]));
        };
        warnings.append(&mut whole.warnings);
        Ok(Configuration { warnings, ..whole })
    }

    /// The text of a configuration file that comes to the same.
    pub(crate) fn text(&self) -> String {
        let backends = self.origins.iter().flat_map(|origin| &origin.backends);
        write::configuration(NAME, backends.map(|backend| &backend.node))
    }

    fn add(&mut self, origin: Origin) -> Result<(), Problems> {
        let names = self.names();
        for name in origin.backends.iter().filter_map(Imported::name) {
            if names.iter().any(|known| known == name) {
                let text = format!("{name:?} is the name of another backend already");
                return Err(Problems::new(&origin.label, vec![Problem::of_file(text)]));
            }
        }
        self.origins.push(origin);
        Ok(())
    }

    fn names(&self) -> Vec<String> {
        let backends = self.origins.iter().flat_map(|origin| &origin.backends);
        backends.filter_map(Imported::name).map(str::to_owned).collect()
    }
}

impl Origin {
    fn configuration(
        &self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Configuration, Problems> {
        let backends = self.backends.iter().map(|backend| backend.node.clone());
        let prefix = map([("prefixFormat", text("{workload}_"))]);
        let root = map([
            ("name", text(NAME)),
            ("incomingAuth", map([("type", text("anonymous"))])),
            (
                "aggregation",
                map([("conflictResolution", text("prefix")), ("conflictResolutionConfig", prefix)]),
            ),
            ("backends", list(backends)),
        ]);
        let report = Report::new(environment, Vec::new());
        let mut configuration = read(&Reader::root(&root, keys::ROOT, &report));
        for backend in &mut configuration.backends {
            let mut imported = self.backends.iter();
            let own = imported.find(|one| one.name() == Some(backend.config.id.as_str()));
            backend.is_undecided = own.is_some_and(|own| own.is_undecided);
        }
        let report = report.retold(|problem| self.retell(problem));
        let warnings = report.finish(&self.label)?;
        Ok(Configuration { warnings, ..configuration })
    }

    /// Tells a problem in the words of where the backend comes from.
    fn retell(&self, problem: &mut Problem) {
        if !self.has_lines {
            problem.place = None;
        }
        for (index, backend) in self.backends.iter().enumerate() {
            let Some(rest) = problem.path.strip_prefix(&format!("backends[{index}]")) else {
                continue;
            };
            let mut rest = rest.to_owned();
            for (ours, theirs) in &backend.renamed {
                if rest == format!(".{ours}") {
                    rest = format!(".{theirs}");
                }
            }
            let path = format!("{}{rest}", backend.path);
            problem.path = path.trim_start_matches('.').to_owned();
            return;
        }
    }
}

impl Imported {
    fn name(&self) -> Option<&str> {
        let Content::Map(entries) = &self.node.content else { return None };
        let name = entries.iter().find(|entry| entry.key == "name")?;
        match &name.node.content {
            Content::Text(name) => Some(name),
            Content::Null | Content::List(_) | Content::Map(_) => None,
        }
    }
}

fn is_url(text: &str) -> bool {
    let starts = |scheme: &str| {
        text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    starts("http://") || starts("https://")
}

/// Where what stands in no file stands.
const NOWHERE: Place = Place { line: 1, column: 1 };

pub(super) fn text(text: &str) -> Node {
    Node { place: NOWHERE, content: Content::Text(text.to_owned()) }
}

fn list(items: impl Iterator<Item = Node>) -> Node {
    Node { place: NOWHERE, content: Content::List(items.collect()) }
}

fn map(entries: impl IntoIterator<Item = (&'static str, Node)>) -> Node {
    let entry = |(key, node): (&str, Node)| Entry { key: key.to_owned(), place: NOWHERE, node };
    Node { place: NOWHERE, content: Content::Map(entries.into_iter().map(entry).collect()) }
}
