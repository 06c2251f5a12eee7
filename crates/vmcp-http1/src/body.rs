//! Where the body of a message ends (RFC 9112, sections 6 and 7).

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderName, HeaderValue};

use crate::write::CHUNK_END;

/// The longest line that tells the size of a chunk, with whatever else stands on it.
const MAX_SIZE_LINE: usize = 256;

/// Bytes of all lines behind the last chunk.
const MAX_TRAILERS: usize = 16 << 10;

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Length {
    /// It has so many bytes.
    Known(u64),
    /// It comes in chunks, each with its size, and an empty one at the end.
    Chunked,
    /// It ends with the connection. Responses only.
    UntilClose,
}

/// Takes a body out of what arrives on a connection.
#[derive(Debug)]
pub struct Decoder(State);

#[derive(Debug)]
enum State {
    /// So many bytes are still to come.
    Known(u64),
    UntilClose,
    /// A line with the size of the next chunk is to come.
    ChunkSize,
    /// So many bytes of a chunk are still to come.
    ChunkData(u64),
    /// The end of line behind a chunk is to come.
    ChunkEnd,
    /// Lines behind the last chunk, of which so many bytes have come.
    Trailers(usize),
    Over,
}

/// What there is of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Data(Bytes),
    /// More bytes must arrive first.
    Starved,
    /// There is no more. What the buffer holds belongs to the next message.
    End,
}

/// A body whose end cannot be told, or which ended before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    #[error("a chunk does not begin with its size")]
    Size,
    #[error("a chunk does not end where it should")]
    End,
    #[error("the lines behind the last chunk are no header lines, or too long")]
    Trailers,
    #[error("the connection was closed in mid-body")]
    Truncated,
}

impl Decoder {
    pub fn new(length: Length) -> Self {
        Self(match length {
            Length::Known(0) => State::Over,
            Length::Known(bytes) => State::Known(bytes),
            Length::Chunked => State::ChunkSize,
            Length::UntilClose => State::UntilClose,
        })
    }

    /// Whether the whole body has been taken.
    pub fn is_over(&self) -> bool {
        matches!(self.0, State::Over)
    }

    /// How many bytes are still to come at least; exact if the length is known.
    pub fn expected(&self) -> u64 {
        match self.0 {
            State::Known(bytes) | State::ChunkData(bytes) => bytes,
            State::UntilClose
            | State::ChunkSize
            | State::ChunkEnd
            | State::Trailers(_)
            | State::Over => 0,
        }
    }

    /// Takes the next piece off the front of what has arrived.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Piece, BadBody> {
        self.settle(buffer)?;
        match &mut self.0 {
            State::Over => Ok(Piece::End),
            _ if buffer.is_empty() => Ok(Piece::Starved),
            State::UntilClose => Ok(Piece::Data(buffer.split().freeze())),
            State::Known(left) => {
                let data = take(buffer, left);
                if *left == 0 {
                    self.0 = State::Over;
                }
                Ok(Piece::Data(data))
            }
            State::ChunkData(left) => {
                let data = take(buffer, left);
                if *left == 0 {
                    self.0 = State::ChunkEnd;
                }
                Ok(Piece::Data(data))
            }
            State::ChunkSize | State::ChunkEnd | State::Trailers(_) => Ok(Piece::Starved),
        }
    }

    /// Takes what stands between two pieces and behind the last one, as far as it has arrived.
    /// [`Decoder::decode`] does so too; who does it behind each piece knows at once which was the last.
    pub fn settle(&mut self, buffer: &mut BytesMut) -> Result<(), BadBody> {
        loop {
            match &mut self.0 {
                State::Over | State::UntilClose | State::Known(_) | State::ChunkData(_) => {
                    return Ok(());
                }
                State::ChunkEnd => {
                    if buffer.len() < 2 {
                        return Ok(());
                    }
                    if !buffer.starts_with(CHUNK_END) {
                        return Err(BadBody::End);
                    }
                    buffer.advance(CHUNK_END.len());
                    self.0 = State::ChunkSize;
                }
                State::ChunkSize => {
                    let Some(line) = line(buffer, MAX_SIZE_LINE).ok_or(BadBody::Size)? else {
                        return Ok(());
                    };
                    self.0 = match size(&buffer[..line]).ok_or(BadBody::Size)? {
                        0 => State::Trailers(0),
                        size => State::ChunkData(size),
                    };
                    buffer.advance(line + 2);
                }
                State::Trailers(read) => {
                    let room = MAX_TRAILERS - *read;
                    let Some(line) = line(buffer, room).ok_or(BadBody::Trailers)? else {
                        return Ok(());
                    };
                    if line == 0 {
                        self.0 = State::Over;
                    } else if *read + line + 2 > MAX_TRAILERS || !is_field(&buffer[..line]) {
                        return Err(BadBody::Trailers);
                    } else {
                        *read += line + 2;
                    }
                    buffer.advance(line + 2);
                }
            }
        }
    }

    /// The connection has ended. For some bodies that is the end, for others it is too early.
    pub fn closed(&mut self) -> Result<(), BadBody> {
        match self.0 {
            State::Over => Ok(()),
            State::UntilClose => {
                self.0 = State::Over;
                Ok(())
            }
            State::Known(_)
            | State::ChunkSize
            | State::ChunkData(_)
            | State::ChunkEnd
            | State::Trailers(_) => Err(BadBody::Truncated),
        }
    }
}

/// Takes at most `left` bytes, and counts them.
fn take(buffer: &mut BytesMut, left: &mut u64) -> Bytes {
    let bytes = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    *left -= bytes as u64;
    buffer.split_to(bytes).freeze()
}

/// The length of the first line, without its CR LF. The inner `None`: it has not arrived yet; the
/// outer one: it is too long, or its end is not CR LF.
#[expect(clippy::option_option, reason = "read by one `ok_or` at each call")]
fn line(buffer: &[u8], limit: usize) -> Option<Option<usize>> {
    let window = &buffer[..buffer.len().min(limit.saturating_add(2))];
    match memchr::memchr(b'\n', window) {
        Some(end) if end > 0 && window[end - 1] == b'\r' => Some(Some(end - 1)),
        Some(_) => None,
        None if window.len() < limit.saturating_add(2) => Some(None),
        None => None,
    }
}

/// The size of a chunk: hexadecimal digits, and possibly extensions, which mean nothing here.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    // Space and tab only: what others take for the end of a line is refused.
    let blanks = line[digits..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let behind = &line[digits + blanks..];
    let is_plain = behind.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control());
    if digits == 0 || digits > 15 || !(behind.is_empty() || behind[0] == b';') || !is_plain {
        return None;
    }
    let digits = std::str::from_utf8(&line[..digits]).ok()?;
    u64::from_str_radix(digits, 16).ok()
}

/// Whether a line names a field and gives it a value (RFC 9112, section 5).
fn is_field(line: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', line) else { return false };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    HeaderName::from_bytes(name).is_ok() && HeaderValue::from_bytes(value).is_ok()
}

#[cfg(test)]
mod tests;
