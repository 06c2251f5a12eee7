//! A stream that is made while it is read: no task carries it, and it ends with its reader.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::{sync::mpsc, time::Instant};
use vmcp_backend::Error;
use vmcp_core::{Budget, CallStream, Reply};
use vmcp_model::LogLevel;
use vmcp_wire::{Fault, Id, IdKey, reply, sse};

use super::{Held, Step};

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
    pub(super) fn new<F>(budget: &Arc<Budget>, make: impl FnOnce(Sender) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (events, receiver) = mpsc::channel(QUEUE);
        let sender = Sender { events, budget: Arc::clone(budget) };
        Self { events: receiver, maker: Some(Box::pin(make(sender))) }
    }

    /// A call's stream from this notification on, its response at the end.
    pub(super) fn of_call(
        call: CallStream,
        first: Bytes,
        level: Option<LogLevel>,
        id: IdKey,
        held: Held,
        budget: &Arc<Budget>,
    ) -> Self {
        Self::new(budget, move |sender| carry(call, first, level, id, held, sender))
    }

    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.make(context);
        self.events.poll_recv(context)
    }

    /// Makes events, as far as there is room for them.
    pub(crate) fn make(&mut self, context: &mut Context<'_>) {
        if let Some(maker) = &mut self.maker
            && maker.as_mut().poll(context).is_ready()
        {
            self.maker = None;
        }
    }
}

/// Sends the events of one stream.
pub(super) struct Sender {
    events: mpsc::Sender<Bytes>,
    budget: Arc<Budget>,
}

impl Sender {
    /// Sends a message, when the reader has room. `false` if nobody reads any more. What vmcp has no room
    /// for, because clients do not read, is left out.
    pub(super) async fn send(&self, text: &[u8]) -> bool {
        match self.budget.count(sse::encode(None, text)) {
            Ok(event) => self.events.send(event).await.is_ok(),
            Err(_event) => {
                tracing::debug!("there was no room for a message to the client");
                !self.events.is_closed()
            }
        }
    }

    /// Sends the response to a request, or says that there is no room for it.
    async fn answer(&self, id: &IdKey, text: &[u8]) {
        let event = self.budget.count(sse::encode(None, text)).unwrap_or_else(|_event| {
            tracing::warn!(bytes = text.len(), "let go of an answer: all that clients do not read is as much as may be held (limits.heldBytes)");
            sse::encode(None, &failure(id, &Fault::NotHeld)).into()
        });
        // Nobody may read any more.
        let _sent = self.events.send(event).await;
    }
}

/// Carries a streamed call to its end.
async fn carry(
    mut call: CallStream,
    first: Bytes,
    level: Option<LogLevel>,
    id: IdKey,
    held: Held,
    sender: Sender,
) {
    // Nothing is heard of the backend while the client has no room, so its deadline is watched here too.
    let absolute = call.backend().timeouts().absolute;
    let deadline = Instant::now() + absolute;
    let mut told = Some(first);
    let text = loop {
        if let Some(text) = told.take() {
            match tokio::time::timeout_at(deadline, sender.send(&text)).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(_elapsed) => {
                    break failure(&id, &Error::Timeout(absolute).fault(call.backend().id()));
                }
            }
        }
        break match super::next(&mut call, level, &held).await {
            Ok(Step::Told(text)) => {
                told = Some(text);
                continue;
            }
            Ok(Step::Answered(Reply::Ready(text) | Reply::Refused { text, .. })) => {
                held.answered().await;
                text
            }
            // A stream brings no other.
            Ok(Step::Answered(Reply::Relay(_) | Reply::Stream(_))) => {
                failure(&id, &Fault::Internal("a result was not finished".into()))
            }
            Err(fault) => failure(&id, &fault),
        };
    };
    // The backend is done with, however long the client takes.
    drop(call);
    sender.answer(&id, &text).await;
}

fn failure(id: &IdKey, fault: &Fault) -> Bytes {
    reply::modern_error(Id::parse(&id.to_json()), fault)
}
