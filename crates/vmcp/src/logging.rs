//! The log: on standard error, for people on a terminal and as JSON lines otherwise.

use std::{
    fmt::{self, Debug},
    io::{IsTerminal as _, stderr},
};

use anstream::ColorChoice;
use anstyle::{Effects, Style};
use tracing::{Level, field::Field};
use tracing_subscriber::{
    Registry,
    field::MakeExt as _,
    filter::LevelFilter,
    fmt::{
        FormatFields,
        format::{Writer, debug_fn},
    },
    layer::SubscriberExt as _,
    reload,
    util::SubscriberInitExt as _,
};

use crate::{cli::LogFormat, output::QUIET, printable};

/// Changes what is logged while the program runs.
#[derive(Debug)]
pub(crate) struct Threshold {
    logging: Logging,
    handle: reload::Handle<LevelFilter, Registry>,
}

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
            LogFormat::Auto => stderr().is_terminal(),
            LogFormat::Text => true,
            LogFormat::Json => false,
        };
        let (filter, handle) = reload::Layer::new(self.filter(level));
        let log = tracing_subscriber::registry().with(filter);
        let lines = tracing_subscriber::fmt::layer();
        if text {
            let colour = anstream::AutoStream::choice(&stderr()) != ColorChoice::Never;
            let lines = lines.with_writer(stderr).fmt_fields(fields());
            log.with(lines.with_target(false).with_ansi(colour)).init();
        } else {
            let lines = lines.with_writer(|| printable::Json(stderr()));
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

/// The message and the fields of a line. Much of it comes from backends.
fn fields() -> impl for<'w> FormatFields<'w> {
    let field = |writer: &mut Writer<'_>, field: &Field, value: &dyn Debug| -> fmt::Result {
        let value = printable::line(&format!("{value:?}"));
        if field.name() == "message" {
            return writer.write_str(&value);
        }
        let styled = |style| if writer.has_ansi_escapes() { style } else { Style::new() };
        let (italic, quiet) = (styled(Style::new().effects(Effects::ITALIC)), styled(QUIET));
        write!(writer, "{italic}{}{italic:#}{quiet}={quiet:#}{value}", field.name())
    };
    debug_fn(field).delimited(" ")
}
