//! The messages that a call, or listening, brings.

use vmcp_wire::Message;

use crate::{error::Error, far::FarEvents, http::stream::Stream, link::Arrivals};

/// A stream of messages. Dropping it stops listening, which cancels nothing at a legacy backend; to a
/// modern one it is the cancellation.
#[derive(Debug)]
pub struct Events(Source);

#[derive(Debug)]
enum Source {
    Stream(Box<Stream>),
    Link(Box<Arrivals>),
    Far(Box<FarEvents>),
}

impl Events {
    pub(crate) fn of_stream(stream: Box<Stream>) -> Self {
        Self(Source::Stream(stream))
    }

    pub(crate) fn of_link(arrivals: Arrivals) -> Self {
        Self(Source::Link(Box::new(arrivals)))
    }

    pub(crate) fn of_far(events: FarEvents) -> Self {
        Self(Source::Far(Box::new(events)))
    }

    /// Leaves out from now on what messages say about the subscription that they belong to: its id is
    /// vmcp's own.
    pub(crate) fn forget_subscription(&mut self) {
        match &mut self.0 {
            Source::Stream(stream) => stream.forget_subscription(),
            Source::Link(_) | Source::Far(_) => {}
        }
    }

    /// Whether the client has been asked something, in whichever call of the session, and has not
    /// answered yet. Where questions say themselves which call they belong to, never.
    pub fn has_asked(&self) -> bool {
        match &self.0 {
            Source::Stream(_) => false,
            Source::Link(arrivals) => arrivals.has_asked(),
            Source::Far(events) => events.has_asked(),
        }
    }

    /// Whether it began with a sign of life of the backend. On a link a call becomes a stream after a
    /// while, whether or not anything has come.
    pub fn has_begun(&self) -> bool {
        match &self.0 {
            Source::Stream(_) => true,
            Source::Link(arrivals) => arrivals.has_begun(),
            Source::Far(events) => events.has_begun(),
        }
    }

    /// Whether everything that comes belongs to the call, or the listening, that the stream is of. On
    /// a link, what has no id or token is only taken to belong to the newest call.
    pub fn is_own(&self) -> bool {
        match &self.0 {
            Source::Stream(_) => true,
            Source::Link(_) | Source::Far(_) => false,
        }
    }

    /// The next message. `None` when there will be no other.
    pub async fn next(&mut self) -> Result<Option<Message>, Error> {
        match &mut self.0 {
            Source::Stream(stream) => stream.next().await,
            Source::Link(arrivals) => arrivals.next().await,
            Source::Far(events) => events.next().await,
        }
    }
}
