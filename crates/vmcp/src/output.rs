//! What people read: results on standard output, failures and progress on standard error. Colour
//! reaches terminals only, and not even those where `NO_COLOR` is set.

use std::{
    fmt::{self, Write as _},
    io::Write as _,
};

use anstyle::{AnsiColor, Style};

use crate::config::Problems;

/// What stands out.
pub(crate) const STRONG: Style = Style::new().bold();
/// What is good.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What went wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What deserves a look.
pub(crate) const ODD: Style = AnsiColor::Yellow.on_default().bold();
/// What is there for those who look for it.
pub(crate) const QUIET: Style = Style::new().dimmed();

/// Prints a line of a result.
pub(crate) fn line(text: fmt::Arguments<'_>) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// Prints bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(())
}

/// Prints why the command failed; each problem of a configuration is a failure of its own.
pub(crate) fn failure(error: &anyhow::Error) {
    let text = format!("{error:#}");
    if error.is::<Problems>() {
        text.lines().for_each(|problem| tell(BAD, "error", problem));
    } else {
        tell(BAD, "error", &text);
    }
}

/// Prints what did not keep the command from going on.
pub(crate) fn warning(text: &str) {
    tell(ODD, "warning", text);
}

/// Prints a line about what is going on.
pub(crate) fn progress(text: fmt::Arguments<'_>) {
    // If standard error is closed, there is nobody to tell.
    let _told = writeln!(anstream::stderr().lock(), "{text}");
}

fn tell(style: Style, word: &str, text: &str) {
    progress(format_args!("{style}{word}:{style:#} {}", printable(text)));
}

/// A text of somebody else's as it may be shown: what would steer a terminal is shown as such.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\n' | '\t') {
            // Writing to a string cannot fail.
            let _written = write!(shown, "{}", c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
