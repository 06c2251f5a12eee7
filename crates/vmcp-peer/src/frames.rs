//! A stream of frames, whoever reads it and wherever it is produced.
//!
//! Between producer and reader there is little room: a producer waits until its reader has read. A reader
//! that is dropped ends the stream for its producer, at once.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{
    error::{Error, Refusal, What},
    received::Received,
    settings::{QUEUE_BYTES, QUEUE_FRAMES},
};

/// A stream of frames that is read. Dropping it cancels what produces it.
#[derive(Debug)]
pub struct Frames(From);

#[derive(Debug)]
enum From {
    /// A producer in this process.
    Here(mpsc::Receiver<Queued>),
    /// Another replica.
    Peer(Box<Received>),
    /// Nothing follows: it ended in order, or by an error that is said again.
    Over(Option<Error>),
}

/// Produces the frames of a stream. Dropped without [`finish`](Self::finish), it cuts the stream.
#[derive(Debug)]
pub struct Sender {
    queue: mpsc::Sender<Queued>,
    /// The place of the last item, kept free for it.
    last: mpsc::OwnedPermit<Queued>,
    room: Arc<Semaphore>,
}

/// Nobody reads the stream any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads this stream any more")]
pub struct Closed;

/// What waits for the reader.
#[derive(Debug)]
enum Queued {
    Frame(Frame),
    End,
    Refused(Refusal),
}

/// A frame with the room that it takes until it is dropped.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl Frames {
    /// A stream that is produced here. A producer may have 64 frames and 256 KiB waiting, or one larger
    /// frame.
    pub fn channel() -> (Sender, Self) {
        let (queue, receiver) = mpsc::channel(QUEUE_FRAMES + 1);
        let last = queue.clone().try_reserve_owned();
        let last = last.expect("a new queue is open and empty");
        let room = Arc::new(Semaphore::new(QUEUE_BYTES));
        (Sender { queue, last, room }, Self(From::Here(receiver)))
    }

    /// A stream of one frame.
    pub fn one(bytes: impl Into<Bytes>) -> Self {
        let (queue, receiver) = mpsc::channel(2);
        let frame = Frame { bytes: bytes.into(), _room: None };
        for queued in [Queued::Frame(frame), Queued::End] {
            queue.try_send(queued).expect("a new queue is open and has room for both");
        }
        Self(From::Here(receiver))
    }

    /// A stream that says no.
    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self(From::Over(Some(Error::Refused(refusal))))
    }

    pub(crate) fn received(received: Received) -> Self {
        Self(From::Peer(Box::new(received)))
    }

    /// The next frame; `None` when the stream has ended in order. Losing the future loses nothing.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// The next frame, as [`next`](Self::next) gives it.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        self.poll_frame(context).map_ok(|frame| frame.map(|frame| frame.bytes))
    }

    /// The only frame of a stream of one.
    pub async fn only(mut self) -> Result<Bytes, Error> {
        let nonsense = |what: &str| Error::Protocol(format!("{what} where one frame was to come"));
        let frame = self.next().await?.ok_or_else(|| nonsense("nothing"))?;
        match self.next().await? {
            None => Ok(frame),
            Some(_) => Err(nonsense("several frames")),
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame>, Error>> {
        let ended = match &mut self.0 {
            From::Here(receiver) => match ready!(receiver.poll_recv(context)) {
                Some(Queued::Frame(frame)) => return Poll::Ready(Ok(Some(frame))),
                Some(Queued::End) => None,
                Some(Queued::Refused(refusal)) => Some(Error::Refused(refusal)),
                None => Some(producer_gone()),
            },
            From::Peer(received) => match ready!(received.poll_next(context)) {
                Ok(Some(bytes)) => return Poll::Ready(Ok(Some(Frame { bytes, _room: None }))),
                Ok(None) => None,
                Err(error) => Some(error),
            },
            From::Over(ended) => ended.clone(),
        };
        self.0 = From::Over(ended.clone());
        Poll::Ready(ended.map_or(Ok(None), Err))
    }
}

impl Sender {
    /// Sends a frame, once there is room for it.
    pub async fn send(&self, bytes: impl Into<Bytes>) -> Result<(), Closed> {
        let bytes = bytes.into();
        let takes = bytes.len().clamp(1, QUEUE_BYTES);
        let room = Arc::clone(&self.room).acquire_many_owned(u32::try_from(takes).unwrap_or(1));
        let room = tokio::select! {
            room = room => room.map_err(|_closed| Closed)?,
            () = self.queue.closed() => return Err(Closed),
        };
        let frame = Frame { bytes, _room: Some(room) };
        self.queue.send(Queued::Frame(frame)).await.map_err(|_unsent| Closed)
    }

    /// Ends the stream in order.
    pub fn finish(self) {
        self.last.send(Queued::End);
    }

    /// Ends the stream by saying no.
    pub fn refuse(self, refusal: Refusal) {
        self.last.send(Queued::Refused(refusal));
    }

    /// Ready when nobody reads the stream any more.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }

    /// Whether nobody reads the stream any more.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

/// A frame that is over the bound, as its reader is told.
pub(crate) fn too_large(bytes: u64, limit: u64) -> Error {
    Error::TooLarge { what: What::Frame, bytes, limit }
}

/// A stream that does not end in order.
pub(crate) fn producer_gone() -> Error {
    Error::Gone("what produced the answer ended in the middle of it".to_owned())
}

#[cfg(test)]
mod tests;
