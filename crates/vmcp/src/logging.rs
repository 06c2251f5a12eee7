//! The log: on standard error, short lines for people on a terminal and JSON otherwise.

mod text;
mod threshold;

use std::io::{IsTerminal as _, stderr};

use anstream::ColorChoice;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    reload,
    util::SubscriberInitExt as _,
};

use crate::{cli::LogFormat, printable};

pub(crate) use threshold::Threshold;

/// What the command line says about the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Logging {
    pub(crate) debug: bool,
    pub(crate) format: LogFormat,
}

/// How the lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// Short, for who sits there.
    Short,
    /// Whole, with times.
    Text,
    Json,
}

impl Logging {
    /// Begins to log for a server: from the level on that its configuration names, or from debug on if
    /// the command line asks for that.
    pub(crate) fn start(self, level: Option<Level>) -> Threshold {
        let lines = match self.format {
            LogFormat::Auto if stderr().is_terminal() => Lines::Short,
            LogFormat::Auto | LogFormat::Json => Lines::Json,
            LogFormat::Text => Lines::Text,
        };
        self.start_lines(lines, level)
    }

    /// The same for a command whose result people wait for: in words, unless they say otherwise.
    pub(crate) fn start_for_people(self, level: Level) {
        let lines = match self.format {
            LogFormat::Auto => Lines::Short,
            LogFormat::Text => Lines::Text,
            LogFormat::Json => Lines::Json,
        };
        self.start_lines(lines, Some(level));
    }

    fn start_lines(self, lines: Lines, level: Option<Level>) -> Threshold {
        let (filter, handle) = reload::Layer::new(targets(self.level(level)));
        let log = tracing_subscriber::registry().with(filter);
        let layer = tracing_subscriber::fmt::layer();
        let colour = anstream::AutoStream::choice(&stderr()) != ColorChoice::Never;
        match lines {
            Lines::Short => {
                let layer = layer.with_writer(stderr).with_ansi(colour);
                let layer = layer.fmt_fields(text::Fields).event_format(text::Short);
                let debug = self.debug;
                let filter = tracing_subscriber::filter::filter_fn(move |of| debug || is_news(of));
                log.with(layer.with_filter(filter)).init();
            }
            Lines::Text => {
                let layer = layer.with_writer(stderr).with_ansi(colour);
                log.with(layer.fmt_fields(text::Fields).with_target(false)).init();
            }
            Lines::Json => {
                let layer = layer.with_writer(|| printable::Json(stderr()));
                let layer = layer.json().flatten_event(true);
                log.with(layer.with_current_span(false).with_span_list(false)).init();
            }
        }
        Threshold::new(self, level, handle)
    }

    /// Without a level, a terminal is shown what is wrong and everything else is told more.
    fn level(self, level: Option<Level>) -> Level {
        let on_terminal = self.format == LogFormat::Auto && stderr().is_terminal();
        let default = if on_terminal { Level::WARN } else { Level::INFO };
        if self.debug { Level::DEBUG } else { level.unwrap_or(default) }
    }
}

/// What is logged from a level on. What libraries say of a cluster is told by those who use them, once and without
/// what was read.
fn targets(level: Level) -> Targets {
    let libraries = ["kube_client", "kube_runtime"].map(|target| (target, LevelFilter::OFF));
    // Each has a line for every step of every request to an API server.
    let steps = ["tower", "hyper_util"].map(|target| (target, LevelFilter::from(level)));
    let steps = steps.map(|(target, level)| match level {
        LevelFilter::DEBUG => (target, LevelFilter::INFO),
        other => (target, other),
    });
    Targets::new().with_default(level).with_targets(libraries).with_targets(steps)
}

/// Whether a terminal is not told in another way already: how each backend fares has lines of its own
/// there.
fn is_news(of: &Metadata<'_>) -> bool {
    !["vmcp_core::view::watching", "vmcp_backend::health"].contains(&of.target())
}

#[cfg(test)]
mod tests;
