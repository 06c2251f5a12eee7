//! Names that a server does not know: what was probably meant, or who is not there that may know it.

use anyhow::anyhow;
use serde_json::Value;
use vmcp_model::Kind;

use crate::{
    suggest::did_you_mean,
    target::{Server, Wrong},
};

/// Names of which one was perhaps meant, at most.
const MEANT: usize = 3;

/// Why something that no list has cannot be had, if that is certain without asking.
pub(super) fn known_to_be_out(server: &Server, name: &str) -> Option<anyhow::Error> {
    let out = server.lacks.iter().filter(|lack| matches!(lack.what, Wrong::Out(_)));
    let out = out.filter(|lack| lack.backend.owns(name));
    out.max_by_key(|lack| lack.backend.as_str().len()).map(|out| anyhow!("{out}"))
}

/// Adds to what a server says about a name that no list of its has what may help.
pub(super) fn advised(
    error: anyhow::Error,
    server: &Server,
    kind: Kind,
    name: &str,
    items: &[Value],
) -> anyhow::Error {
    let names = || items.iter().filter_map(|item| item[kind.key()].as_str());
    if names().any(|known| known == name) {
        return error;
    }
    let mut meant = did_you_mean(name, names());
    // A tool that a gateway shows has its backend's name before its own.
    let ends_so = |known: &&str| {
        let before = known.strip_suffix(name);
        before.is_some_and(|before| before.ends_with(|last: char| !last.is_ascii_alphanumeric()))
    };
    let longer: Vec<_> =
        names().filter(ends_so).take(MEANT).map(|one| format!("{one:?}")).collect();
    if meant.is_empty() && !longer.is_empty() && !name.is_empty() {
        meant = format!("; did you mean {}?", longer.join(" or "));
    }
    let mut text = format!("{error:#}{meant}");
    if !meant.is_empty() {
        return anyhow!("{text}");
    }
    for lack in server.lacks.iter().filter(|lack| lack.what != Wrong::NotThereYet) {
        text += &format!("; {lack}");
    }
    if let Some(late) = server.late() {
        text += &format!("; {late}");
    }
    anyhow!("{text}")
}
