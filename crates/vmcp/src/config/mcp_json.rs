//! The files in which editors and desktop clients list their MCP servers. Each server becomes an entry of
//! `backends`.
//!
//! JSON is YAML but for comments and tabs, which some editors allow; those are blanked out first.

mod json;
mod server;
mod variables;

use std::collections::{HashMap, HashSet};

use vmcp_model::BackendId;

use super::{
    Problems, foreign,
    given::{Imported, Origin, text},
    problem::{Place, Problem},
    tree::{self, Content, Entry, Node},
    value::join,
};
pub(super) use server::rules_of_tools;

/// The keys under which servers stand, by name: of most; of VS Code; of Zed; of Amp.
pub(super) const LISTS: [&str; 4] = ["mcpServers", "servers", "context_servers", "amp.mcpServers"];

/// The key of opencode, under which VS Code keeps a list of its own in its settings.
const MCP: &str = "mcp";

/// What is told of a file without servers.
const NO_LIST: &str = "lists no MCP servers: they stand under mcpServers (Claude, Cursor, Windsurf, Cline, \
                       Gemini CLI), servers (VS Code), context_servers (Zed) or mcp (opencode)";

/// What is told of a file that is no JSON.
const TOML: &str = "is TOML, as Codex has it, and only JSON is read; write its servers as \
                    {\"mcpServers\": {\"NAME\": {\"command\": ..., \"args\": [...]}}}";

/// What is found while a file is read.
#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// A server that is to be a backend, with the name that it has in its file.
struct Named {
    imported: Imported,
    name: String,
    place: Place,
}

/// The names that are taken, and how many were made of the same one.
#[derive(Default)]
struct Names {
    taken: HashSet<String>,
    counts: HashMap<String, usize>,
}

/// What is to become of a server that cannot be served as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Broken {
    /// It is told, and nothing of the file is used.
    #[default]
    Refused,
    /// It is told, and the others are served.
    LeftOut,
}

/// Reads the servers of a file. `taken` are names that other backends have.
pub(super) fn read(
    source: &str,
    label: String,
    taken: &[String],
    broken: Broken,
) -> Result<Origin, Problems> {
    let parsed = tree::parse(&json::blanked(source));
    let (root, duplicates) = parsed.map_err(|problem| {
        let problem = match json::problem(source) {
            _ if is_toml(source, &label) => Problem::of_file(TOML),
            Some(of_json) => of_json,
            None => problem,
        };
        Problems::new(&label, vec![problem])
    })?;
    if let Some(problem) = foreign::of_kubernetes(&root) {
        return Err(Problems::new(&label, vec![problem]));
    }
    let mut findings = Findings { problems: duplicates, warnings: Vec::new() };
    let mut backends = Vec::new();
    let servers = servers(root, &mut findings);
    let own = servers.iter().map(|(_, server)| server.key.clone());
    let mut names = Names { taken: taken.iter().cloned().chain(own).collect(), ..Names::default() };
    for (path, entry) in servers {
        let mut own = Findings::default();
        if let Some(mut backend) = server::backend(entry, path, &mut own) {
            name(&mut backend, &mut names, &mut own);
            if own.problems.is_empty() || broken == Broken::Refused {
                backends.push(backend.imported);
            }
        }
        findings.adopt(own, broken);
    }
    let Findings { problems, mut warnings } = findings;
    warnings.sort();
    if !problems.is_empty() {
        let warnings = warnings.into_iter().map(|warning| warning.of(&label));
        return Err(Problems::new(&label, problems).with_warnings(warnings));
    }
    Ok(Origin { label, has_lines: true, backends, warnings, broken })
}

/// Whether a file that cannot be read is one of Codex.
fn is_toml(source: &str, label: &str) -> bool {
    let has_table = || source.lines().any(|line| line.trim_start().starts_with("[mcp_servers"));
    label.to_ascii_lowercase().ends_with(".toml") || has_table()
}

