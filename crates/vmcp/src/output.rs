//! What people read: results on standard output, failures and progress on standard error. Colour
//! reaches terminals only, and not even those where `NO_COLOR` is set.

use std::{
    fmt,
    io::{self, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::{config::Problems, printable};

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

/// Prints JSON for programs, which a terminal may show too.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    line(format_args!("{}", printable::json(&serde_json::to_string_pretty(value)?)))
}

/// Prints JSON as somebody else has written it.
pub(crate) fn raw_json(text: &str) -> anyhow::Result<()> {
    line(format_args!("{}", printable::json(text)))
}

/// Prints bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    Ok(())
}

/// Whether a command failed because nobody reads its result any more.
pub(crate) fn is_unwanted(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A failure in somebody else's words, of as many lines as they have.
#[derive(Debug)]
pub(crate) struct Quoted(pub(crate) String);

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Quoted {}

/// Prints why the command failed; each problem of a configuration is a failure of its own.
pub(crate) fn failure(error: &anyhow::Error) {
    let text = format!("{error:#}");
    if error.is::<Problems>() {
        text.lines().for_each(|problem| tell(BAD, "error", &printable::line(problem)));
    } else if error.is::<Quoted>() {
        tell(BAD, "error", &printable::text(&text));
    } else {
        tell(BAD, "error", &printable::line(&text));
    }
}

/// Prints what did not keep the command from going on.
pub(crate) fn warning(text: &str) {
    tell(ODD, "warning", &printable::line(text));
}

/// Prints a line about what is going on.
pub(crate) fn progress(text: fmt::Arguments<'_>) {
    // If standard error is closed, there is nobody to tell.
    let _told = writeln!(anstream::stderr().lock(), "{text}");
}

/// A line on a terminal of which the next takes its place. Dropped, it is gone.
#[derive(Default)]
pub(crate) struct Transient {
    is_shown: AtomicBool,
}

impl Transient {
    /// Shows something in the place of what was shown before.
    pub(crate) fn show(&self, text: &str) {
        self.is_shown.store(true, Ordering::Relaxed);
        show_briefly(text);
    }
}

impl Drop for Transient {
    fn drop(&mut self) {
        if *self.is_shown.get_mut() {
            show_briefly("");
        }
    }
}

fn show_briefly(text: &str) {
    const WIDTH: usize = 78;
    let shown: String = text.chars().take(WIDTH).collect();
    let mut out = io::stderr().lock();
    // It stands where it began, so that the next line begins there.
    let _told = write!(out, "\r{shown:WIDTH$}\r").and_then(|()| out.flush());
}

fn tell(style: Style, word: &str, text: &str) {
    progress(format_args!("{style}{word}:{style:#} {text}"));
}
