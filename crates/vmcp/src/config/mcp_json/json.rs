//! JSON as editors let people write it: with comments, and with tabs.

use serde::de::IgnoredAny;

use crate::config::problem::{Place, Problem};

/// Why a text is not JSON, and where. `None` if that is something that editors let people write, such as
/// a comma behind the last of a list.
pub(super) fn problem(source: &str) -> Option<Problem> {
    let error = serde_json::from_str::<IgnoredAny>(&blanked(source)).err()?;
    let text = error.to_string();
    let why = text.split(" at line ").next().unwrap_or_default();
    if why.contains("trailing comma") {
        return None;
    }
    let hint = match why {
        why if why.contains("expected `,`") => "; is a comma missing before this?",
        why if why.contains("invalid escape") => "; write \\\\ for \\",
        why if why.contains("EOF") => "; is a bracket or a quote not closed?",
        _ => "",
    };
    let (line, column) = (error.line().try_into().ok()?, error.column().try_into().ok()?);
    let place = Some(Place { line, column }).filter(|place| place.line > 0 && place.column > 0);
    Some(Problem { place, path: String::new(), text: format!("not valid JSON: {why}{hint}") })
}

/// The text without comments and tabs, everything else in its place.
pub(super) fn blanked(source: &str) -> String {
    let mut blank = String::with_capacity(source.len());
    let mut characters = source.chars().peekable();
    let mut inside = Inside::Code;
    while let Some(c) = characters.next() {
        let next = characters.peek().copied();
        let mut both = false;
        let shown = match (inside, c, next) {
            (Inside::Text, '\\', Some(_)) => {
                blank.push(c);
                characters.next().unwrap_or(c)
            }
            (Inside::Text, '"', _) => {
                inside = Inside::Code;
                c
            }
            (Inside::Text, _, _) | (_, '\n', _) => {
                inside = if inside == Inside::Line { Inside::Code } else { inside };
                c
            }
            (Inside::Code, '"', _) => {
                inside = Inside::Text;
                c
            }
            (Inside::Code, '/', Some('/')) => {
                inside = Inside::Line;
                ' '
            }
            (Inside::Code, '/', Some('*')) => {
                (inside, both) = (Inside::Block, true);
                ' '
            }
            (Inside::Block, '*', Some('/')) => {
                (inside, both) = (Inside::Code, true);
                ' '
            }
            (Inside::Code, '\t', _) | (Inside::Line | Inside::Block, _, _) => ' ',
            (Inside::Code, _, _) => c,
        };
        blank.push(shown);
        if both {
            characters.next();
            blank.push(' ');
        }
    }
    blank
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    Text,
    /// A comment to the end of the line.
    Line,
    /// A comment between `/*` and `*/`.
    Block,
}
