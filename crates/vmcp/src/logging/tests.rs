//! What a line of the log looks like.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tracing::Level;
use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt as _};

use super::{
    targets,
    text::{Fields, Short},
};

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Kept {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// The lines that come of `work`, with colours or without.
fn short(colour: bool, work: impl FnOnce()) -> String {
    let kept = Kept::default();
    let layer = tracing_subscriber::fmt::layer().with_writer(kept.clone()).with_ansi(colour);
    let layer = layer.fmt_fields(Fields).event_format(Short);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    let bytes = kept.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn the_steps_of_libraries_are_told_to_who_asks_for_everything() {
    let tells = |level, target| targets(level).would_enable(target, &Level::DEBUG);
    assert!(tells(Level::DEBUG, "vmcp_core::view"));
    assert!(!tells(Level::DEBUG, "tower::buffer::worker"));
    assert!(!tells(Level::DEBUG, "hyper_util::client::legacy::pool"));
    assert!(tells(Level::TRACE, "hyper_util::client::legacy::pool"));
    assert!(!targets(Level::ERROR).would_enable("tower", &Level::WARN));
}

#[test]
fn a_value_is_quoted_by_what_it_is_and_not_by_how_it_came() {
    let (two, plain, empty) = ("two words", "a/b:1", "");
    let quoted = "say \"no\"\n";
    let lines = short(false, || {
        tracing::warn!(a = two, b = %two, c = plain, d = %plain, n = 5, yes = true, "told");
        tracing::warn!(a = empty, b = %empty, c = quoted, d = %quoted, "told");
        tracing::error!(a = "x=y", only = ?Some(1));
    });
    let expected = r#"warning: told a="two words" b="two words" c=a/b:1 d=a/b:1 n=5 yes=true
warning: told c="say \"no\"\n" d="say \"no\"\n"
error: a="x=y" only="Some(1)"
"#;
    assert_eq!(lines, expected);
}

#[test]
fn what_a_program_writes_is_told_apart() {
    let said = || {
        tracing::info!(backend = %"kid", stderr = %"\u{1b}[2Jready on\u{202e} 80");
        tracing::info!(backend = "kid", stderr = "two words");
        tracing::info!(backend = %"kid", "began");
    };
    let expected =
        "kid | \\u{1b}[2Jready on\\u{202e} 80\nkid | two words\ninfo: began backend=kid\n";
    assert_eq!(short(false, said), expected);
    let coloured = short(true, said);
    assert!(coloured.starts_with("\u{1b}[2mkid | "), "{coloured:?}");
}
