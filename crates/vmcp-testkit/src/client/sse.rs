//! Reads a stream of server-sent events as the HTML standard says, without losing a byte of the data.

use anyhow::{Result, ensure};
use bytes::{Bytes, BytesMut};

/// One event of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// The event's own `id` field.
    pub id: Option<String>,
    /// The `event` field.
    pub event: Option<String>,
    /// The `retry` field.
    pub retry: Option<String>,
    /// The `data` fields, joined by line feeds.
    pub data: Bytes,
    /// Whether the event had a `data` field at all; without one the standard drops the event.
    pub has_data: bool,
}

/// Cuts bytes into events. Lines end with LF or CR LF; a lone CR is refused, as no server sends it.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    buffer: BytesMut,
    searched: usize,
}

impl Decoder {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete event. Blocks of comments only are skipped.
    pub(super) fn next(&mut self) -> Result<Option<Event>> {
        while let Some(end) = self.block_end() {
            let block = self.buffer.split_to(end);
            self.searched = 0;
            let event = parse(&block)?;
            if event != Event::default() {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Whether the stream ended between two events.
    pub(super) fn is_clean(&self) -> bool {
        self.buffer.is_empty()
    }

    fn block_end(&mut self) -> Option<usize> {
        let mut start = self.searched;
        while let Some(length) = self.buffer[start..].iter().position(|byte| *byte == b'\n') {
            let line = &self.buffer[start..start + length];
            let next = start + length + 1;
            if line.is_empty() || line == b"\r" {
                return Some(next);
            }
            start = next;
        }
        self.searched = start;
        None
    }
}

fn parse(block: &[u8]) -> Result<Event> {
    let mut event = Event::default();
    let mut data: Vec<u8> = Vec::new();
    for line in block.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line[0] == b':' {
            continue;
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if field == b"data" {
            if event.has_data {
                data.push(b'\n');
            }
            event.has_data = true;
            data.extend_from_slice(value);
            continue;
        }
        ensure!(!value.contains(&b'\r'), "a lone carriage return in a field");
        let value = Some(std::str::from_utf8(value)?.to_owned());
        match field {
            b"id" => event.id = value,
            b"event" => event.event = value,
            b"retry" => event.retry = value,
            // The standard says to ignore unknown fields.
            _ => {}
        }
    }
    event.data = data.into();
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::Decoder;

    #[test]
    fn events_are_cut_at_blank_lines_whatever_the_chunks() {
        let stream =
            b": hello\n\nid: 1\nevent: message\ndata: {\"a\":\ndata: 1}\n\nretry:5\r\ndata\r\n\r\n";
        for size in 1..stream.len() {
            let mut decoder = Decoder::default();
            let mut events = Vec::new();
            for chunk in stream.chunks(size) {
                decoder.feed(chunk);
                while let Some(event) = decoder.next().unwrap() {
                    events.push(event);
                }
            }
            assert!(decoder.is_clean());
            assert_eq!(events.len(), 2, "with chunks of {size}");
            assert_eq!(events[0].id.as_deref(), Some("1"));
            assert_eq!(&events[0].data[..], b"{\"a\":\n1}");
            assert_eq!(events[1].retry.as_deref(), Some("5"));
            assert!(events[1].has_data && events[1].data.is_empty());
        }
    }
}
