//! One server of an editor's file.

use std::time::Duration;

use super::{Findings, Imported, Named, variables};
use crate::config::{
    given::text,
    suggest::did_you_mean,
    tree::{Content, Entry, Node},
    value::join,
};

/// Keys that are passed on as they are.
const KEPT: [&str; 7] = ["command", "args", "env", "cwd", "url", "headers", "transport"];

/// Keys that have another name here: theirs, ours. Windsurf, Gemini CLI and opencode have names of
/// their own.
const RENAMED: [(&str, &str); 4] =
    [("serverUrl", "url"), ("httpUrl", "url"), ("type", "transport"), ("environment", "env")];

/// Words for transports: theirs, ours.
const TRANSPORTS: [(&str, &str); 6] = [
    ("stdio", "stdio"),
    ("local", "stdio"),
    ("sse", "sse"),
    ("http", "streamable-http"),
    ("streamableHttp", "streamable-http"),
    ("streamable-http", "streamable-http"),
];

/// The word of opencode for a server with a URL, whatever it speaks there.
const REMOTE: &str = "remote";

/// Lists of tools that are not offered, and of those that alone are.
const NEVER: [&str; 3] = ["disabledTools", "excludeTools", "disabled_tools"];
const ONLY: [&str; 4] = ["includeTools", "enabledTools", "enabled_tools", "tools"];

/// What stands in a list of tools for all of them.
const ALL_TOOLS: &str = "*";

/// Keys that say how the editor deals with its user. What is served is the same.
const OF_THE_EDITOR: [&str; 11] = [
    "alwaysAllow",
    "autoApprove",
    "trust",
    "description",
    "name",
    "id",
    "title",
    "icon",
    "iconPath",
    "gallery",
    "source",
];

/// The longest time for a call, which is the default for a call as a whole.
const LONGEST: Duration = Duration::from_secs(3600);

/// What a server says beside how it is reached.
#[derive(Default)]
struct Said {
    renamed: Vec<(&'static str, &'static str)>,
    kept: Vec<Entry>,
    only: Vec<String>,
    never: Vec<String>,
    none: bool,
    timeout: Option<Duration>,
}

/// Translates a server. `None` where it is switched off, or nothing can be made of it.
pub(super) fn backend(server: Entry, path: String, findings: &mut Findings) -> Option<Named> {
    let Content::Map(entries) = server.node.content else {
        findings.problem(server.node.place, &path, "must be a map of keys");
        return None;
    };
    if entries.iter().any(|entry| is_switched_off(entry, &path, findings)) {
        findings.warning(server.place, &path, "is disabled and left out");
        return None;
    }
    let has = |name: &str| entries.iter().any(|entry| entry.key == name);
    if has("settings") && !has("command") && !has("url") {
        findings.warning(
            server.place,
            &path,
            "comes from an extension of the editor, and is left out",
        );
        return None;
    }
    let mut said = Said::default();
    for entry in entries {
        said.take(entry, &path, findings);
    }
    let Said { renamed, mut kept, only, mut never, none, timeout } = said;
    if none {
        never.clear();
    }
    split_command(&mut kept, &path, findings);
    let has = |name: &str| kept.iter().any(|entry| entry.key == name);
    if !has("command") && !has("url") {
        let text = "has neither a command nor a url; give it one of them";
        findings.problem(server.place, &path, text);
        return None;
    }
    let is_undecided = has("url") && !has("transport");
    let node = Node { place: server.node.place, content: Content::Map(kept) };
    let imported = Imported { node, path, renamed, is_undecided, only, never, none, timeout };
    Some(Named { imported, name: server.key, place: server.place })
}

impl Said {
    fn take(&mut self, mut entry: Entry, path: &str, findings: &mut Findings) {
        let place = entry.place;
        let key_path = join(path, &entry.key);
        let key = entry.key.as_str();
        match key {
            "disabled" | "enabled" => return,
            "timeout" => {
                self.timeout = timeout(&entry.node, &key_path, findings);
                return;
            }
            _ if OF_THE_EDITOR.contains(&key) => return,
            _ if NEVER.contains(&key) => {
                let tools = tools(&entry.node, &key_path, findings);
                self.none |= tools.iter().any(|tool| tool == ALL_TOOLS);
                self.never.extend(tools.into_iter().filter(|tool| tool != ALL_TOOLS));
                return;
            }
            _ if ONLY.contains(&key) => {
                let tools = tools(&entry.node, &key_path, findings);
                if tools.is_empty() {
                    findings.warning(place, &key_path, "names no tool, and so all are shown");
                }
                if !tools.iter().any(|tool| tool == ALL_TOOLS) {
                    self.only.extend(tools);
                }
                return;
            }
            _ => {}
        }
        if let Some((theirs, ours)) = RENAMED.iter().find(|(theirs, _)| *theirs == key) {
            self.renamed.push((*ours, *theirs));
            (*ours).clone_into(&mut entry.key);
        } else if !KEPT.contains(&key) {
            let names = KEPT.into_iter().chain(RENAMED.map(|(theirs, _)| theirs));
            let meant = did_you_mean(key, names);
            let text = format!("{key:?} is not known here and has no effect{meant}");
            findings.warning(place, path, text);
            return;
        }
        if entry.key == "transport" && is(&entry.node, REMOTE) {
            return;
        }
        if self.kept.iter().any(|other| other.key == entry.key) {
            findings.problem(place, &key_path, "says again what another key says; keep one");
        }
        if entry.key == "transport" {
            transport(&mut entry.node);
        }
        variables::translate(&mut entry.node, &key_path, findings);
        self.kept.push(entry);
    }
}

