//! The log: on standard error, for people on a terminal and as JSON lines otherwise.

use std::io::IsTerminal as _;

use tracing::Level;

/// Begins to log from this level on.
pub(crate) fn start(level: Level) {
    let base = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        base.with_target(false).init();
    } else {
        base.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    }
}
