//! The log: on standard error, for people on a terminal and as JSON lines otherwise.

use std::io::IsTerminal as _;

use tracing::Level;
use tracing_subscriber::{
    Registry, filter::LevelFilter, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

/// Changes what is logged while the program runs.
#[derive(Debug)]
pub(crate) struct Threshold(reload::Handle<LevelFilter, Registry>);

/// Begins to log from this level on.
pub(crate) fn start(level: Level) -> Threshold {
    let (filter, threshold) = reload::Layer::new(LevelFilter::from_level(level));
    let log = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.with(lines.with_target(false)).init();
    } else {
        let lines = lines.json().flatten_event(true);
        log.with(lines.with_current_span(false).with_span_list(false)).init();
    }
    Threshold(threshold)
}

impl Threshold {
    /// Logs from this level on.
    pub(crate) fn set(&self, level: Level) {
        if let Err(error) = self.0.reload(LevelFilter::from_level(level)) {
            tracing::warn!(%error, "the log level stays as it is");
        }
    }
}