fn is(node: &Node, word: &str) -> bool {
    matches!(&node.content, Content::Text(text) if text == word)
}

/// Whether a key switches the server off.
fn is_switched_off(entry: &Entry, path: &str, findings: &mut Findings) -> bool {
    let off = match entry.key.as_str() {
        "disabled" => "true",
        "enabled" => "false",
        _ => return false,
    };
    if !is(&entry.node, "true") && !is(&entry.node, "false") {
        let path = join(path, &entry.key);
        findings.problem(entry.node.place, &path, "is not true or false");
    }
    is(&entry.node, off)
}

/// Takes a command apart that holds its arguments: as a list, as opencode has it, or as a map, as older
/// files of Zed do.
fn split_command(kept: &mut Vec<Entry>, path: &str, findings: &mut Findings) {
    let Some(at) = kept.iter().position(|entry| entry.key == "command") else { return };
    let command = &mut kept[at];
    let place = command.place;
    match std::mem::replace(&mut command.node.content, Content::Null) {
        Content::List(mut words) if !words.is_empty() => {
            command.node = words.remove(0);
            if !words.is_empty() {
                let node = Node { place, content: Content::List(words) };
                kept.push(Entry { key: "args".to_owned(), place, node });
            }
        }
        Content::Map(entries) => {
            kept.remove(at);
            for mut entry in entries {
                if entry.key == "path" {
                    "command".clone_into(&mut entry.key);
                }
                kept.push(entry);
            }
        }
        other => command.node.content = other,
    }
    let args: Vec<_> = kept.iter().filter(|entry| entry.key == "args").collect();
    if let [_, again, ..] = args[..] {
        let path = join(path, "args");
        findings.problem(
            again.place,
            &path,
            "stands beside a command that holds arguments; keep one",
        );
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

/// The names of a list of tools.
fn tools(node: &Node, path: &str, findings: &mut Findings) -> Vec<String> {
    let Content::List(items) = &node.content else {
        findings.problem(node.place, path, "must be a list of the names of tools");
        return Vec::new();
    };
    let name = |(index, item): (usize, &Node)| match &item.content {
        Content::Text(name) if !name.is_empty() => Some(name.clone()),
        _ => {
            findings.problem(item.place, &format!("{path}[{index}]"), "is not the name of a tool");
            None
        }
    };
    items.iter().enumerate().filter_map(name).collect()
}

/// How long a call may take. Some editors count seconds, up to an hour, and others milliseconds: what is more
/// than an hour in seconds is in milliseconds.
fn timeout(node: &Node, path: &str, findings: &mut Findings) -> Option<Duration> {
    let number = match &node.content {
        Content::Text(text) => text.parse::<u64>().ok().filter(|number| *number > 0),
        Content::Null | Content::List(_) | Content::Map(_) => None,
    };
    let Some(number) = number else {
        findings.problem(node.place, path, "is not a number of seconds, or of milliseconds");
        return None;
    };
    let seconds = Duration::from_secs(number);
    let time = if seconds > LONGEST { Duration::from_millis(number) } else { seconds };
    if time > LONGEST {
        findings.warning(node.place, path, "is longer than a call may take, which is an hour");
    }
    Some(time.min(LONGEST))
}

/// What an entry of a configuration's `aggregation.tools` says about the tools of a server.
pub(in crate::config) fn rules_of_tools(
    name: &str,
    imported: &Imported,
) -> Option<Vec<(&'static str, Node)>> {
    let list = |names: &[String]| {
        let items = names.iter().map(|name| text(name)).collect();
        Node { content: Content::List(items), ..text("") }
    };
    let mut entries = vec![("workload", text(name))];
    if !imported.only.is_empty() {
        entries.push(("filter", list(&imported.only)));
    }
    if !imported.never.is_empty() {
        entries.push(("exclude", list(&imported.never)));
    }
    if imported.none {
        entries.push(("excludeAll", text("true")));
    }
    (entries.len() > 1).then_some(entries)
}
