//! The bodies that the edge sends.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use vmcp_modern::PolledStream;
use vmcp_session::{EventStream, Relaying};
use vmcp_wire::{Fault, sse};

use crate::{
    edge::StreamPermit,
    silent::{Later, Next},
};
use event::AsEvent;

mod event;

/// A body on its way to a client.
pub(crate) enum Body {
    /// Known as a whole; `None` once it was sent.
    Whole(Option<Bytes>),
    /// Known as a whole, in parts; the first of them is the next.
    Parts(VecDeque<Bytes>),
    /// A large response under way.
    Relay(Box<Relaying>),
    /// The same as one event.
    AsEvent(Box<AsEvent>),
    /// A stream of events.
    Events(Box<Events>),
    /// A stream for an answer that is not there yet.
    Later(Box<Later>),
}

/// A stream of events that is kept alive.
pub(crate) struct Events {
    source: Source,
    keep_alive: Duration,
    idle: Pin<Box<Sleep>>,
    /// From then on nothing more is sent.
    ends: Option<Instant>,
    _permit: Option<StreamPermit>,
}

/// What brings the events.
enum Source {
    /// The log of a legacy session's stream.
    Log(EventStream),
    Polled(PolledStream),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::Whole(None)
    }

    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }

    /// A body in parts, none of which is empty.
    pub(crate) fn parts(parts: [Bytes; 3]) -> Self {
        Self::Parts(parts.into())
    }

    /// A stream that sends a comment whenever nothing was sent for so long.
    pub(crate) fn events(
        stream: EventStream,
        keep_alive: Duration,
        permit: Option<StreamPermit>,
    ) -> Self {
        Self::events_from(Source::Log(stream), keep_alive, permit)
    }

    /// The same for a stream that is made while it is read.
    pub(crate) fn polled(
        stream: PolledStream,
        keep_alive: Duration,
        permit: Option<StreamPermit>,
    ) -> Self {
        Self::events_from(Source::Polled(stream), keep_alive, permit)
    }

    /// The same stream, which ends then if it has not ended before.
    pub(crate) fn until(mut self, ends: Option<Instant>) -> Self {
        if let Self::Events(events) = &mut self {
            events.ends = ends;
            events.rest();
        }
        self
    }

    /// A body that is one message, as an event that carries it.
    pub(crate) fn into_event(self) -> Self {
        match self {
            Self::Whole(text) => Self::whole(sse::encode(None, &text.unwrap_or_default())),
            Self::Parts(parts) => {
                let parts: Vec<_> = parts.into();
                Self::whole(sse::encode(None, &parts.concat()))
            }
            Self::Relay(relaying) => Self::AsEvent(Box::new(AsEvent::new(*relaying))),
            events @ (Self::AsEvent(_) | Self::Events(_) | Self::Later(_)) => events,
        }
    }

    /// Ready when the call has ended that the body belongs to, however much of it has been taken. Whoever
    /// does not take more for a while asks, as nothing else ends a call that nobody polls.
    pub(crate) fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<Fault> {
        match self {
            Self::Relay(relaying) => relaying.poll_over(context),
            Self::AsEvent(event) => event.poll_over(context),
            Self::Events(events) => {
                if let Source::Polled(stream) = &mut events.source {
                    stream.make(context);
                }
                Poll::Pending
            }
            Self::Later(later) => match later.poll_rest(context) {
                Poll::Ready(rest) => {
                    *self = rest;
                    self.poll_over(context)
                }
                Poll::Pending => Poll::Pending,
            },
            Self::Whole(_) | Self::Parts(_) => Poll::Pending,
        }
    }

    fn events_from(source: Source, keep_alive: Duration, permit: Option<StreamPermit>) -> Self {
        let idle = Box::pin(tokio::time::sleep(keep_alive));
        let events = Events { source, keep_alive, idle, ends: None, _permit: permit };
        Self::Events(Box::new(events))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    /// Breaks the response off, so that its reader does not take it for complete.
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Parts(parts) => Poll::Ready(parts.pop_front().map(|part| Ok(Frame::data(part)))),
            Self::Relay(relaying) => {
                relaying.poll_next(context).map(|next| next.map(|chunk| chunk.map(Frame::data)))
            }
            Self::AsEvent(event) => {
                event.poll_next(context).map(|next| next.map(|piece| piece.map(Frame::data)))
            }
            Self::Events(events) => {
                events.poll_next(context).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
            }
            Self::Later(later) => match later.poll_next(context) {
                Poll::Ready(Next::Comment(comment)) => Poll::Ready(Some(Ok(Frame::data(comment)))),
                Poll::Ready(Next::Rest(rest)) => {
                    *self = rest;
                    self.poll_frame(context)
                }
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Parts(parts) => parts.is_empty(),
            Self::Relay(_) | Self::AsEvent(_) | Self::Events(_) | Self::Later(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Parts(parts) => {
                SizeHint::with_exact(parts.iter().map(|part| part.len() as u64).sum())
            }
            Self::Relay(_) | Self::AsEvent(_) | Self::Events(_) | Self::Later(_) => {
                SizeHint::default()
            }
        }
    }
}

impl Events {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.ends.is_some_and(|ends| ends <= Instant::now()) {
            return Poll::Ready(None);
        }
        let next = match &mut self.source {
            Source::Log(stream) => stream.poll_next(context),
            Source::Polled(stream) => stream.poll_next(context),
        };
        if let Poll::Ready(next) = next {
            self.rest();
            return Poll::Ready(next);
        }
        if self.idle.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        if self.ends.is_some_and(|ends| ends <= Instant::now()) {
            return Poll::Ready(None);
        }
        self.rest();
        // The timer must be polled once more to wake this task when it fires next.
        context.waker().wake_by_ref();
        Poll::Ready(Some(Bytes::from_static(sse::KEEP_ALIVE)))
    }

    fn rest(&mut self) {
        let next = Instant::now() + self.keep_alive;
        self.idle.as_mut().reset(self.ends.map_or(next, |ends| next.min(ends)));
    }
}
