//! `${NAME}` in texts: what the environment fills in.

/// Why a text cannot be completed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unexpanded {
    /// No variable has this name.
    Unset(String),
    /// `${` is not followed by a name and `}`. What does follow is not told: it may be part of a
    /// secret.
    Malformed,
}

/// Puts the values of variables in the place of their names. `$${` stands for `${` itself.
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
        if !is_name(name) {
            return Err(Unexpanded::Malformed);
        }
        expanded += before;
        expanded += &variable(name).ok_or_else(|| Unexpanded::Unset(name.to_owned()))?;
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
