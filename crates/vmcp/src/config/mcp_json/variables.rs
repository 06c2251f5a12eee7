//! Variables in texts, as editors have them.

use super::Findings;
use crate::config::{
    tree::{Content, Node},
    value::join,
};

/// Ways of editors to write variables, and how a configuration has the same: VS Code and Cursor; opencode.
const WORDS: [(&str, &str); 5] = [
    ("${env:", "${"),
    ("{env:", "${"),
    ("${userHome}", "${HOME}"),
    ("${pathSeparator}", "/"),
    ("${/}", "/"),
];

/// Writes the variables of all texts as a configuration has them.
pub(super) fn translate(node: &mut Node, path: &str, findings: &mut Findings) {
    match &mut node.content {
        Content::Null => {}
        Content::Text(text) => {
            for (theirs, ours) in WORDS {
                *text = text.replace(theirs, ours);
            }
            if text.contains("${input:") {
                let advice = "asks the user for an input, which a server cannot do; \
                              write ${NAME} and set the environment variable NAME";
                findings.problem(node.place, path, advice);
            } else if text.contains("${workspaceFolder") {
                let advice = "holds ${workspaceFolder}, which only the editor knows; write the folder itself";
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
pub(super) fn warn_of_variables(node: &Node, path: &str, findings: &mut Findings) {
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
