//! `${NAME}` in texts: what the environment fills in.

/// Why a text cannot be completed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unexpanded {
    /// No variable has this name.
    Unset(String),
    /// `${` is not followed by a name and `}`. What does follow is not told: it may be part of a
    /// secret.
    Malformed,
    /// A default holds `${`.
    Nested,
    /// A form of variables that editors have, and how that is written here.
    Foreign { what: String, cure: String },
}

/// What editors fill in themselves, and what to write in its place.
const OF_EDITORS: [(&str, &str); 10] = [
    ("workspaceFolder", "the folder itself"),
    ("localWorkspaceFolder", "the folder itself"),
    ("workspaceRoot", "the folder itself"),
    ("workspaceFolderBasename", "the folder's name itself"),
    ("cwd", "the folder itself"),
    ("file", "the file itself"),
    ("userHome", "${HOME}"),
    ("pathSeparator", "/"),
    ("/", "/"),
    ("input", "${NAME}, and set the environment variable NAME"),
];

/// Puts the values of variables in the place of their names: `${NAME}`, or `${NAME:-default}` for
/// one that may be unset or empty. `$${` stands for `${` itself.
pub(super) fn expand(
    text: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<String, Unexpanded> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, found) = rest.split_at(start);
        let after = &found["${".len()..];
        if let Some(kept) = before.strip_suffix('$') {
            expanded += kept;
            expanded += "${";
            rest = after;
            continue;
        }
        let (name, after) = after.split_once('}').ok_or(Unexpanded::Malformed)?;
        let (name, default) = match name.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (name, None),
        };
        if !is_name(name) {
            return Err(foreign(name).unwrap_or(Unexpanded::Malformed));
        }
        if default.is_some_and(|default| default.contains("${")) {
            return Err(Unexpanded::Nested);
        }
        expanded += before;
        expanded += &match (variable(name), default) {
            (Some(value), None) => value,
            (value, Some(default)) => {
                value.filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
            }
            (None, None) => {
                return Err(foreign(name).unwrap_or_else(|| Unexpanded::Unset(name.to_owned())));
            }
        };
        rest = after;
    }
    Ok(expanded + rest)
}

/// What an editor would understand by a name that stands for nothing here.
fn foreign(name: &str) -> Option<Unexpanded> {
    let (kind, rest) = name.split_once(':').unwrap_or((name, ""));
    if matches!(kind, "env" | "localEnv") && is_name(rest) {
        let (what, cure) = (format!("${{{name}}} is an editor's form"), format!("${{{rest}}}"));
        return Some(Unexpanded::Foreign { what, cure });
    }
    let (kind, cure) = OF_EDITORS.iter().find(|(known, _)| *known == kind)?;
    let what = format!("${{{kind}}} is filled in by editors only");
    Some(Unexpanded::Foreign { what, cure: (*cure).to_owned() })
}

/// Whether a variable may be called this (POSIX, Base Definitions, section 8.1).
pub(super) fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The name in the first word of a text that begins with `$` and goes on as names of variables do, as
/// a shell would have it. Here such a word stays as it stands.
pub(super) fn shell_variable(text: &str) -> Option<&str> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.match_indices('$').find_map(|(at, _)| {
        let begins_word = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '$');
        let rest = &text[at + 1..];
        let name = rest.split(|c| !is_part(c)).next().unwrap_or_default();
        let ends_word = !rest[name.len()..].starts_with(char::is_alphanumeric);
        let is_name = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_');
        (begins_word && is_name && ends_word).then_some(name)
    })
}
