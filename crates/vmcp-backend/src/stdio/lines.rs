//! Reads the messages that a process writes to its standard output.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncReadExt as _, process::ChildStdout};

use super::stderr::Allowance;
use crate::{link::Link, pace::Pace, reading};

/// Lines that are no message, and their bytes, after which nothing more is expected of a program that
/// has sent no message at all. Some print a greeting first.
const GARBAGE: (usize, usize) = (1000, 64 << 20);

/// Room that is made for reading.
const CHUNK: usize = 16 << 10;

/// A line of more than this is not to leave its room behind, and is not kept if it is no message.
const LONG: usize = 64 << 10;

/// What is no message.
#[derive(Default)]
struct Garbage {
    /// The program has sent a message: it is an MCP server, whatever else it prints.
    is_server: bool,
    lines: usize,
    bytes: usize,
    allowance: Allowance,
}

/// What has been read of the line that is not complete yet.
#[derive(Default)]
struct Line {
    buffer: BytesMut,
    /// How much of the buffer holds no line break.
    searched: usize,
    /// It is long and no message: what comes up to its end is dropped.
    is_noise: bool,
}

/// Reads until the end. The error says what makes the program unusable.
pub(super) async fn read(
    mut stdout: ChildStdout,
    link: Arc<Link>,
    line_bytes: usize,
) -> Result<(), String> {
    let (mut pace, mut garbage) = (Pace::default(), Garbage::default());
    let mut line = Line::default();
    loop {
        pace.keep().await;
        line.buffer.reserve(CHUNK);
        let length = stdout.read_buf(&mut line.buffer).await.map_err(|error| {
            format!("its program's standard output cannot be read any more: {error}")
        })?;
        pace.read(length, 0);
        while let Some(whole) = line.next() {
            within(whole.len(), line_bytes)?;
            take(&whole, &link, &mut pace, &mut garbage).await?;
        }
        if length == 0 {
            // Some end without ending their last line.
            let last = line.buffer.split().freeze();
            return match last.trim_ascii() {
                [] => Ok(()),
                _ => take(&last, &link, &mut pace, &mut garbage).await,
            };
        }
        if let Some((bytes, is_new)) = line.drop_noise() {
            garbage.note(bytes, is_new.then_some("a long line"), &link)?;
        }
        within(line.buffer.len(), line_bytes)?;
    }
}

impl Line {
    /// The next line that is complete.
    fn next(&mut self) -> Option<Bytes> {
        loop {
            let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
                self.searched = self.buffer.len();
                return None;
            };
            let whole = self.buffer.split_to(self.searched + at + 1).freeze();
            self.searched = 0;
            if whole.len() > LONG {
                self.buffer = BytesMut::from(&self.buffer[..]);
            }
            if !std::mem::take(&mut self.is_noise) {
                return Some(whole);
            }
        }
    }

    /// Drops what there is of a long line that is no message. Tells how much that is, and whether it is
    /// the first of the line.
    fn drop_noise(&mut self) -> Option<(usize, bool)> {
        if !self.is_noise && (self.buffer.len() <= LONG || may_be_message(&self.buffer)) {
            return None;
        }
        let bytes = self.buffer.len();
        self.buffer.clear();
        self.searched = 0;
        Some((bytes, !std::mem::replace(&mut self.is_noise, true)))
    }
}

/// Whether a line may become a message, as far as its beginning tells.
fn may_be_message(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    matches!(line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line).first(), Some(b'{' | b'[') | None)
}

async fn take(
    line: &Bytes,
    link: &Link,
    pace: &mut Pace,
    garbage: &mut Garbage,
) -> Result<(), String> {
    let text = line.slice_ref(line.trim_ascii());
    let answered = match reading::message(link.backend(), text.clone()) {
        Ok(message) => {
            garbage.is_server = true;
            link.receive(message).await
        }
        Err(why) => {
            garbage.note(text.len(), Some(&*why).filter(|_| !text.is_empty()), link)?;
            false
        }
    };
    // Answers are bounded by what was asked.
    if !answered {
        pace.count();
        pace.keep().await;
    }
    Ok(())
}

fn within(length: usize, limit: usize) -> Result<(), String> {
    if length > limit {
        return Err(format!("its program wrote a line of more than {limit} bytes"));
    }
    Ok(())
}

impl Garbage {
    /// Notes so many bytes; `what` is a new line, as it is told.
    fn note(&mut self, bytes: usize, what: Option<&str>, link: &Link) -> Result<(), String> {
        self.lines += usize::from(what.is_some() || bytes == 0);
        self.bytes += bytes;
        if let Some(what) = what
            && self.allowance.grant()
        {
            let backend = link.backend();
            tracing::warn!(%backend, what, "the program wrote a line that is no message to its standard output; logs belong to standard error");
        }
        if !self.is_server && (self.lines > GARBAGE.0 || self.bytes > GARBAGE.1) {
            return Err(
                "its program writes what is no MCP message to its standard output".to_owned()
            );
        }
        Ok(())
    }
}
