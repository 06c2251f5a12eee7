//! The files in which editors and desktop clients list their MCP servers: `mcpServers`, or
//! `servers` as VS Code has it. Each server becomes an entry of `backends`.
//!
//! JSON is YAML but for comments and tabs, which some editors allow; those are blanked out first.

use vmcp_model::BackendId;

use super::{
    Problems,
    given::{Imported, Origin, text},
    problem::{Place, Problem},
    tree::{self, Content, Entry, Node},
    value::join,
};

/// Keys of a server that are passed on as they are.
const KEPT: [&str; 6] = ["command", "args", "env", "cwd", "url", "headers"];

/// Those whose values nobody reads as a shell would. Arguments may be meant for one.
const SENT: [&str; 3] = ["env", "url", "headers"];

/// Keys of a server that have another name here: theirs, ours.
const RENAMED: [(&str, &str); 2] = [("serverUrl", "url"), ("type", "transport")];

/// Words for transports: theirs, ours.
const TRANSPORTS: [(&str, &str); 5] = [
    ("stdio", "stdio"),
    ("sse", "sse"),
    ("http", "streamable-http"),
    ("streamableHttp", "streamable-http"),
    ("streamable-http", "streamable-http"),
];

/// What is found while a file is read.
#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// Reads the servers of a file. `taken` are names that other backends have.
pub(super) fn read(source: &str, label: String, taken: &[String]) -> Result<Origin, Problems> {
    let parsed = tree::parse(&blanked(source));
    let (root, duplicates) = parsed.map_err(|problem| Problems::new(&label, vec![problem]))?;
    let mut findings = Findings { problems: duplicates, warnings: Vec::new() };
    let mut backends = Vec::new();
    let servers = servers(root, &mut findings);
    let mut names = taken.to_vec();
    names.extend(servers.iter().map(|(_, server)| server.key.clone()));
    for (path, entry) in servers {
        if let Some(mut backend) = backend(entry, path, &mut findings) {
            name(&mut backend, &mut names, &mut findings);
            backends.push(backend.imported);
        }
    }
    let Findings { problems, mut warnings } = findings;
    warnings.sort();
    if !problems.is_empty() {
        return Err(Problems::new(&label, problems));
    }
    Ok(Origin { label, has_lines: true, backends, warnings })
}

