//! What a program wrote last, and what of it says why the program failed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::secrets::Secrets;

/// Lines that are kept.
const LINES: usize = 40;

/// Bytes of a line that are looked at, and characters that are shown and kept.
pub(super) const LINE: (usize, usize) = (10 << 10, 512);

/// Lines, and characters, of a reason.
const REASON: (usize, usize) = (3, 400);

/// Parts of a line, in lower case, that tells what is wrong.
const TELLING: [&str; 13] = [
    "error",
    "fatal",
    "panic",
    "exception",
    "usage:",
    "denied",
    "not found",
    "no such",
    "cannot",
    "can't",
    "failed",
    "missing",
    "required",
];

/// The last lines of a program, without its secrets.
#[derive(Debug)]
pub(crate) struct Words {
    lines: Mutex<VecDeque<String>>,
    secrets: Arc<Secrets>,
}

impl Words {
    /// Those of a program that has not written anything yet.
    pub(crate) fn new(secrets: Arc<Secrets>) -> Self {
        Self { lines: Mutex::default(), secrets }
    }

    /// Keeps a line, and gives it back as it may be shown.
    pub(super) fn keep(&self, line: &[u8]) -> String {
        let shown = self.secrets.told(line.trim_ascii_end(), LINE.1);
        let mut lines = self.lines();
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(shown.clone());
        shown
    }

    /// What the program has said about why it failed, in one line. `None` if it has said nothing.
    pub(crate) fn reason(&self) -> Option<Box<str>> {
        let lines = self.lines();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        reason(&lines).map(String::into_boxed_str)
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lines that say why a program failed: the end of a Python traceback, or what follows the first
/// line that tells of an error. Without either, the last lines.
fn reason(lines: &[&str]) -> Option<String> {
    let lines: Vec<&str> = lines.iter().copied().filter(|line| !is_noise(line)).collect();
    let traceback = lines.iter().rposition(|line| line.starts_with("Traceback (most recent call"));
    let lines = match traceback {
        Some(at) => {
            let end = lines[at + 1..].iter().position(|line| !line.starts_with([' ', '\t']));
            end.map_or(&lines[..], |end| &lines[at + 1 + end..])
        }
        None => {
            let telling = |line: &&str| {
                let line = line.to_lowercase();
                TELLING.iter().any(|part| line.contains(part))
            };
            let first = lines.iter().position(telling);
            &lines[first.unwrap_or_else(|| lines.len().saturating_sub(REASON.0))..]
        }
    };
    let lines: Vec<&str> = lines.iter().take(REASON.0).map(|line| line.trim()).collect();
    let text = lines.join(" | ");
    let mut short: String = text.chars().take(REASON.1).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    (!short.is_empty()).then_some(short)
}

/// Lines that say where in a program's code something went wrong, or nothing at all.
fn is_noise(line: &str) -> bool {
    let text = line.trim();
    let has_words = text.chars().any(char::is_alphanumeric);
    let is_frame = line.starts_with([' ', '\t']) && text.starts_with("at ");
    !has_words
        || is_frame
        || text.starts_with("node:internal")
        || text.starts_with("Node.js v")
        || text == "throw err;"
        || is_bare(text)
        || text.contains("A complete log of this run can be found")
}

/// Whether a line of npm holds a number or the name of one, which says nothing by itself.
fn is_bare(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("npm error ") else { return false };
    let mut words = rest.split_ascii_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("code" | "errno" | "syscall" | "type"), Some(_), None) => true,
        (Some(number), None, None) => number.bytes().all(|b| b.is_ascii_digit()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &str) -> Option<String> {
        reason(&lines.lines().collect::<Vec<_>>())
    }

    #[test]
    fn the_reason_is_found_in_what_runtimes_write() {
        let node = "node:internal/modules/cjs/loader:1080\n  throw err;\n  ^\n\n\
            Error: Cannot find module '/srv/server.js'\n    at Module._load (node:internal:1)\n    \
            at main {\n  code: 'MODULE_NOT_FOUND',\n  requireStack: []\n}\n\nNode.js v20.11.1";
        let found = said(node).unwrap();
        assert!(found.starts_with("Error: Cannot find module '/srv/server.js' | "), "{found}");
        let python = "Traceback (most recent call last):\n  File \"server.py\", line 3, in <module>\n    \
            raise ValueError(\"error\")\nValueError: GITHUB_TOKEN is not set";
        assert_eq!(said(python).as_deref(), Some("ValueError: GITHUB_TOKEN is not set"));
        let npm = "npm error code E404\nnpm error 404 Not Found - GET https://registry/x\n\
            npm error 404\nnpm error A complete log of this run can be found in: /root/.npm/x.log";
        assert_eq!(said(npm).as_deref(), Some("npm error 404 Not Found - GET https://registry/x"));
        let network = "npm error code ECONNREFUSED\nnpm error syscall connect\nnpm error errno ECONNREFUSED\n\
            npm error FetchError: request to https://registry/x failed, reason: connect ECONNREFUSED";
        assert_eq!(
            said(network).as_deref(),
            Some(
                "npm error FetchError: request to https://registry/x failed, reason: connect ECONNREFUSED"
            )
        );
        let uvx = "  × No solution found when resolving tool dependencies:\n  ╰─▶ Because \
            mcp-nothing was not found in the package registry, we can conclude that it is missing.";
        assert!(said(uvx).unwrap().contains("mcp-nothing was not found"), "{:?}", said(uvx));
        let shell = "starting\nboom: the disk is full";
        assert_eq!(said(shell).as_deref(), Some("starting | boom: the disk is full"));
        assert_eq!(said("\n  ^\n---"), None);
    }

    #[test]
    fn what_is_told_is_bounded() {
        let long = "error: ".to_owned() + &"ö".repeat(10_000);
        let told = said(&long).unwrap();
        assert_eq!((told.chars().count(), told.ends_with('…')), (REASON.1 + 1, true));
        let words = Words::new(Arc::default());
        for line in 0..1000 {
            words.keep(format!("{line}{}", "x".repeat(10_000)).as_bytes());
        }
        assert_eq!(words.lines().len(), LINES);
        assert!(words.lines().iter().all(|line| line.chars().count() == LINE.1 + 1));
    }
}
