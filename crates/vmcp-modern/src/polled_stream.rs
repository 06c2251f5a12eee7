//! A stream that is made while it is read: no task carries it, and it ends with its reader.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::sync::mpsc;
use vmcp_core::{Budget, CallStream, Lent};
use vmcp_model::LogLevel;
use vmcp_wire::{Fault, Id, IdKey, reply, sse};

use crate::call::{Step, answered, next};

/// Events that wait for the reader.
const QUEUE: usize = 16;

/// A stream of server-sent events. Dropping it ends what makes them.
pub struct PolledStream {
    events: mpsc::Receiver<Bytes>,
    /// `None` once it is done.
    maker: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl PolledStream {
    /// A stream of what `make` sends.
    pub(crate) fn new<F>(budget: &Arc<Budget>, make: impl FnOnce(Sender) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (events, receiver) = mpsc::channel(QUEUE);
        let sender = Sender { events, budget: Arc::clone(budget) };
        Self { events: receiver, maker: Some(Box::pin(make(sender))) }
    }

    /// A call's stream from this notification on, its response at the end.
    pub(crate) fn of_call(
        call: CallStream,
        first: Bytes,
        level: Option<LogLevel>,
        id: IdKey,
        lent: Lent,
        budget: &Arc<Budget>,
    ) -> Self {
        Self::new(budget, move |sender| carry(call, first, level, id, lent, sender))
    }

    /// Polls for the next event, which makes what follows as well.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.make(context);
        self.events.poll_recv(context)
    }

    /// Makes events, as far as there is room for them.
    pub fn make(&mut self, context: &mut Context<'_>) {
        if let Some(maker) = &mut self.maker
            && maker.as_mut().poll(context).is_ready()
        {
            self.maker = None;
        }
    }
}

/// Sends the events of one stream.
pub(crate) struct Sender {
    events: mpsc::Sender<Bytes>,
    budget: Arc<Budget>,
}

impl Sender {
    /// Sends a message, when the reader has room. `false` if nobody reads any more. What vmcp has no room
    /// for, because clients do not read, is left out.
    pub(crate) async fn send(&self, text: &[u8]) -> bool {
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
    lent: Lent,
    sender: Sender,
) {
    // Nothing is heard of the call while the client has no room, so its end is watched here too.
    let mut over = Box::pin(call.over());
    let mut told = Some(first);
    let text = loop {
        if let Some(text) = told.take() {
            let sent = tokio::select! {
                biased;
                sent = sender.send(&text) => Ok(sent),
                fault = &mut over => Err(fault),
            };
            match sent {
                Ok(true) => {}
                Ok(false) => return,
                Err(fault) => break failure(&id, &fault),
            }
        }
        match next(&mut call, level, &lent).await {
            Ok(Step::Told(text)) => told = Some(text),
            Ok(Step::Answered(whole)) => {
                answered(&lent).await;
                break whole.text;
            }
            Err(fault) => break failure(&id, &fault),
        }
    };
    // The backend is done with, however long the client takes.
    let _under_way = call.into_ticket();
    sender.answer(&id, &text).await;
}

fn failure(id: &IdKey, fault: &Fault) -> Bytes {
    reply::modern_error(Id::parse(&id.to_json()), fault)
}
