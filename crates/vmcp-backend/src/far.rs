//! Sessions on links that another process holds: a program, or a connection of HTTP+SSE, of another replica.
//!
//! What is asked of such a link is carried there as a [request](wire::Asked), and what comes of it comes back in
//! [frames](wire::Frame). How they travel is somebody else's business: this side is given a [`Carrier`], the other one
//! answers by [`Backend::carry`](crate::Backend::carry).

mod carried;
mod errors;
mod wire;

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use vmcp_wire::Message;

use crate::{backend::Answer, error::Error, events::Events};

pub use carried::Carried;
use wire::{Asked, Frame};

/// Something that happens later, of which nobody here knows how.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Brings requests to the one link of one session, and back what comes of them.
///
/// An error of it is about the way: [`Error::SessionLost`] says that nothing was carried out and that the session is
/// known to be gone, [`Error::Held`] that something is wrong with the holder.
pub trait Carrier: fmt::Debug + Send + Sync {
    /// Brings a request there; `is_call` says that a client waits for what comes of it. What comes back are frames in
    /// their order.
    fn carry(&self, request: Bytes, is_call: bool) -> Later<'_, Box<dyn Frames>>;

    /// The replica that holds the link.
    fn holder(&self) -> &str;
}

/// What comes back of one request. Dropped, nobody waits for it any more, and the other side is told.
pub trait Frames: fmt::Debug + Send + Sync {
    /// The next frame; `None` when all have come. Nothing is lost if it is not waited for to the end.
    fn next(&mut self) -> Later<'_, Option<Bytes>>;
}

/// The messages of a call, or of listening, that come from another replica.
#[derive(Debug)]
pub(crate) struct FarEvents {
    frames: Box<dyn Frames>,
    has_begun: bool,
    has_asked: bool,
}

impl FarEvents {
    /// See [`Events::has_asked`].
    pub(crate) fn has_asked(&self) -> bool {
        self.has_asked
    }

    /// See [`Events::has_begun`].
    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// See [`Events::next`].
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, Error> {
        loop {
            let Some(frame) = self.frames.next().await? else { return Ok(None) };
            match Frame::read(frame)? {
                Frame::Message(text) => {
                    let message = Message::parse(text);
                    return message.map(Some).map_err(|why| nonsense(&why.to_string()));
                }
                Frame::HasAsked(has_asked) => self.has_asked = has_asked,
                Frame::Failed(error) => return Err(error),
                Frame::Accepted | Frame::Ready(_) | Frame::Stream { .. } => {
                    return Err(nonsense("another frame than a message"));
                }
            }
        }
    }
}

/// Sends a message of a session, and gives what the backend does with it. `is_own` says of a request that it is
/// vmcp's.
pub(crate) async fn exchange(
    carrier: &Arc<dyn Carrier>,
    text: Bytes,
    is_own: Option<bool>,
) -> Result<Answer, Error> {
    let asked = match is_own {
        Some(is_own) => Asked::Call { text, is_own },
        None => Asked::Tell(text),
    };
    carry(carrier, &asked, is_own == Some(false)).await
}

/// Listens to what belongs to no call.
pub(crate) async fn listen(carrier: &Arc<dyn Carrier>, overhears: bool) -> Result<Events, Error> {
    match carry(carrier, &Asked::Listen { overhears }, false).await? {
        Answer::Events(events) => Ok(events),
        _ => Err(nonsense("another frame than the beginning of a stream")),
    }
}

/// Brings a request there, and reads the first frame of what comes of it.
async fn carry(carrier: &Arc<dyn Carrier>, asked: &Asked, is_call: bool) -> Result<Answer, Error> {
    let mut frames = carrier.carry(asked.written(), is_call).await?;
    let first = frames.next().await?.ok_or_else(|| nonsense("nothing"))?;
    match Frame::read(first)? {
        Frame::Accepted => Ok(Answer::Accepted),
        Frame::Ready(text) => Ok(Answer::Ready(text)),
        Frame::Stream { has_begun } => {
            let events = FarEvents { frames, has_begun, has_asked: false };
            Ok(Answer::Events(Events::of_far(events)))
        }
        Frame::Failed(error) => Err(error),
        Frame::Message(_) | Frame::HasAsked(_) => Err(nonsense("a message before its beginning")),
    }
}

/// Sends a message that has no answer.
pub(crate) async fn tell(carrier: &Arc<dyn Carrier>, text: Bytes) -> Result<(), Error> {
    exchange(carrier, text, None).await.map(|_accepted| ())
}

/// Whether what was carried is a request of a client's.
pub fn is_call(request: &[u8]) -> bool {
    Asked::is_call(request)
}

fn nonsense(what: &str) -> Error {
    Error::Held { why: format!("has sent {what}").into(), in_call: true }
}

#[cfg(test)]
mod tests;
