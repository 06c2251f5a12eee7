//! Backends that are given without a configuration file: on the command line, or in the file of
//! an editor.
//!
//! Each origin becomes the tree that a configuration file would have been read into, so that the
//! same readers check it, and name the place where the user wrote it.

use std::{path::Path, time::Duration};

use super::{
    Configuration, Problems, file, keys,
    mcp_json::{self, Broken},
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
    broken: Broken,
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
    /// What becomes of a backend that cannot be used.
    pub(super) broken: Broken,
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
    /// The tools that alone are offered, unless there are none, and those that are not.
    pub(super) only: Vec<String>,
    pub(super) never: Vec<String>,
    /// No tool is offered at all.
    pub(super) none: bool,
    /// How long a call may take.
    pub(super) timeout: Option<Duration>,
}

/// The name under which clients see what is served without a file.
const NAME: &str = "vmcp";

impl Given {
    /// None so far. What becomes of a server of an editor's file that cannot be used is for the caller to
    /// say.
    pub(crate) fn new(broken: Broken) -> Self {
        Self { origins: Vec::new(), broken }
    }

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
        let backend = Imported {
            node,
            path: String::new(),
            renamed: Vec::new(),
            is_undecided: false,
            only: Vec::new(),
            never: Vec::new(),
            none: false,
            timeout: None,
        };
        let (backends, warnings) = (vec![backend], Vec::new());
        let broken = Broken::Refused;
        self.add(Origin { label, has_lines: false, backends, warnings, broken })
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
        let origin = mcp_json::read(text, label, &self.names(), self.broken)?;
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
            let (more, told) = match origin.configuration(environment) {
                Ok(read) => read,
                Err(more) => {
                    problems = Some(Problems::joined(problems, more));
                    continue;
                }
            };
            warnings.extend(told.iter().map(|one| (origin, one.clone())));
            match (more, &mut whole) {
                (Some(more), Some(whole)) => whole.extend(more),
                (Some(first), None) => whole = Some(first),
                (None, _) => {}
            }
        }
        let Some(whole) = whole.filter(|_| problems.is_none()) else {
            let none = Problem::of_file("holds no backend to serve");
            return Err(problems.unwrap_or_else(|| self.without_backends(&warnings, &none)));
        };
        let warnings = warnings.into_iter().map(|(origin, one)| one.of(&origin.label)).collect();
        Ok(Configuration { warnings, ..whole })
    }

    /// Why there is nothing to serve.
    fn without_backends(&self, warnings: &[(&Origin, Problem)], none: &Problem) -> Problems {
        let mut all: Option<Problems> = None;
        for origin in &self.origins {
            let own = warnings.iter().filter(|(of, _)| of.label == origin.label);
            let own = own.map(|(_, one)| one.clone()).chain([none.clone()]).collect();
            all = Some(Problems::joined(all, Problems::new(&origin.label, own)));
        }
        all.unwrap_or_else(|| Problems::new(NAME, vec![none.clone()]))
    }

    /// The text of a configuration file that comes to the same.
    pub(crate) fn text(&self) -> String {
        let backends: Vec<&Imported> =
            self.origins.iter().flat_map(|origin| &origin.backends).collect();
        let nodes = backends.iter().map(|backend| &backend.node);
        write::configuration(NAME, nodes, &tools(&backends), &timeouts(&backends))
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
    /// What the backends come to that can be used, and what is told of the others. `None` if there are none.
    fn configuration(
        &self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Option<Configuration>, Vec<Problem>), Problems> {
        let mut backends: Vec<&Imported> = self.backends.iter().collect();
        let mut told = self.warnings.clone();
        while !backends.is_empty() {
            let root = root(&backends);
            let report = Report::new(environment, Vec::new());
            let configuration = read(&Reader::root(&root, keys::ROOT, &report));
            let (problems, warnings) = report.into_parts();
            let broken: Vec<usize> = problems.iter().filter_map(index).collect();
            let retold = |problems: Vec<Problem>| {
                problems.into_iter().map(|problem| self.retold(&backends, problem))
            };
            if problems.is_empty() {
                told.extend(retold(warnings));
                told.sort();
                let mut configuration = decided(configuration, &backends);
                for settings in &mut configuration.backends {
                    settings.command = settings
                        .command
                        .take()
                        .map(|command| self.retold(&backends, command.problem).of(&self.label));
                }
                return Ok((Some(configuration), told));
            }
            let others = broken.len() < problems.len();
            if self.broken == Broken::Refused || others {
                told.extend(retold(warnings));
                told.sort();
                let warnings = told.into_iter().map(|warning| warning.of(&self.label));
                let problems = Problems::new(&self.label, retold(problems).collect());
                return Err(problems.with_warnings(warnings));
            }
            told.extend(retold(problems).map(Problem::of_what_is_left_out));
            let place = (0..backends.len()).filter(|index| !broken.contains(index));
            backends = place.map(|index| backends[index]).collect();
        }
        told.sort();
        Ok((None, told))
    }

    /// A problem in the words of where its backend comes from.
    fn retold(&self, backends: &[&Imported], problem: Problem) -> Problem {
        let mut problem = problem;
        if !self.has_lines {
            problem.place = None;
        }
        let Some(backend) = index(&problem).and_then(|index| backends.get(index)) else {
            return problem;
        };
        let rest = problem.path.split_once(']').map_or("", |(_, rest)| rest);
        let renamed = backend.renamed.iter().find(|(ours, _)| rest == format!(".{ours}"));
        let rest = renamed.map_or_else(|| rest.to_owned(), |(_, theirs)| format!(".{theirs}"));
        let path = format!("{}{rest}", backend.path);
        path.trim_start_matches('.').clone_into(&mut problem.path);
        problem
    }
}

