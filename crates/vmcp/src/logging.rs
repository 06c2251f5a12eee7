//! The log: on standard error, for people on a terminal and as JSON lines otherwise.

use std::io::IsTerminal as _;

use anstream::ColorChoice;
use tracing::Level;

use crate::cli::LogFormat;

/// What the command line says about the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logging {
    pub(crate) debug: bool,
    pub(crate) format: LogFormat,
}

impl Logging {
    /// Begins to log from this level on, or from debug on if that was asked for.
    pub(crate) fn start(self, level: Level) {
        let text = match self.format {
            LogFormat::Auto => std::io::stderr().is_terminal(),
            LogFormat::Text => true,
            LogFormat::Json => false,
        };
        let level = if self.debug { Level::DEBUG } else { level };
        let base = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr);
        if text {
            let colour = anstream::AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
            base.with_target(false).with_ansi(colour).init();
        } else {
            base.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
        }
    }

    /// The same for a command whose result people wait for: in words, unless they say otherwise.
    pub(crate) fn start_for_people(self, level: Level) {
        let format = if self.format == LogFormat::Auto { LogFormat::Text } else { self.format };
        Self { format, ..self }.start(level);
    }
}
