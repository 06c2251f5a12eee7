//! Reads the messages that a process writes to its standard output.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncReadExt as _, process::ChildStdout};
use vmcp_wire::Message;

use super::stderr::Allowance;
use crate::{backend::excerpt, link::Link, pace::Pace};

/// Lines in a row that are no message, and their bytes, after which nothing more is expected of the
/// program. Some print a greeting first.
const GARBAGE: (usize, usize) = (1000, 1 << 20);

/// Room that is made for reading.
const CHUNK: usize = 16 << 10;

/// A line of more than this is not to leave its room behind.
const LONG: usize = 64 << 10;

/// What is no message, since the last one.
#[derive(Default)]
struct Garbage {
    lines: usize,
    bytes: usize,
    allowance: Allowance,
}

/// Reads until the end. The error says what makes the program unusable.
pub(super) async fn read(
    mut stdout: ChildStdout,
    link: Arc<Link>,
    line_bytes: usize,
) -> Result<(), String> {
    let (mut pace, mut garbage) = (Pace::default(), Garbage::default());
    let mut buffer = BytesMut::new();
    // How much of the buffer holds no line break.
    let mut searched = 0;
    loop {
        buffer.reserve(CHUNK);
        let length = stdout.read_buf(&mut buffer).await.map_err(|error| {
            format!("its program's standard output cannot be read any more: {error}")
        })?;
        if length == 0 {
            return Ok(());
        }
        while let Some(at) = memchr::memchr(b'\n', &buffer[searched..]) {
            let line = buffer.split_to(searched + at + 1).freeze();
            searched = 0;
            if line.len() > LONG {
                buffer = BytesMut::from(&buffer[..]);
            }
            within(line.len(), line_bytes)?;
            take(&line, &link, &mut pace, &mut garbage).await?;
        }
        searched = buffer.len();
        within(searched, line_bytes)?;
    }
}

async fn take(
    line: &Bytes,
    link: &Link,
    pace: &mut Pace,
    garbage: &mut Garbage,
) -> Result<(), String> {
    let text = line.slice_ref(line.trim_ascii());
    let answered = match Message::parse(text.clone()) {
        Ok(message) => {
            (garbage.lines, garbage.bytes) = (0, 0);
            link.receive(message).await
        }
        Err(why) => {
            garbage.note(&text, &why, link)?;
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
    fn note(
        &mut self,
        line: &Bytes,
        why: &vmcp_wire::Malformed,
        link: &Link,
    ) -> Result<(), String> {
        self.lines += 1;
        self.bytes += line.len();
        if !line.is_empty() && self.allowance.grant() {
            let (backend, line) = (link.backend(), excerpt(line));
            tracing::warn!(%backend, line, %why, "the program wrote a line that is no message to its standard output; logs belong to standard error");
        }
        if self.lines > GARBAGE.0 || self.bytes > GARBAGE.1 {
            return Err(
                "its program writes what is no MCP message to its standard output".to_owned()
            );
        }
        Ok(())
    }
}
