//! Frames as they stand in the body of a stream.
//!
//! Each is a byte that says what it is, its length in four bytes (big-endian), and that many bytes. The
//! last one says that the stream has ended: one that ends without it was cut. Pure.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::{
    error::{Error, Refusal, What},
    settings::TEXT_BYTES,
};

/// Bytes before those of a frame.
pub(crate) const HEADER: usize = 5;

const FRAME: u8 = 1;
const END: u8 = 2;
const REFUSED: u8 = 3;
const TOO_LARGE: u8 = 4;
const CUT: u8 = 5;

/// Shorter frames are copied out of the piece that they came in, so that they do not keep all of it.
const COPIED: usize = 1 << 10;

/// What stands in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Frame(Bytes),
    /// The stream has ended in order.
    End,
    /// The stream has ended, as its producer says no.
    Refused(Refusal),
    /// The stream has ended, as its producer has a frame that may not be sent.
    TooLarge {
        bytes: u64,
        limit: u64,
    },
    /// The stream ends here, but not in order: its producer is gone.
    Cut,
}

/// Writes what comes before the bytes of a frame.
pub(crate) fn put_frame_header(length: usize, into: &mut BytesMut) -> Result<(), Error> {
    let length = u32::try_from(length).map_err(|_error| too_large(length, u32::MAX as usize))?;
    into.put_u8(FRAME);
    into.put_u32(length);
    Ok(())
}

/// Writes the end of a stream.
pub(crate) fn put_end(into: &mut BytesMut) {
    into.put_slice(&[END, 0, 0, 0, 0]);
}

/// Writes the end of a stream whose producer is gone.
pub(crate) fn put_cut(into: &mut BytesMut) {
    into.put_slice(&[CUT, 0, 0, 0, 0]);
}

/// Writes the end of a stream that is refused.
pub(crate) fn put_refusal(refusal: &Refusal, into: &mut BytesMut) {
    let text = cut(&refusal.text);
    into.put_u8(REFUSED);
    into.put_u32(u32::try_from(2 + text.len()).unwrap_or(2));
    into.put_u16(refusal.code);
    into.put_slice(text.as_bytes());
}

/// Writes the end of a stream with a frame that may not be sent.
pub(crate) fn put_too_large(bytes: usize, limit: usize, into: &mut BytesMut) {
    into.put_u8(TOO_LARGE);
    into.put_u32(16);
    into.put_u64(bytes as u64);
    into.put_u64(limit as u64);
}

fn cut(text: &str) -> &str {
    let end = (0..=TEXT_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

fn too_large(bytes: usize, limit: usize) -> Error {
    Error::TooLarge { what: What::Frame, bytes: bytes as u64, limit: limit as u64 }
}

/// Reads items out of a body that comes in pieces of any size.
#[derive(Debug)]
pub(crate) struct Decoder {
    limit: usize,
    /// What has come and was not read yet.
    piece: Bytes,
    header: [u8; HEADER],
    have: usize,
    /// What has come of the item whose header is whole.
    body: BytesMut,
}

/// What a decoder has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    Item(Item),
    /// It needs more; of an item of so many bytes, if that is known.
    More(Option<usize>),
}

impl Decoder {
    /// A decoder of frames of at most so many bytes.
    pub(crate) fn new(limit: usize) -> Self {
        let (piece, body) = (Bytes::new(), BytesMut::new());
        Self { limit, piece, header: [0; HEADER], have: 0, body }
    }

    /// Takes the next piece. All of the one before must have been read.
    pub(crate) fn push(&mut self, piece: Bytes) {
        debug_assert!(self.piece.is_empty(), "pieces are read before the next one is taken");
        self.piece = piece;
    }

    /// Makes room for an item of so many bytes, of which not all have come.
    pub(crate) fn reserve(&mut self, length: usize) {
        self.body.reserve(length.saturating_sub(self.body.len()));
    }

    /// Whether something has come of an item that is not whole.
    pub(crate) fn is_within(&self) -> bool {
        self.have > 0
    }

    /// Reads the next item.
    pub(crate) fn next(&mut self) -> Result<Decoded, Error> {
        let Some(length) = self.read_header()? else { return Ok(Decoded::More(None)) };
        let missing = length - self.body.len();
        if self.piece.len() < missing {
            self.body.extend_from_slice(&self.piece);
            self.piece.clear();
            return Ok(Decoded::More(Some(length)));
        }
        let body = if self.body.is_empty() {
            let whole = self.piece.split_to(length);
            if length <= COPIED { Bytes::copy_from_slice(&whole) } else { whole }
        } else {
            self.body.extend_from_slice(&self.piece.split_to(missing));
            std::mem::take(&mut self.body).freeze()
        };
        self.have = 0;
        item(self.header[0], body).map(Decoded::Item)
    }

    /// The length of the item whose header has come, checked to be one that may come.
    fn read_header(&mut self) -> Result<Option<usize>, Error> {
        let taken = (HEADER - self.have).min(self.piece.len());
        self.piece.copy_to_slice(&mut self.header[self.have..self.have + taken]);
        self.have += taken;
        if self.have < HEADER {
            return Ok(None);
        }
        let [kind, length @ ..] = self.header;
        let length = u32::from_be_bytes(length) as usize;
        match kind {
            FRAME if length > self.limit => Err(too_large(length, self.limit)),
            FRAME => Ok(Some(length)),
            END | CUT if length == 0 => Ok(Some(0)),
            REFUSED if (2..=2 + TEXT_BYTES).contains(&length) => Ok(Some(length)),
            TOO_LARGE if length == 16 => Ok(Some(length)),
            _ => Err(Error::Protocol(format!("a frame of kind {kind} and {length} bytes"))),
        }
    }
}

/// The item of a kind and a length that were checked.
fn item(kind: u8, mut body: Bytes) -> Result<Item, Error> {
    Ok(match kind {
        FRAME => Item::Frame(body),
        REFUSED => {
            let code = body.get_u16();
            let text = String::from_utf8(body.into());
            let text = text.map_err(|error| Error::Protocol(format!("a refusal: {error}")))?;
            Item::Refused(Refusal { code, text })
        }
        TOO_LARGE => Item::TooLarge { bytes: body.get_u64(), limit: body.get_u64() },
        CUT => Item::Cut,
        _ => Item::End,
    })
}

#[cfg(test)]
mod tests;
