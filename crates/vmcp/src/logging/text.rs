//! Log lines as text.

use std::fmt::{self, Debug};

use anstyle::{Effects, Style};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    field::RecordFields,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use crate::{
    output::{BAD, ODD, QUIET},
    printable,
};

/// The field in which a program's own words are, of an event that has no other words.
const SAID: &str = "stderr";

/// The message and the fields of a line: `message key=value key="two words"`. A value is quoted if it is not
/// a plain word, however it came here; what is empty is left out.
pub(super) struct Fields;

/// Lines without times: `warning: message key=value`, and what programs write as `name | text`.
pub(super) struct Short;

/// Writes fields.
struct Writing<'w> {
    writer: Writer<'w>,
    is_empty: bool,
    result: fmt::Result,
}

/// Finds what a program has said, and which.
#[derive(Default)]
struct Said {
    backend: String,
    text: Option<String>,
}

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut writing = Writing { writer, is_empty: true, result: Ok(()) };
        fields.record(&mut writing);
        writing.result
    }
}

impl Writing<'_> {
    fn write(&mut self, field: &Field, value: &str) -> fmt::Result {
        let is_message = field.name() == "message";
        if value.is_empty() {
            return Ok(());
        }
        if !std::mem::take(&mut self.is_empty) {
            self.writer.write_char(' ')?;
        }
        if is_message {
            return self.writer.write_str(&printable::line(value));
        }
        let styled = |style| if self.writer.has_ansi_escapes() { style } else { Style::new() };
        let (italic, quiet) = (styled(Style::new().effects(Effects::ITALIC)), styled(QUIET));
        let value = if is_plain(value) { value.to_owned() } else { format!("{value:?}") };
        let value = printable::line(&value);
        write!(self.writer, "{italic}{}{italic:#}{quiet}={quiet:#}{value}", field.name())
    }
}

/// Whether a value can be told from what stands around it without quotes.
fn is_plain(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:+%@[]".contains(c))
}

impl Visit for Writing<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.result = self.result.and_then(|()| self.write(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "backend" => value.clone_into(&mut self.backend),
            SAID => self.text = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl<S, N> FormatEvent<S, N> for Short
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let styled = |style| if writer.has_ansi_escapes() { style } else { Style::new() };
        let mut said = Said::default();
        event.record(&mut said);
        if let Said { backend, text: Some(text) } = said {
            let quiet = styled(QUIET);
            let text = printable::line(&text);
            return writeln!(writer, "{quiet}{backend} | {text}{quiet:#}");
        }
        let (style, word) = match *event.metadata().level() {
            Level::ERROR => (styled(BAD), "error"),
            Level::WARN => (styled(ODD), "warning"),
            Level::INFO => (styled(QUIET), "info"),
            Level::DEBUG | Level::TRACE => (styled(QUIET), "debug"),
        };
        write!(writer, "{style}{word}:{style:#} ")?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
