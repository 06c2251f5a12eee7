//! Sends what a producer gives, as fast as its reader takes it.

use std::{
    collections::VecDeque,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use h2::{Reason, SendStream};

use crate::{
    codec,
    error::Error,
    frames::{Frame, Frames},
};

/// Shorter frames are put together with what goes before and after them.
const COPIED: usize = 16 << 10;

/// An answer that is being sent.
pub(crate) struct Sending {
    stream: SendStream<Bytes>,
    frames: Frames,
    frame_bytes: usize,
    /// What is to be sent, in this order.
    pieces: VecDeque<Piece>,
    /// Nothing follows what is in `pieces`.
    is_whole: bool,
}

/// Bytes to be sent, with the frame whose they are: its producer has room again when all are on their way.
struct Piece {
    bytes: Bytes,
    _of: Option<Frame>,
}

impl Sending {
    pub(crate) fn new(stream: SendStream<Bytes>, frames: Frames, frame_bytes: usize) -> Self {
        Self { stream, frames, frame_bytes, pieces: VecDeque::new(), is_whole: false }
    }

    /// Sends all of it, or for as long as the asker reads.
    pub(crate) async fn finish(mut self) {
        std::future::poll_fn(|context| self.poll(context)).await;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.stream.poll_reset(context).is_ready() {
            return Poll::Ready(());
        }
        loop {
            if self.pieces.is_empty() {
                if self.is_whole {
                    return Poll::Ready(());
                }
                ready!(self.poll_fill(context));
                continue;
            }
            if ready!(self.poll_send(context)).is_err() {
                return Poll::Ready(());
            }
        }
    }

    /// Takes what the producer has ready, up to some KiB. Pending if that is nothing.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut small = BytesMut::new();
        let mut large = None;
        while !self.is_whole && large.is_none() && small.len() < COPIED {
            match self.frames.poll_frame(context) {
                Poll::Pending if small.is_empty() => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(Ok(Some(frame))) => large = self.put(frame, &mut small),
                Poll::Ready(Ok(None)) => {
                    codec::put_end(&mut small);
                    self.is_whole = true;
                }
                Poll::Ready(Err(error)) => self.put_error(&error, &mut small),
            }
        }
        let small = Piece { bytes: small.freeze(), _of: None };
        self.pieces.extend([small].into_iter().filter(|piece| !piece.bytes.is_empty()));
        self.pieces
            .extend(large.map(|frame| Piece { bytes: frame.bytes.clone(), _of: Some(frame) }));
        Poll::Ready(())
    }

    /// Writes a frame, or its header if it is a large one.
    fn put(&mut self, frame: Frame, small: &mut BytesMut) -> Option<Frame> {
        let length = frame.bytes.len();
        if length > self.frame_bytes || codec::put_frame_header(length, small).is_err() {
            codec::put_too_large(length, self.frame_bytes, small);
            self.is_whole = true;
            return None;
        }
        if length > COPIED {
            return Some(frame);
        }
        small.extend_from_slice(&frame.bytes);
        None
    }

    /// Writes why nothing follows. What only this end knows is not told: the stream is cut.
    fn put_error(&mut self, error: &Error, small: &mut BytesMut) {
        self.is_whole = true;
        if let Error::Refused(refusal) = error {
            return codec::put_refusal(refusal, small);
        }
        tracing::debug!(%error, "an answer to a peer is cut");
        codec::put_cut(small);
    }

    /// Sends something of the first piece.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        let Some(piece) = self.pieces.front_mut() else { return Poll::Ready(Ok(())) };
        self.stream.reserve_capacity(piece.bytes.len());
        let room = self.stream.capacity().min(piece.bytes.len());
        if room == 0 {
            return match ready!(self.stream.poll_capacity(context)) {
                Some(room) => Poll::Ready(room.map(|_room| ())),
                None => Poll::Ready(Err(Reason::CANCEL.into())),
            };
        }
        let bytes = piece.bytes.split_to(room);
        if piece.bytes.is_empty() {
            self.pieces.pop_front();
        }
        let is_end = self.is_whole && self.pieces.is_empty();
        Poll::Ready(self.stream.send_data(bytes, is_end))
    }
}