/// The servers, each with the keys that lead to it.
fn servers(root: Node, findings: &mut Findings) -> Vec<(String, Entry)> {
    let Content::Map(entries) = root.content else {
        findings.problem(root.place, "", "must be a map of keys");
        return Vec::new();
    };
    let has = |name: &str| entries.iter().any(|entry| entry.key == name);
    let what = if has("backends") {
        "is a configuration of vmcp; it is read with --config"
    } else {
        NO_LIST
    };
    let lists = lists(entries, findings);
    if lists.is_empty() {
        findings.problem(root.place, "", what);
    }
    let mut servers: Vec<(String, Entry)> = Vec::new();
    for (path, list) in lists {
        let Content::Map(entries) = list.node.content else {
            findings.problem(list.node.place, &path, "must be a map of servers by name");
            continue;
        };
        // What stands twice in one list has been reported.
        let others = servers.len();
        for server in entries {
            let path = join(&path, &server.key);
            if servers[..others].iter().any(|(_, other)| other.key == server.key) {
                let text = "is left out: the file's other list has a server of this name";
                findings.warning(server.place, &path, text);
            } else {
                servers.push((path, server));
            }
        }
    }
    servers
}

/// The lists of servers of a file, each with the keys that lead to it.
fn lists(entries: Vec<Entry>, findings: &mut Findings) -> Vec<(String, Entry)> {
    let mut lists = Vec::new();
    for mut entry in entries {
        match entry.key.as_str() {
            name if LISTS.contains(&name) => lists.push((join("", &entry.key), entry)),
            MCP => {
                let inner = match &mut entry.node.content {
                    Content::Map(inner) => inner,
                    _ => &mut Vec::new(),
                };
                match inner.iter().position(|entry| entry.key == "servers") {
                    Some(at) => lists.push((join(MCP, "servers"), inner.swap_remove(at))),
                    None => lists.push((MCP.to_owned(), entry)),
                }
            }
            "projects" if names_servers(&entry.node) => {
                let text = "its servers of single projects are left out; \
                            write those that are to be served under mcpServers";
                findings.warning(entry.place, "projects", text);
            }
            _ => {}
        }
    }
    lists
}

/// Whether some project of Claude Code has servers of its own.
fn names_servers(projects: &Node) -> bool {
    let entries = |node: &Node| match &node.content {
        Content::Map(entries) => {
            entries.iter().map(|entry| (entry.key.clone(), entry.node.clone())).collect()
        }
        _ => Vec::new(),
    };
    entries(projects)
        .iter()
        .flat_map(|(_, project)| entries(project))
        .any(|(key, list)| key == "mcpServers" && !entries(&list).is_empty())
}

/// Gives a backend its name: that of the file as far as it can be used, and free.
fn name(backend: &mut Named, names: &mut Names, findings: &mut Findings) {
    let Named { imported, name, place } = backend;
    let mut usable = usable(name);
    if usable != *name {
        let base = usable.clone();
        let count = names.counts.entry(base.clone()).or_insert(1);
        while names.taken.contains(&usable) {
            *count += 1;
            let suffix = format!("-{count}");
            usable = format!(
                "{}{suffix}",
                &base[..base.len().min(BackendId::MAX_LENGTH - suffix.len())]
            );
        }
        let text = format!("cannot be the name of a backend; it is called {usable} here");
        findings.warning(*place, &imported.path, text);
        names.taken.insert(usable.clone());
    }
    if let Content::Map(entries) = &mut imported.node.content {
        entries.insert(0, Entry { key: "name".to_owned(), place: *place, node: text(&usable) });
        entries[0].node.place = *place;
    }
}

/// A name made of the characters that names of backends may have; the same one every time.
fn usable(name: &str) -> String {
    if BackendId::new(name).is_ok() {
        return name.to_owned();
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let words = name.split(|c: char| !allowed(c)).filter(|word| !word.is_empty());
    let mut usable = words.collect::<Vec<_>>().join("-");
    usable.truncate(BackendId::MAX_LENGTH);
    if usable.is_empty() { "backend".to_owned() } else { usable }
}

impl Findings {
    fn problem(&mut self, place: Place, path: &str, text: &str) {
        let problem = Problem { place: Some(place), path: path.to_owned(), text: text.to_owned() };
        self.problems.push(problem);
    }

    fn warning(&mut self, place: Place, path: &str, text: impl Into<String>) {
        let text = text.into();
        self.warnings.push(Problem { place: Some(place), path: path.to_owned(), text });
    }

    /// Takes up what was found about one server.
    fn adopt(&mut self, own: Self, broken: Broken) {
        self.warnings.extend(own.warnings);
        match broken {
            Broken::Refused => self.problems.extend(own.problems),
            Broken::LeftOut => {
                self.warnings.extend(own.problems.into_iter().map(Problem::of_what_is_left_out));
            }
        }
    }
}
