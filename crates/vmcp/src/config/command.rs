//! The program that a backend is: what can be seen of it before it is started.
//!
//! No message holds what follows the first word: it may be an argument, and secret.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::value::Value;

/// Warns of a command that cannot be started from a directory as things are: a file may change while
/// the others are served. What is looked up in PATH, and what is not there yet, is found out when it is
/// started.
pub(super) fn check(value: &Value<'_>, command: &str, directory: Option<&Path>) {
    if let Some(why) = why_not(command, directory) {
        value.warning(why);
    }
}

fn why_not(command: &str, directory: Option<&Path>) -> Option<&'static str> {
    if command.starts_with("~/") {
        return Some("~ stands for nothing here; write ${HOME} in its place");
    }
    let path = directory.unwrap_or(Path::new("")).join(command);
    let found = fs::metadata(&path).ok().filter(|_found| command.contains('/'));
    match found {
        Some(found) if found.is_dir() => Some("is a directory; name the program in it"),
        Some(found) if found.permissions().mode() & 0o111 == 0 => {
            Some("is a file that may not be run; allow that with chmod +x")
        }
        None if command.trim().contains(char::is_whitespace) => {
            Some("no program is called so; put what follows the first word under args")
        }
        Some(_) | None => None,
    }
}
