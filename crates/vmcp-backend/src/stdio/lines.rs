//! Reads the messages that a process writes to its standard output.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncReadExt as _, process::ChildStdout};
use vmcp_wire::{Id, Message, reply, unmarked};

use super::{
    overlong::{Overlong, end_of},
    stderr::Allowance,
    words::Words,
};
use crate::{conduct::Oddity, error::Error, link::Link, pace::Pace, reading};

/// Lines that are no message, and their bytes, after which nothing more is expected of a program that
/// has sent no message at all. Some print a greeting first.
const GARBAGE: (usize, usize) = (1000, 64 << 20);

/// Room that is made for reading.
const CHUNK: usize = 16 << 10;

/// A line of more than this is not to leave its room behind, and is not kept if it is no message.
const LONG: usize = 64 << 10;

/// The end of a line that is to be a message is waited for until it has so many times the bytes that one
/// may have.
const OVERLONG: usize = 16;

/// What is no message.
struct Garbage {
    words: Arc<Words>,
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
    /// It is not kept: what comes up to its end is dropped.
    dropped: Option<Dropped>,
}

/// A line that is not kept.
struct Dropped {
    /// What it would have been, if it might have been a message.
    overlong: Option<Overlong>,
    bytes: usize,
}

/// A line that is complete.
enum Whole {
    Kept(Bytes),
    /// It was not kept; this is its end.
    Dropped(Dropped, Bytes),
}

/// Reads until the end. The error says what makes the program unusable.
pub(super) async fn read(
    mut stdout: ChildStdout,
    link: Arc<Link>,
    words: Arc<Words>,
    line_bytes: usize,
) -> Result<(), String> {
    let (mut pace, mut garbage) = (Pace::default(), Garbage::of(words));
    let mut line = Line::default();
    loop {
        pace.keep().await;
        line.buffer.reserve(CHUNK);
        let length = stdout.read_buf(&mut line.buffer).await.map_err(|error| {
            format!("has a standard output that cannot be read any more: {error}")
        })?;
        pace.read(length, 0);
        while let Some(whole) = line.next() {
            match whole {
                Whole::Kept(text) if text.len() <= line_bytes => {
                    take(&text, &link, &mut pace, &mut garbage).await?;
                }
                Whole::Kept(text) => {
                    let overlong = Overlong::of(&text);
                    give_up(overlong, end_of(&text), &link, line_bytes, &mut garbage).await?;
                }
                Whole::Dropped(Dropped { overlong: Some(overlong), .. }, end) => {
                    give_up(overlong, &end, &link, line_bytes, &mut garbage).await?;
                }
                Whole::Dropped(Dropped { overlong: None, .. }, _end) => {}
            }
        }
        if length == 0 {
            // Some end without ending their last line.
            let last = line.buffer.split().freeze();
            return match last.trim_ascii() {
                [] => Ok(()),
                _ if line.dropped.is_some() => Ok(()),
                _ => take(&last, &link, &mut pace, &mut garbage).await,
            };
        }
        let (bytes, is_new) = line.drop_unkept(line_bytes);
        match &line.dropped {
            Some(Dropped { overlong: None, .. }) => {
                garbage.note(bytes, is_new.then_some("a long line"), &link)?;
            }
            Some(Dropped { bytes, .. }) if bytes / OVERLONG > line_bytes => {
                return Err(too_long(line_bytes));
            }
            Some(_) | None => {}
        }
    }
}

impl Line {
    /// The next line that is complete.
    fn next(&mut self) -> Option<Whole> {
        let Some(at) = memchr::memchr(b'\n', &self.buffer[self.searched..]) else {
            self.searched = self.buffer.len();
            return None;
        };
        let whole = self.buffer.split_to(self.searched + at + 1).freeze();
        self.searched = 0;
        if whole.len() > LONG {
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        Some(match self.dropped.take() {
            Some(dropped) => Whole::Dropped(dropped, whole),
            None => Whole::Kept(whole),
        })
    }

    /// Drops what there is of a line that is no message, or longer than one may be. Tells how much that
    /// is, and whether it is the first of the line.
    fn drop_unkept(&mut self, line_bytes: usize) -> (usize, bool) {
        let is_new = self.dropped.is_none();
        let dropped = match &mut self.dropped {
            Some(dropped) => dropped,
            None => {
                let is_message = may_be_message(&self.buffer);
                if self.buffer.len() <= if is_message { line_bytes } else { LONG } {
                    return (0, false);
                }
                let overlong = is_message.then(|| Overlong::of(&self.buffer));
                self.dropped.insert(Dropped { overlong, bytes: 0 })
            }
        };
        let end = if dropped.overlong.is_some() { end_of(&self.buffer) } else { &[] };
        let bytes = self.buffer.len() - end.len();
        dropped.bytes += bytes;
        self.buffer = BytesMut::from(end);
        self.searched = self.buffer.len();
        (bytes, is_new)
    }
}

/// Whether a line may become a message, as far as its beginning tells.
fn may_be_message(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    matches!(unmarked(line).first(), Some(b'{' | b'[') | None)
}

async fn take(
    line: &Bytes,
    link: &Link,
    pace: &mut Pace,
    garbage: &mut Garbage,
) -> Result<(), String> {
    let text = line.slice_ref(line.trim_ascii());
    let answered = match reading::message(link.backend(), link.conduct().secrets(), text.clone()) {
        Ok(message) => {
            garbage.is_server = true;
            link.receive(message).await
        }
        Err(why) => {
            garbage.words.keep(&text);
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

/// Ends the wait for what a line would have said that was longer than it may be. The error says why the
/// program cannot go on: who would have to wait is not known.
async fn give_up(
    overlong: Overlong,
    end: &[u8],
    link: &Link,
    line_bytes: usize,
    garbage: &mut Garbage,
) -> Result<(), String> {
    let backend = link.backend();
    tracing::warn!(%backend, limit = line_bytes, "the program wrote a longer message than `limits.eventBytes` allows, which is left out");
    if overlong == Overlong::Notification {
        return Ok(());
    }
    let id = overlong.answers(end).map(|id| id.to_json());
    let Some(id) = id.as_deref().and_then(Id::parse) else { return Err(too_long(line_bytes)) };
    let fault =
        Error::TooLarge { what: "answered with a line", limit: line_bytes, key: "eventBytes" };
    let fault = fault.fault(backend);
    let answer = Message::parse(reply::error(Some(id), &fault)).map_err(|why| why.to_string())?;
    garbage.is_server = true;
    link.receive(answer).await;
    Ok(())
}

fn too_long(limit: usize) -> String {
    format!("wrote a line of more than {limit} bytes (`limits.eventBytes`)")
}

impl Garbage {
    fn of(words: Arc<Words>) -> Self {
        let allowance = Allowance::default();
        Self { words, is_server: false, lines: 0, bytes: 0, allowance }
    }

    /// Notes so many bytes; `what` is a new line, as it is told.
    fn note(&mut self, bytes: usize, what: Option<&str>, link: &Link) -> Result<(), String> {
        self.lines += usize::from(what.is_some() || bytes == 0);
        self.bytes += bytes;
        if let Some(what) = what
            && self.allowance.grant()
        {
            let backend = link.backend();
            // It does no harm, and who serves the program can do nothing about it.
            let _remarked = link.conduct().is_news(Oddity::NoMessage);
            tracing::info!(%backend, what, "the program wrote a line that is no message to its standard output; logs belong to standard error");
        }
        if !self.is_server && (self.lines > GARBAGE.0 || self.bytes > GARBAGE.1) {
            return Err("writes what is no MCP message to its standard output".to_owned());
        }
        Ok(())
    }
}
