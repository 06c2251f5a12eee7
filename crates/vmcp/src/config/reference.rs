//! The reference of all keys for people, in Markdown: `docs/configuration.md`.

use std::fmt::Write as _;

use super::{
    inherited, keys,
    schema::{Key, LEAST_TIME, Need, Shape},
    units::{show_duration, show_size},
};

const INTRODUCTION: &str = include_str!("reference.md");

/// Sections that have been told already, and where.
type Told = Vec<(&'static [Key], String)>;

/// The whole page.
pub(crate) fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    section("", keys::ROOT, &mut Vec::new(), &mut page);
    environment(&mut page);
    page += "\n## Refused so far\n\n\
             These keys and words of ToolHive's vMCP do nothing here yet, and are refused by name, with what \
             that means. A value that is empty or off there is as if the key were absent.\n\n";
    refused("", keys::ROOT, &mut Vec::new(), &mut page);
    page += "\n## Taken without effect\n\n\
             These keys of ToolHive's vMCP are taken with a warning:\n\n";
    without_effect("", keys::ROOT, &mut Vec::new(), &mut page);
    page
}

/// What programs find in their environment.
fn environment(page: &mut String) {
    *page += "\n## The environment of programs\n\n\
              A program gets these variables of vmcp's own environment, where they are set, and no others:\n\n";
    for (purpose, names) in inherited::GROUPS {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        // Writing to a string cannot fail.
        let _written = writeln!(page, "- {purpose}: {}", names.join(", "));
    }
    *page += "\n`passEnv` passes others on, and `env` sets some.\n\n\
              Backends with a URL are reached through the proxy that `HTTPS_PROXY`, `HTTP_PROXY` or \
              `ALL_PROXY` names, unless `NO_PROXY` names their host; a host on this machine is reached \
              directly. The proxy has an `http://` URL, with a name and a password in it if it wants them.\n";
}

/// A table of a section's keys, and the sections below it.
fn section(path: &str, keys: &'static [Key], told: &mut Told, page: &mut String) {
    let title = if path.is_empty() { "The file".to_owned() } else { format!("`{path}`") };
    // Writing to a string cannot fail.
    let _written = write!(page, "\n## {title}\n\n");
    if let Some((_, before)) = told.iter().find(|(known, _)| std::ptr::eq(*known, keys)) {
        let _written = writeln!(page, "The same keys as `{before}`.");
        return;
    }
    told.push((keys, path.to_owned()));
    *page += "| key | what it holds | default | what it is for |\n|---|---|---|---|\n";
    for key in accepted(keys) {
        let default = if key.is_required() { "*required*".to_owned() } else { default(key) };
        let _written = writeln!(
            page,
            "| `{}` | {} | {default} | {} |",
            key.name,
            kind(&key.shape),
            key.doc.replace('|', "\\|")
        );
    }
    for key in accepted(keys) {
        if let Some((below, keys)) = below(path, key) {
            section(&below, keys, told, page);
        }
    }
}

/// The keys and words that do nothing yet, one a line.
fn refused(path: &str, keys: &'static [Key], told: &mut Told, page: &mut String) {
    if told.iter().any(|(known, _)| std::ptr::eq(*known, keys)) {
        return;
    }
    told.push((keys, path.to_owned()));
    for key in keys {
        let name = joined(path, key.name);
        if let Need::NotYet { advice, .. } = key.need {
            let _written = writeln!(page, "- `{name}`{advice}");
        }
        if let Shape::Choice { not_yet: words, .. } = key.shape {
            for (word, advice) in words {
                let _written = writeln!(page, "- `{name}: {word}`{advice}");
            }
        }
        if let Some((below, keys)) = below(path, key) {
            refused(&below, keys, told, page);
        }
    }
}

/// The keys that are taken and do nothing, one a line.
fn without_effect(path: &str, keys: &'static [Key], told: &mut Told, page: &mut String) {
    if told.iter().any(|(known, _)| std::ptr::eq(*known, keys)) {
        return;
    }
    told.push((keys, path.to_owned()));
    for key in keys {
        if let Need::WithoutEffect(why) = key.need {
            let _written = writeln!(page, "- `{}` {why}", joined(path, key.name));
        }
        if let Some((below, keys)) = below(path, key) {
            without_effect(&below, keys, told, page);
        }
    }
}

fn accepted(keys: &'static [Key]) -> impl Iterator<Item = &'static Key> {
    keys.iter().filter(|key| key.is_read())
}

/// The section under a key, and how to get there.
fn below(path: &str, key: &Key) -> Option<(String, &'static [Key])> {
    let path = joined(path, key.name);
    match key.shape {
        Shape::Section(keys) => Some((path, keys)),
        Shape::Sections(keys) => Some((format!("{path}[]"), keys)),
        Shape::Named(keys) => Some((format!("{path}.NAME"), keys)),
        _ => None,
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn kind(shape: &Shape) -> String {
    match *shape {
        Shape::Text | Shape::AnyText => "text".to_owned(),
        Shape::Flag => "`true` or `false`".to_owned(),
        Shape::Choice { values, .. } => {
            values.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
        }
        Shape::Count { least, most, .. } => format!("a number from {least} to {most}"),
        Shape::Size { most, .. } => format!("a size up to {}", show_size(most)),
        Shape::Time { most, .. } => duration(most),
        Shape::Texts | Shape::AnyTexts => "a list of texts".to_owned(),
        Shape::TextMap => "a map of texts".to_owned(),
        Shape::TimeMap { most } => format!("a map; each {}", duration(most)),
        Shape::Section(_) => "a section".to_owned(),
        Shape::Sections(_) => "a list of sections".to_owned(),
        Shape::Named(_) => "sections by name".to_owned(),
        Shape::Anything => "anything".to_owned(),
    }
}

fn duration(most: std::time::Duration) -> String {
    format!("a duration from {} to {}", show_duration(LEAST_TIME), show_duration(most))
}

fn default(key: &Key) -> String {
    match key.shape {
        Shape::Count { default, .. } => default.to_string(),
        Shape::Size { default, .. } => show_size(default),
        Shape::Time { default, .. } => show_duration(default),
        _ => key.default.map(|default| format!("`{default}`")).unwrap_or_default(),
    }
}
