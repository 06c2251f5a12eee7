//! Frames that another replica sends.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::error::Elapsed,
};

use crate::{
    codec::{Decoded, Decoder, Item},
    error::Error,
    frames::{producer_gone, too_large},
    link::InUse,
    settings::{ROOM, SMALL},
};

/// The frames of one answer. Its stream is reset when this is dropped.
#[derive(Debug)]
pub(crate) struct Received {
    body: RecvStream,
    decoder: Decoder,
    /// Bytes of large frames that may be put together on this connection.
    assembly: Arc<Semaphore>,
    room: Room,
    open: InUse,
    /// Its place among all that this replica asks.
    _in_all: OwnedSemaphorePermit,
}

type Waiting = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, Elapsed>> + Send>>;

/// The room for the frame that is being put together.
enum Room {
    None,
    Awaited(Waiting),
    Taken(#[expect(dead_code, reason = "held until the frame is whole")] OwnedSemaphorePermit),
}

impl Received {
    pub(crate) fn new(body: RecvStream, open: InUse, in_all: OwnedSemaphorePermit) -> Self {
        let decoder = Decoder::new(open.link().frame_bytes());
        let assembly = open.link().assembly();
        Self { body, decoder, assembly, room: Room::None, open, _in_all: in_all }
    }

    /// The next frame; `None` when the stream has ended in order.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Error>> {
        let next = ready!(self.poll_item(context));
        if let Err(error) = &next {
            self.open.link().counters().note_failed(error);
        }
        Poll::Ready(next)
    }

    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            match self.decoder.next()? {
                Decoded::Item(item) => {
                    self.room = Room::None;
                    return Poll::Ready(match item {
                        Item::Frame(frame) => Ok(Some(frame)),
                        Item::End => Ok(None),
                        Item::Refused(refusal) => Err(Error::Refused(refusal)),
                        Item::TooLarge { bytes, limit } => Err(too_large(bytes, limit)),
                        Item::Cut => Err(producer_gone()),
                    });
                }
                Decoded::More(Some(length)) => {
                    if length > SMALL {
                        ready!(self.poll_room(length, context))?;
                    }
                    self.decoder.reserve(length);
                }
                Decoded::More(None) => {}
            }
            match ready!(self.body.poll_data(context)) {
                Some(Ok(piece)) => {
                    // What is released cannot be more than what has come.
                    let _released = self.body.flow_control().release_capacity(piece.len());
                    self.decoder.push(piece);
                }
                Some(Err(error)) => return Poll::Ready(Err(self.open.link().gone(&error))),
                None => return Poll::Ready(Err(self.cut())),
            }
        }
    }

    /// Takes room for a large frame. It is given back with the frame.
    fn poll_room(&mut self, length: usize, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            match &mut self.room {
                Room::Taken(_) => return Poll::Ready(Ok(())),
                Room::None => {
                    let assembly = Arc::clone(&self.assembly);
                    let length = u32::try_from(length).unwrap_or(u32::MAX);
                    self.room = Room::Awaited(Box::pin(tokio::time::timeout(ROOM, async move {
                        let taken = assembly.acquire_many_owned(length).await;
                        taken.expect("the room of a connection is never closed")
                    })));
                }
                Room::Awaited(waiting) => match ready!(waiting.as_mut().poll(context)) {
                    Ok(taken) => self.room = Room::Taken(taken),
                    Err(_elapsed) => return Poll::Ready(Err(no_room())),
                },
            }
        }
    }

    fn cut(&self) -> Error {
        let within = if self.decoder.is_within() { " in the middle of a frame" } else { "" };
        Error::Gone(format!("the stream was cut{within}"))
    }
}

/// The answer had begun: its request was carried out, in part at least.
fn no_room() -> Error {
    let waited = ROOM.as_secs();
    Error::Gone(format!("a large frame found no room among others for {waited} s"))
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Awaited(_) => "Awaited",
            Self::Taken(_) => "Taken",
        })
    }
}
