//! Counts what a client sends beside its requests.
//!
//! Each PING must be answered, each SETTINGS acknowledged, and each frame takes its time though it
//! carries nothing. Honest clients send few of them, or some for each request or for what they were
//! sent; one that sends more is cut off (RFC 9113, section 10.5).

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// Bytes with which a connection begins (RFC 9113, section 3.4).
const PREFACE: usize = 24;

/// Bytes before the payload of each frame (RFC 9113, section 4.1).
const HEADER: usize = 9;

/// Frames that carry nothing and may come at once.
const BURST: u32 = 2_000;

/// So many more of them may come in each second,
const EACH_SECOND: u32 = 200;

/// with each request,
const EACH_REQUEST: u32 = 4;

/// with each piece that is sent, as a client may tell of each that there is room for another,
const EACH_PIECE: u32 = 4;

/// and with so many of its bytes.
const EACH_BYTES: usize = 2 << 10;

/// What a request costs that is taken back.
const RESET: u32 = EACH_REQUEST + 1;

/// What goes on in one connection. Its streams and its socket tell it here.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// Bytes that have been read.
    read: AtomicU64,
    /// How often the client has taken something of a body.
    moves: AtomicU64,
    /// Streams that wait for the client to take something.
    waiting: AtomicUsize,
    /// Frames that carry nothing and may come for what was sent.
    earned: AtomicU32,
    flooded: AtomicBool,
}

impl Traffic {
    pub(super) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    pub(super) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn is_flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }

    /// A piece of a body is on its way.
    pub(super) fn note_sent(&self, bytes: usize) {
        self.moves.fetch_add(1, Ordering::Relaxed);
        let earned = EACH_PIECE.saturating_add(u32::try_from(bytes / EACH_BYTES).unwrap_or(BURST));
        self.earned.fetch_add(earned, Ordering::Relaxed);
    }

    pub(super) fn begin_wait(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end_wait(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A socket on which the client's frames are counted.
#[derive(Debug)]
pub(super) struct Metered<T> {
    io: T,
    frames: Frames,
    allowance: Allowance,
    traffic: Arc<Traffic>,
}

impl<T> Metered<T> {
    pub(super) fn new(io: T, traffic: Arc<Traffic>) -> Self {
        Self { io, frames: Frames::default(), allowance: Allowance::new(), traffic }
    }
}

/// Finds the frames in what arrives.
#[derive(Debug)]
struct Frames {
    header: [u8; HEADER],
    /// Bytes of the header that have come.
    have: usize,
    /// Bytes to come before the next header.
    skip: usize,
}

/// What frames cost, and what they bring.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    cost: u32,
    requests: u32,
}

/// Frames that carry nothing and may still come.
#[derive(Debug)]
struct Allowance {
    left: u32,
    since: Instant,
}

impl Default for Frames {
    fn default() -> Self {
        Self { header: [0; HEADER], have: 0, skip: PREFACE }
    }
}

impl Frames {
    fn count(&mut self, mut bytes: &[u8]) -> Counted {
        let mut counted = Counted::default();
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEADER - self.have).min(bytes.len());
            self.header[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEADER {
                self.have = 0;
                self.enter(&mut counted);
            }
        }
        counted
    }

    /// Enters the frame whose header has come.
    fn enter(&mut self, counted: &mut Counted) {
        const END_STREAM: u8 = 0x1;
        const PADDED: u8 = 0x8;
        let [high, middle, low, kind, flags, ..] = self.header;
        self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        let is_empty = self.skip == 0 && flags & END_STREAM == 0;
        let cost = match kind {
            // DATA, which counts only if there may be none in it.
            0 => u32::from(is_empty || flags & PADDED != 0),
            // HEADERS
            1 => {
                counted.requests += 1;
                0
            }
            // RST_STREAM
            3 => RESET,
            // PRIORITY, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION and what nobody knows.
            _ => 1,
        };
        counted.cost = counted.cost.saturating_add(cost);
    }
}

impl Allowance {
    fn new() -> Self {
        Self { left: BURST, since: Instant::now() }
    }

    /// Whether so many frames may come.
    fn spend(&mut self, counted: &Counted, traffic: &Traffic) -> bool {
        let earned = traffic.earned.swap(0, Ordering::Relaxed);
        let earned = counted.requests.saturating_mul(EACH_REQUEST).saturating_add(earned);
        self.left = self.left.saturating_add(earned).min(BURST);
        if self.left < counted.cost {
            let now = Instant::now();
            let passed = now.saturating_duration_since(self.since).as_millis();
            let more = passed.saturating_mul(EACH_SECOND.into()) / 1000;
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(BURST)).min(BURST);
            self.since = now;
        }
        let left = self.left.checked_sub(counted.cost);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.traffic.is_flooded() {
            // Nothing more is looked at. The connection sees why, and ends.
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        let arrived = &buffer.filled()[before..];
        self.traffic.read.fetch_add(arrived.len() as u64, Ordering::Relaxed);
        let Self { frames, allowance, traffic, .. } = &mut *self;
        if !allowance.spend(&frames.count(arrived), traffic) {
            traffic.flooded.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Metered<T> {
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
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, pieces)
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