/// The servers, each with the keys that lead to it.
fn servers(root: Node, findings: &mut Findings) -> Vec<(String, Entry)> {
    let Content::Map(entries) = root.content else {
        findings.problem(root.place, "", "must be a map of keys");
        return Vec::new();
    };
    let is_list = |entry: &Entry| matches!(entry.key.as_str(), "mcpServers" | "servers");
    let lists: Vec<_> = entries.into_iter().filter(is_list).collect();
    if lists.is_empty() {
        findings.problem(root.place, "", "holds neither mcpServers nor servers");
    }
    let mut servers: Vec<(String, Entry)> = Vec::new();
    for list in lists {
        let Content::Map(entries) = list.node.content else {
            findings.problem(list.node.place, &list.key, "must be a map of servers by name");
            continue;
        };
        // What stands twice in one list has been reported.
        let others = servers.len();
        for server in entries {
            let path = join(&list.key, &server.key);
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

/// A server that is to be a backend, with the name that it has in its file.
struct Named {
    imported: Imported,
    name: String,
    place: Place,
}

/// Translates a server. `None` where it is disabled, or nothing can be made of it.
fn backend(server: Entry, path: String, findings: &mut Findings) -> Option<Named> {
    let Content::Map(entries) = server.node.content else {
        findings.problem(server.node.place, &path, "must be a map of keys");
        return None;
    };
    let switch = entries.iter().find(|entry| entry.key == "disabled");
    if switch.is_some_and(|entry| disabled(entry, &path, findings)) {
        findings.warning(server.place, &path, "is disabled and left out");
        return None;
    }
    let mut renamed = Vec::new();
    let mut kept: Vec<Entry> = Vec::new();
    for mut entry in entries {
        let place = entry.place;
        let key_path = join(&path, &entry.key);
        if entry.key == "disabled" {
            continue;
        }
        if let Some((theirs, ours)) = RENAMED.iter().find(|(theirs, _)| *theirs == entry.key) {
            renamed.push((*ours, *theirs));
            (*ours).clone_into(&mut entry.key);
        } else if !KEPT.contains(&entry.key.as_str()) && entry.key != "transport" {
            let text = format!("{:?} is not known here and has no effect", entry.key);
            findings.warning(place, &path, text);
            continue;
        }
        if kept.iter().any(|other| other.key == entry.key) {
            findings.problem(place, &key_path, "says again what another key says; keep one");
        }
        if entry.key == "transport" {
            transport(&mut entry.node);
        }
        if SENT.contains(&entry.key.as_str()) {
            warn_of_variables(&entry.node, &key_path, findings);
        }
        translate(&mut entry.node, &key_path, findings);
        kept.push(entry);
    }
    let has = |name: &str| kept.iter().any(|entry| entry.key == name);
    let is_undecided = has("url") && !has("transport");
    let node = Node { place: server.node.place, content: Content::Map(kept) };
    let imported = Imported { node, path, renamed, is_undecided };
    Some(Named { imported, name: server.key, place: server.place })
}

fn disabled(entry: &Entry, path: &str, findings: &mut Findings) -> bool {
    match &entry.node.content {
        Content::Text(text) if text == "true" => true,
        Content::Text(text) if text == "false" => false,
        _ => {
            let path = join(path, &entry.key);
            findings.problem(entry.node.place, &path, "is not true or false");
            false
        }
    }
}

/// Puts our word for a transport in the place of theirs. What is unknown is told later.
fn transport(node: &mut Node) {
    if let Content::Text(word) = &mut node.content
        && let Some((_, ours)) = TRANSPORTS.iter().find(|(theirs, _)| theirs == word)
    {
        (*ours).clone_into(word);
    }
}

/// Writes the variables of all texts as a configuration has them.
fn translate(node: &mut Node, path: &str, findings: &mut Findings) {
    match &mut node.content {
        Content::Null => {}
        Content::Text(text) => {
            *text = text.replace("${env:", "${");
            if text.contains("${input:") {
                let advice = "asks the user for an input, which a server cannot do; \
                              write ${NAME} and set the environment variable NAME";
                findings.problem(node.place, path, advice);
            }
        }
        Content::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                translate(item, &format!("{path}[{index}]"), findings);
            }
        }
        Content::Map(entries) => {
            for entry in entries {
                translate(&mut entry.node, &join(path, &entry.key), findings);
            }
        }
    }
}

/// Warns of variables as a shell has them, `$NAME`: no editor puts their values in, and nor is it done
/// here. The text may be a secret and is not shown.
fn warn_of_variables(node: &Node, path: &str, findings: &mut Findings) {
    match &node.content {
        Content::Text(text) if has_shell_variable(text) => {
            let advice = "holds a $ and a name without braces, which stays as it stands; \
                          write ${NAME} for the value of the environment variable NAME";
            findings.warning(node.place, path, advice);
        }
        Content::Null | Content::Text(_) => {}
        Content::List(items) => {
            for (index, item) in items.iter().enumerate() {
                warn_of_variables(item, &format!("{path}[{index}]"), findings);
            }
        }
        Content::Map(entries) => {
            for entry in entries {
                warn_of_variables(&entry.node, &join(path, &entry.key), findings);
            }
        }
    }
}

/// Whether a text has a word that begins with `$` and goes on as names of variables do.
fn has_shell_variable(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.match_indices('$').any(|(at, _)| {
        let begins_word = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '$');
        let rest = &text[at + 1..];
        let name = rest.split(|c| !is_part(c)).next().unwrap_or_default();
        let ends_word = !rest[name.len()..].starts_with(char::is_alphanumeric);
        let is_name = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_');
        begins_word && is_name && ends_word
    })
}

/// Gives a backend its name: that of the file as far as it can be used, and free.
fn name(backend: &mut Named, names: &mut Vec<String>, findings: &mut Findings) {
    let Named { imported, name, place } = backend;
    let mut usable = usable(name);
    if usable != *name {
        let base = usable.clone();
        let mut count = 1;
        while names.contains(&usable) {
            count += 1;
            let suffix = format!("-{count}");
            usable = format!(
                "{}{suffix}",
                &base[..base.len().min(BackendId::MAX_LENGTH - suffix.len())]
            );
        }
        let text = format!("cannot be the name of a backend; it is called {usable} here");
        findings.warning(*place, &imported.path, text);
        names.push(usable.clone());
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

/// The text without comments and tabs, everything else in its place.
fn blanked(source: &str) -> String {
    let mut blank = String::with_capacity(source.len());
    let mut characters = source.chars().peekable();
    let mut inside = Inside::Code;
    while let Some(c) = characters.next() {
        let next = characters.peek().copied();
        let mut both = false;
        let shown = match (inside, c, next) {
            (Inside::Text, '\\', Some(_)) => {
                blank.push(c);
                characters.next().unwrap_or(c)
            }
            (Inside::Text, '"', _) => {
                inside = Inside::Code;
                c
            }
            (Inside::Text, _, _) | (_, '\n', _) => {
                inside = if inside == Inside::Line { Inside::Code } else { inside };
                c
            }
            (Inside::Code, '"', _) => {
                inside = Inside::Text;
                c
            }
            (Inside::Code, '/', Some('/')) => {
                inside = Inside::Line;
                ' '
            }
            (Inside::Code, '/', Some('*')) => {
                (inside, both) = (Inside::Block, true);
                ' '
            }
            (Inside::Block, '*', Some('/')) => {
                (inside, both) = (Inside::Code, true);
                ' '
            }
            (Inside::Code, '\t', _) | (Inside::Line | Inside::Block, _, _) => ' ',
            (Inside::Code, _, _) => c,
        };
        blank.push(shown);
        if both {
            characters.next();
            blank.push(' ');
        }
    }
    blank
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    Text,
    /// A comment to the end of the line.
    Line,
    /// A comment between `/*` and `*/`.
    Block,
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
}
