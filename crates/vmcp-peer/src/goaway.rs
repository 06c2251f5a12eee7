//! Reads in passing up to which stream the other end has looked at what it was sent.
//!
//! Whoever ends a connection of HTTP/2 says so by GOAWAY, with the number of the last stream that it has looked
//! at (RFC 9113, section 6.8). Requests on later ones were certainly not carried out. The library fails these,
//! and those that are lost with the connection afterwards, by the same error.

use std::{
    io,
    io::IoSlice,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes before the payload of each frame (RFC 9113, section 4.1).
const HEADER: usize = 9;

/// Bytes of a frame until the number of the last stream has been read.
const LAST: usize = HEADER + 4;

const GOAWAY: u8 = 7;

/// The last stream that the other end has looked at, or will.
#[derive(Debug, Clone)]
pub(crate) struct LastStream(Arc<AtomicU32>);

impl LastStream {
    /// Whether the other end has said that it has not looked at a stream, and will not.
    pub(crate) fn is_before(&self, stream: u32) -> bool {
        self.0.load(Ordering::Acquire) < stream
    }
}

/// A connection of HTTP/2 in which GOAWAY is looked for. It reads what a server sends.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    io: T,
    frame: Frame,
    last: LastStream,
}

/// The frame that is being read.
#[derive(Debug, Default)]
struct Frame {
    beginning: [u8; LAST],
    have: usize,
    /// Bytes to come before the next frame.
    skip: usize,
}

impl<T> Watched<T> {
    pub(crate) fn new(io: T) -> Self {
        let last = LastStream(Arc::new(AtomicU32::new(u32::MAX)));
        Self { io, frame: Frame::default(), last }
    }

    pub(crate) fn last_stream(&self) -> LastStream {
        self.last.clone()
    }
}

impl Frame {
    /// Takes what has come. Gives the numbers in frames of GOAWAY, the lowest of them.
    fn read(&mut self, mut bytes: &[u8]) -> Option<u32> {
        let mut last: Option<u32> = None;
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let wanted = if self.have < HEADER { HEADER } else { LAST };
            let taken = (wanted - self.have).min(bytes.len());
            self.beginning[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have < HEADER {
                continue;
            }
            let [a, b, c, kind, ..] = self.beginning;
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            if kind != GOAWAY || length < 4 {
                (self.have, self.skip) = (0, length);
            } else if self.have == LAST {
                let [.., a, b, c, d] = self.beginning;
                let told = u32::from_be_bytes([a, b, c, d]) & (u32::MAX >> 1);
                last = Some(last.map_or(told, |last| last.min(told)));
                (self.have, self.skip) = (0, length - 4);
            }
        }
        last
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if let Some(last) = self.frame.read(&buffer.filled()[before..]) {
            self.last.0.fetch_min(last, Ordering::AcqRel);
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
