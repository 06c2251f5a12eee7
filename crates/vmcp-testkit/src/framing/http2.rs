//! HTTP/2 as literal frames (RFC 9113), for clients that no library would be.
//!
//! Headers are written without compression, and of a response only its status is read.

use std::{io, time::Duration};

use anyhow::{Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, ToSocketAddrs},
    time::timeout,
};

/// With what a client begins (RFC 9113, section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a frame is waited for before the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Kinds of frames (RFC 9113, section 6).
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
pub mod flag {
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
}

/// The reason of a GOAWAY or RST_STREAM that says "too much" (RFC 9113, section 7).
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A frame as bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
    let header = [&length[1..], &[kind, flags], &stream.to_be_bytes()];
    [&header.concat()[..], payload].concat()
}

/// A SETTINGS frame. Setting 4 is the initial window of each stream.
pub fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let one = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(kind::SETTINGS, 0, 0, &settings.iter().flat_map(one).collect::<Vec<_>>())
}

/// A list of headers as it stands in a frame: each in full, none remembered (RFC 7541, section 6.2.2).
pub fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// A number behind seven bits (RFC 7541, section 5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        return block.push(length.to_le_bytes()[0]);
    };
    block.push(127);
    while rest >= 128 {
        block.push((rest % 128).to_le_bytes()[0] | 128);
        rest /= 128;
    }
    block.push(rest.to_le_bytes()[0]);
}

/// A request as its frames.
pub fn request(stream: u32, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let block = block(headers);
    if body.is_empty() {
        return frame(kind::HEADERS, flag::END_HEADERS | flag::END_STREAM, stream, &block);
    }
    let data = body.chunks(16_384).flat_map(|part| frame(kind::DATA, 0, stream, part));
    let mut frames = frame(kind::HEADERS, flag::END_HEADERS, stream, &block);
    frames.extend(data);
    frames.extend(frame(kind::DATA, flag::END_STREAM, stream, b""));
    frames
}

/// A connection on which frames are sent and read.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
}

impl Connection {
    /// Connects, and begins as a client that says nothing else.
    pub async fn open(address: impl ToSocketAddrs, set: &[(u16, u32)]) -> io::Result<Self> {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(&[PREFACE, &settings(set)].concat()).await?;
        Ok(Self { socket })
    }

    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await
    }

    /// The next frame; `None` when the server has closed the connection.
    pub async fn next(&mut self) -> Result<Option<Frame>> {
        timeout(PATIENCE, self.read()).await?
    }

    async fn read(&mut self) -> Result<Option<Frame>> {
        let mut header = [0; 9];
        match self.socket.read_exact(&mut header).await {
            Ok(_) => {}
            Err(error) if is_end(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let [a, b, c, kind, flags, stream @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.socket.read_exact(&mut payload).await?;
        let stream = u32::from_be_bytes(stream);
        if kind == kind::SETTINGS && flags & flag::ACK == 0 {
            let taken = self.socket.write_all(&frame(kind::SETTINGS, flag::ACK, 0, b"")).await;
            // What the server said before it closed can still be read.
            if let Err(error) = taken
                && !is_end(&error)
            {
                return Err(error.into());
            }
        }
        Ok(Some(Frame { kind, flags, stream, payload }))
    }

    /// Reads on until this frame comes; an error if the connection ends before.
    pub async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Result<Frame> {
        while let Some(frame) = self.next().await? {
            if wanted(&frame) {
                return Ok(frame);
            }
        }
        bail!("the connection was closed")
    }

    /// Reads until the server closes the connection; gives the reason of the last GOAWAY.
    pub async fn closed(&mut self) -> Result<Option<u32>> {
        let mut reason = None;
        while let Some(frame) = self.next().await? {
            if frame.kind == kind::GOAWAY {
                reason = frame.reason();
            }
        }
        Ok(reason)
    }
}

impl Frame {
    /// Why a GOAWAY or RST_STREAM was sent.
    pub fn reason(&self) -> Option<u32> {
        let at = match self.kind {
            kind::GOAWAY => 4,
            kind::RST_STREAM => 0,
            _ => return None,
        };
        let reason = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(reason.try_into().ok()?))
    }

    /// The status of the first response on a connection: later ones may refer to it.
    pub fn status(&self) -> Option<u16> {
        match *self.payload.first()? {
            // RFC 7541, appendix A.
            0x88 => Some(200),
            0x89 => Some(204),
            0x8a => Some(206),
            0x8b => Some(304),
            0x8c => Some(400),
            0x8d => Some(404),
            0x8e => Some(500),
            // A name of the table and a value of its own.
            0x48 | 0x08 => value(&self.payload[1..]),
            _ => None,
        }
    }
}

/// Three digits, as they are or in Huffman's code (RFC 7541, appendix B).
fn value(text: &[u8]) -> Option<u16> {
    let (&length, text) = text.split_first()?;
    let text = text.get(..usize::from(length & 0x7f))?;
    if length & 0x80 == 0 {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    let mut bits = text.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let mut take = |count: usize| {
        let bits: Vec<u8> = bits.by_ref().take(count).collect();
        (bits.len() == count).then(|| bits.iter().fold(0, |code, bit| code << 1 | u16::from(*bit)))
    };
    let mut number = 0;
    for _ in 0..3 {
        let digit = match take(5)? {
            code @ 0..=2 => code,
            code => (code << 1 | take(1)?).checked_sub(0x19)? + 3,
        };
        number = number * 10 + digit;
    }
    Some(number)
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_however_they_are_written() {
        let frame = |payload: &[u8]| Frame {
            kind: kind::HEADERS,
            flags: flag::END_HEADERS,
            stream: 1,
            payload: payload.to_vec(),
        };
        // RFC 7541, appendix C.6: "302" and "307" in Huffman's code.
        for (payload, status) in [
            (&[0x48, 0x82, 0x64, 0x02][..], Some(302)),
            (&[0x48, 0x83, 0x64, 0x0e, 0xff], Some(307)),
            (&[0x08, 0x03, b'4', b'1', b'5'], Some(415)),
            (&[0x88], Some(200)),
            (&[0x48, 0x82, 0x64], None),
            (&[], None),
        ] {
            assert_eq!(frame(payload).status(), status, "{payload:x?}");
        }
    }
}
