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
}

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
            return Err(Unexpanded::Malformed);
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
            (None, None) => return Err(Unexpanded::Unset(name.to_owned())),
        };
        rest = after;
    }
    Ok(expanded + rest)
}

/// Whether a variable may be called this (POSIX, Base Definitions, section 8.1).
pub(super) fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    first && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
