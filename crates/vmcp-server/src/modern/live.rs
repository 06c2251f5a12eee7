//! A stream that is made while it is read: no task carries it, and it ends with its reader.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::mpsc;
use vmcp_core::{CallEvent, CallStream, NoticeKind, Outcome};
use vmcp_model::LogLevel;
use vmcp_wire::{Fault, Id, IdKey, reply, sse};

use super::Held;

/// Events that wait for the reader.
const QUEUE: usize = 16;

/// A stream of server-sent events. Dropping it ends what makes them.
pub(crate) struct Live {
    events: mpsc::Receiver<Bytes>,
    /// `None` once it is done.
    maker: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Live {
    /// A stream of what `make` sends.
    pub(super) fn new<F>(make: impl FnOnce(Sender) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, events) = mpsc::channel(QUEUE);
        Self { events, maker: Some(Box::pin(make(Sender(sender)))) }
    }

    /// A call's stream from this event on, its response at the end.
    pub(super) fn of_call(
        call: CallStream,
        first: Option<CallEvent>,
        level: Option<LogLevel>,
        id: IdKey,
        held: Held,
    ) -> Self {
        Self::new(move |sender| carry(call, first, level, id, held, sender))
    }

    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(maker) = &mut self.maker
            && maker.as_mut().poll(context).is_ready()
        {
            self.maker = None;
        }
        self.events.poll_recv(context)
    }
}

/// Sends the events of one stream.
pub(super) struct Sender(mpsc::Sender<Bytes>);

impl Sender {
    /// Sends a message, when there is room. `false` if nobody reads any more.
    pub(super) async fn send(&self, text: &[u8]) -> bool {
        self.0.send(sse::encode(None, text)).await.is_ok()
    }
}

/// Carries a streamed call to its end.
async fn carry(
    mut call: CallStream,
    mut first: Option<CallEvent>,
    level: Option<LogLevel>,
    id: IdKey,
    held: Held,
    sender: Sender,
) {
    loop {
        let event = match first.take() {
            Some(first) => Ok(first),
            None => call.next().await,
        };
        let text = match event {
            Ok(CallEvent::Notice(notice)) => {
                let wanted = match &notice.kind {
                    NoticeKind::Log(_) => level.is_some() && notice.passes(level),
                    // Not about this request.
                    NoticeKind::ResourceUpdated(_) | NoticeKind::Withdrawn(_) => false,
                    NoticeKind::Other => true,
                };
                if wanted && !sender.send(&notice.text).await {
                    return;
                }
                continue;
            }
            // What has changed is found by whoever watches the backend.
            Ok(CallEvent::ListChanged) => continue,
            Ok(CallEvent::Outcome(Outcome::Complete(text) | Outcome::Refused { text, .. })) => text,
            Ok(CallEvent::Outcome(Outcome::Asks(question))) => {
                let fault = Fault::Internal(
                    format!("backend {} asked what it must not ask", question.backend).into(),
                );
                failure(&id, &fault)
            }
            Err(fault) => failure(&id, &fault),
        };
        held.lent.answered();
        sender.send(&text).await;
        return;
    }
}

fn failure(id: &IdKey, fault: &Fault) -> Bytes {
    reply::modern_error(Id::parse(&id.to_json()), fault)
}
