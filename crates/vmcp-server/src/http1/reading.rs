//! What arrives on a connection: heads, bodies, and the end.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::net::tcp::OwnedReadHalf;
use tokio_util::io::poll_read_buf;
use vmcp_http1::{BadHead, Decoder, HeadScan, Length, Piece, RequestHead, write};

/// Room for what arrives at once: a head, and most bodies behind it.
const ROOM: usize = 8 << 10;

/// The most room that is made at once for the rest of a body.
const MAX_ROOM: usize = 256 << 10;

/// The longest rest of a body that is passed over so that its connection can be used again.
const MAX_SKIPPED: u64 = 64 << 10;

/// What has arrived on one connection. Shared by the connection and the body of its request, which
/// are polled by one task: the lock is never waited for.
#[derive(Debug)]
pub(super) struct Arrivals(Mutex<State>);

#[derive(Debug)]
struct State {
    half: OwnedReadHalf,
    /// What has not been used. Empty, it holds no memory while more is waited for.
    buffer: BytesMut,
    scan: HeadScan,
    body: Decoder,
    /// The client waits to be told to send the body.
    awaits_continue: bool,
}

/// What a client has sent instead of nothing.
pub(super) enum Head {
    Complete(Box<RequestHead>),
    Bad(BadHead),
    /// It will send no more.
    Closed,
}

/// The body of a request.
#[derive(Debug)]
pub(crate) struct Incoming(Arc<Arrivals>);

impl Arrivals {
    pub(super) fn new(half: OwnedReadHalf) -> Self {
        Self(Mutex::new(State {
            half,
            buffer: BytesMut::new(),
            scan: HeadScan::default(),
            body: Decoder::new(Length::Known(0)),
            awaits_continue: false,
        }))
    }

    /// Polls for the head of the next request.
    pub(super) fn poll_head(&self, context: &mut Context<'_>) -> Poll<io::Result<Head>> {
        let mut state = self.state();
        let State { buffer, scan, .. } = &mut *state;
        if !buffer.is_empty()
            && let Some(head) = head_in(scan, buffer)
        {
            return Poll::Ready(Ok(head));
        }
        loop {
            if ready!(state.poll_fill(ROOM, context))? == 0 {
                return Poll::Ready(Ok(Head::Closed));
            }
            let State { buffer, scan, .. } = &mut *state;
            if let Some(head) = head_in(scan, buffer) {
                return Poll::Ready(Ok(head));
            }
        }
    }

    /// A body comes next.
    pub(super) fn expect(&self, body: Decoder, awaits_continue: bool) {
        let mut state = self.state();
        state.body = body;
        state.awaits_continue = awaits_continue;
    }

    /// Whether everything that has arrived has been used.
    pub(super) fn is_empty(&self) -> bool {
        self.state().buffer.is_empty()
    }

    /// Whether the body has been read to its end.
    pub(super) fn is_read(&self) -> bool {
        self.state().body.is_over()
    }

    /// Ready once the client has gone. While it still sends a body, whoever reads that sees it; and a
    /// client that has sent its next request already is still there.
    pub(super) fn poll_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if !state.body.is_over() {
            return Poll::Pending;
        }
        while state.buffer.starts_with(b"\r\n") {
            // Some clients send an empty line too many.
            state.buffer.advance(2);
        }
        if !state.buffer.is_empty() {
            return Poll::Pending;
        }
        match state.poll_fill(ROOM, context) {
            Poll::Ready(Ok(1..)) | Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
        }
    }

    /// Passes over what is left of a body; gives whether the next request can follow. A long body, or
    /// one that the client waits to be asked for, is not waited for.
    pub(super) fn poll_skip(&self, skipped: &mut u64, context: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.state();
        loop {
            let State { body, buffer, .. } = &mut *state;
            match body.decode(buffer) {
                Ok(Piece::End) => return Poll::Ready(true),
                Ok(Piece::Data(unwanted)) => *skipped += unwanted.len() as u64,
                Ok(Piece::Starved) if state.awaits_continue => return Poll::Ready(false),
                Ok(Piece::Starved) => match ready!(state.poll_fill(ROOM, context)) {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return Poll::Ready(false),
                },
                Err(_) => return Poll::Ready(false),
            }
            if skipped.saturating_add(state.body.expected()) > MAX_SKIPPED {
                return Poll::Ready(false);
            }
        }
    }

    /// Reads and forgets, until the client sends no more.
    pub(super) fn poll_discard(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        loop {
            state.buffer.clear();
            if ready!(state.poll_fill(ROOM, context))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn head_in(scan: &mut HeadScan, buffer: &mut BytesMut) -> Option<Head> {
    match scan.request(buffer) {
        Ok(None) => None,
        Ok(Some(head)) => Some(Head::Complete(Box::new(head))),
        Err(bad) => Some(Head::Bad(bad)),
    }
}

impl State {
    /// Reads what has arrived behind what is there already; 0 at the end. Nothing is allocated before
    /// something has arrived.
    fn poll_fill(&mut self, room: usize, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.is_empty() {
            // What is left of an allocation would be held for as long as the client waits.
            self.buffer = BytesMut::new();
        }
        ready!(self.half.as_ref().poll_read_ready(context))?;
        self.buffer.reserve(room);
        poll_read_buf(Pin::new(&mut self.half), context, &mut self.buffer)
    }
}

impl Incoming {
    pub(super) fn new(arrivals: Arc<Arrivals>) -> Self {
        Self(arrivals)
    }

    /// How many bytes are to come at least; exact if the client has said how many.
    pub(crate) fn expected(&self) -> u64 {
        self.0.state().body.expected()
    }

    /// Whether all of it has been read.
    pub(crate) fn is_over(&self) -> bool {
        self.0.state().body.is_over()
    }

    /// How many bytes have come that were not handed out.
    pub(crate) fn buffered(&self) -> usize {
        self.0.state().buffer.len()
    }

    /// Polls for the next piece; `None` at the end. A body of known length comes as a whole if it has
    /// at most `whole` bytes.
    pub(crate) fn poll_piece(
        &mut self,
        whole: usize,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        let mut state = self.0.state();
        loop {
            let State { buffer, body, .. } = &mut *state;
            let missing = usize::try_from(body.expected()).unwrap_or(usize::MAX);
            let missing = missing.saturating_sub(buffer.len());
            let waits = missing > 0 && missing <= whole;
            if !waits {
                match body.decode(buffer) {
                    Ok(Piece::Data(data)) => return Poll::Ready(Some(Ok(data))),
                    Ok(Piece::End) => return Poll::Ready(None),
                    Ok(Piece::Starved) => {}
                    Err(bad) => return Poll::Ready(Some(Err(io::Error::other(bad)))),
                }
            }
            if std::mem::take(&mut state.awaits_continue) {
                // Nothing else is on its way to the client, so there is room. If not, it goes on by
                // itself after a while.
                let _told = state.half.as_ref().try_write(write::CONTINUE);
            }
            // A read that does not fill its room shows that nothing more is there.
            let room = if waits { (missing + 1).min(MAX_ROOM) } else { ROOM };
            if ready!(state.poll_fill(room, context))? == 0 {
                let bad = state.body.closed().err();
                return Poll::Ready(bad.map(|bad| Err(io::Error::other(bad))));
            }
        }
    }
}