/// Which backend a problem is about.
fn index(problem: &Problem) -> Option<usize> {
    let (index, _) = problem.path.strip_prefix("backends[")?.split_once(']')?;
    index.parse().ok()
}

/// A configuration of these backends, with those undecided of which it is not said how they are spoken to.
fn decided(configuration: Configuration, backends: &[&Imported]) -> Configuration {
    let mut configuration = configuration;
    for backend in &mut configuration.backends {
        let mut imported = backends.iter();
        let own = imported.find(|one| one.name() == Some(backend.config.id.as_str()));
        backend.is_undecided = own.is_some_and(|own| own.is_undecided);
    }
    configuration
}

/// The whole of a configuration of these backends.
fn root(backends: &[&Imported]) -> Node {
    let prefix = map([("prefixFormat", text("{workload}_"))]);
    let aggregation = [
        ("conflictResolution", text("prefix")),
        ("conflictResolutionConfig", prefix),
        ("tools", list(tools(backends).into_iter())),
    ];
    let timeouts = Node { place: NOWHERE, content: Content::Map(timeouts(backends)) };
    map([
        ("name", text(NAME)),
        ("incomingAuth", map([("type", text("anonymous"))])),
        ("aggregation", map(aggregation)),
        ("operational", map([("timeouts", map([("perWorkload", timeouts)]))])),
        ("backends", list(backends.iter().map(|backend| backend.node.clone()))),
    ])
}

/// The entries of `aggregation.tools`.
fn tools(backends: &[&Imported]) -> Vec<Node> {
    let rules = backends.iter().filter_map(|one| mcp_json::rules_of_tools(one.name()?, one));
    rules.map(map).collect()
}

/// The entries of `operational.timeouts.perWorkload`.
fn timeouts(backends: &[&Imported]) -> Vec<Entry> {
    let entry = |backend: &&Imported| {
        let (key, time) = (backend.name()?.to_owned(), backend.timeout?);
        Some(Entry { key, place: NOWHERE, node: text(&format!("{}ms", time.as_millis())) })
    };
    backends.iter().filter_map(entry).collect()
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
pub(super) const NOWHERE: Place = Place { line: 1, column: 1 };

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
