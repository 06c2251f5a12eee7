//! JSON as editors let people write it: with comments, and with tabs.

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
