//! What people read: results on standard output, failures on standard error.

use std::{fmt, io::Write as _};

/// Prints a line of a result.
pub(crate) fn line(text: fmt::Arguments<'_>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// Prints why the command failed.
pub(crate) fn failure(error: &anyhow::Error) {
    // If standard error is closed, there is nobody to tell.
    let _told = writeln!(std::io::stderr().lock(), "error: {error:#}");
}
