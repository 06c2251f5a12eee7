//! The log: on standard error, for people on a terminal and as JSON lines otherwise.

use std::io::IsTerminal as _;

use anstream::ColorChoice;
use tracing::Level;
use tracing_subscriber::{
    Registry, filter::LevelFilter, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

/// Changes what is logged while the program runs.
#[derive(Debug)]
pub(crate) struct Threshold {
    logging: Logging,
    handle: reload::Handle<LevelFilter, Registry>,
}

use crate::cli::LogFormat;

/// What the command line says about the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logging {
    pub(crate) debug: bool,
    pub(crate) format: LogFormat,
}

impl Logging {
    /// Begins to log from this level on, or from debug on if that was asked for.
    pub(crate) fn start(self, level: Level) -> Threshold {
        let text = match self.format {
            LogFormat::Auto => std::io::stderr().is_terminal(),
            LogFormat::Text => true,
            LogFormat::Json => false,
        };
        let (filter, handle) = reload::Layer::new(self.filter(level));
        let log = tracing_subscriber::registry().with(filter);
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        if text {
            let colour = anstream::AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
            log.with(lines.with_target(false).with_ansi(colour)).init();
        } else {
            let lines = lines.json().flatten_event(true);
            log.with(lines.with_current_span(false).with_span_list(false)).init();
        }
        Threshold { logging: self, handle }
    }

    /// The same for a command whose result people wait for: in words, unless they say otherwise.
    pub(crate) fn start_for_people(self, level: Level) {
        let format = if self.format == LogFormat::Auto { LogFormat::Text } else { self.format };
        Self { format, ..self }.start(level);
    }

    fn filter(self, level: Level) -> LevelFilter {
        LevelFilter::from_level(if self.debug { Level::DEBUG } else { level })
    }
}

impl Threshold {
    /// Logs from this level on, or from debug on if the command line asked for that.
    pub(crate) fn set(&self, level: Level) {
        if let Err(error) = self.handle.reload(self.logging.filter(level)) {
            tracing::warn!(%error, "the log level stays as it is");
        }
    }
}
