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
