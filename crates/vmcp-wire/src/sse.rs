//! Server-sent events (WHATWG HTML, section 9.2), incremental in both directions.

use bytes::{Buf as _, BufMut, Bytes, BytesMut};

use crate::unmarked;

/// The longest id and name that are taken, in bytes. An id lives as long as its stream, and is sent in a
/// header when the stream is taken up again.
const MAX_FIELD: usize = 1 << 10;

/// One event as it was received.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The `event` field; empty means `message`. Of one that is over the bound, its beginning, which is
    /// longer than any name that says something.
    pub name: String,
    /// The `data` lines, joined by line feeds.
    pub data: Bytes,
    /// The last id that the stream has given so far, if this event gave one.
    pub id: Option<String>,
    /// The reconnection time in milliseconds, if this event set one.
    pub retry: Option<u64>,
}

/// An event, or what is kept of it so far, is over the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sent an event of more than {limit} bytes")]
pub struct EventTooLarge {
    pub limit: usize,
}

/// What a stream has brought that says nothing: comments, empty lines, unknown fields, and those that
/// take the place of an equal one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waste {
    pub lines: usize,
    pub bytes: usize,
}

/// Reads events out of chunks that may be cut anywhere.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    /// The line that is not complete yet.
    line: BytesMut,
    event: Event,
    /// The `data` lines so far; `None` before the first.
    lines: Option<BytesMut>,
    /// The last line ended with a carriage return: a line feed that follows belongs to it.
    after_return: bool,
    started: bool,
    /// How many lines have been read.
    count: usize,
    waste: Waste,
}

impl Decoder {
    /// Makes a decoder that refuses events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: BytesMut::new(),
            event: Event::default(),
            lines: None,
            after_return: false,
            started: false,
            count: 0,
            waste: Waste::default(),
        }
    }

    /// Takes the next chunk and appends the events that it completes.
    ///
    /// Unlike a browser, an event without data is reported if it has an id or a reconnection time:
    /// MCP servers use such events to make a stream resumable.
    pub fn feed(&mut self, chunk: &[u8], into: &mut Vec<Event>) -> Result<(), EventTooLarge> {
        let mut rest = chunk;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_return) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            let Some(at) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.grow(rest.len())?;
                self.line.extend_from_slice(rest);
                return Ok(());
            };
            self.grow(at)?;
            if self.line.is_empty() {
                self.take_line(&rest[..at], into);
            } else {
                self.line.extend_from_slice(&rest[..at]);
                // Taken whole: a piece that is split off would keep the room of a large line for the next one.
                let line = std::mem::take(&mut self.line);
                self.take_own(line, into);
            }
            self.after_return = rest[at] == b'\r';
            rest = &rest[at + 1..];
        }
        Ok(())
    }

    /// How many bytes of an event are held that is not complete yet.
    pub fn held(&self) -> usize {
        self.line.len()
            + self.lines.as_ref().map_or(0, BytesMut::len)
            + self.event.name.len()
            + self.event.id.as_ref().map_or(0, String::len)
    }

    /// How many lines have been read since this was asked last.
    pub fn take_lines(&mut self) -> usize {
        std::mem::take(&mut self.count)
    }

    /// What was read since this was asked last that says nothing.
    pub fn take_waste(&mut self) -> Waste {
        std::mem::take(&mut self.waste)
    }

    fn grow(&self, by: usize) -> Result<(), EventTooLarge> {
        if self.held() + by > self.limit {
            return Err(EventTooLarge { limit: self.limit });
        }
        Ok(())
    }

    /// Takes a line that was put together here. What is in it is not copied if it is the event's first.
    fn take_own(&mut self, mut line: BytesMut, into: &mut Vec<Event>) {
        if !self.started || self.lines.is_some() || !line.starts_with(b"data:") {
            return self.take_line(&line, into);
        }
        self.count += 1;
        let prefix = if line.starts_with(b"data: ") { 6 } else { 5 };
        line.advance(prefix);
        self.lines = Some(line);
    }

    fn take_line(&mut self, line: &[u8], into: &mut Vec<Event>) {
        let line = if std::mem::replace(&mut self.started, true) { line } else { unmarked(line) };
        self.count += 1;
        if line.is_empty() {
            self.dispatch(into);
            return;
        }
        let (field, value) = match memchr::memchr(b':', line) {
            // A comment.
            Some(0) => return self.waste.add(line),
            Some(at) => (&line[..at], line[at + 1..].strip_prefix(b" ").unwrap_or(&line[at + 1..])),
            None => (line, &[][..]),
        };
        match field {
            b"data" => match &mut self.lines {
                Some(lines) => {
                    if value.is_empty() {
                        self.waste.add(line);
                    }
                    lines.put_u8(b'\n');
                    lines.extend_from_slice(value);
                }
                None => self.lines = Some(BytesMut::from(value)),
            },
            b"event" => {
                let name = &value[..value.len().min(MAX_FIELD)];
                let name = String::from_utf8_lossy(name).into_owned();
                let before = std::mem::replace(&mut self.event.name, name);
                if !before.is_empty() {
                    self.waste.add(line);
                }
            }
            b"id" if value.len() <= MAX_FIELD && !value.contains(&0) => {
                let id = String::from_utf8_lossy(value).into_owned();
                if self.event.id.replace(id).is_some() {
                    self.waste.add(line);
                }
            }
            b"retry" => {
                let retry = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
                if retry.is_none() || self.event.retry.is_some() {
                    self.waste.add(line);
                }
                self.event.retry = retry.or(self.event.retry);
            }
            _ => self.waste.add(line),
        }
    }

    fn dispatch(&mut self, into: &mut Vec<Event>) {
        let mut event = std::mem::take(&mut self.event);
        let lines = self.lines.take();
        if lines.is_some() || event.id.is_some() || event.retry.is_some() {
            event.data = lines.unwrap_or_default().freeze();
            into.push(event);
        } else {
            self.waste.add(b"");
        }
    }
}

impl Waste {
    fn add(&mut self, line: &[u8]) {
        self.lines += 1;
        self.bytes += line.len() + 1;
    }
}

/// Writes one event that carries a message. Line breaks, which JSON allows between its tokens only,
/// become several `data` lines.
pub fn encode(id: Option<&str>, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 64);
    out.put_slice(b"event: message\n");
    put_id(&mut out, id);
    let mut rest = data;
    loop {
        out.put_slice(b"data: ");
        let Some(at) = memchr::memchr2(b'\n', b'\r', rest) else {
            out.put_slice(rest);
            break;
        };
        out.put_slice(&rest[..at]);
        out.put_slice(b"\n");
        let ending = if rest[at..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[at + ending..];
    }
    out.put_slice(b"\n\n");
    out
}

/// Writes an event without a message, which gives the client an id to resume from and how long to
/// wait before it does (specification 2025-11-25, basic/transports).
pub fn encode_priming(id: &str, retry_milliseconds: u64) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    put_id(&mut out, Some(id));
    out.put_slice(b"retry: ");
    out.put_slice(retry_milliseconds.to_string().as_bytes());
    out.put_slice(b"\ndata: \n\n");
    out.freeze()
}

/// A comment, which keeps an idle connection from being taken for dead.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

fn put_id(out: &mut impl BufMut, id: Option<&str>) {
    if let Some(id) = id {
        out.put_slice(b"id: ");
        out.put_slice(id.as_bytes());
        out.put_slice(b"\n");
    }
}

#[cfg(test)]
mod tests;
