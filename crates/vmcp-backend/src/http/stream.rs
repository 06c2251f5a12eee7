//! A stream of messages over Streamable HTTP, taken up again where it broke off.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use vmcp_wire::{Message, sse};

use super::body::Body;
use crate::{
    backend::{Backend, excerpt},
    error::Error,
    pace::Pace,
    session::Session,
};

/// How long to wait before a stream is taken up again, if the backend does not say.
const RETRY: Duration = Duration::from_millis(500);

/// The shortest and the longest wait that a backend may ask for.
const MIN_RETRY: Duration = Duration::from_millis(100);
const MAX_RETRY: Duration = Duration::from_secs(30);

/// Attempts in a row that bring no stream.
const MAX_ATTEMPTS: u32 = 5;

/// A stream. Dropping it closes the connection, which cancels nothing at a legacy backend, and the
/// request that it answers at a modern one.
#[derive(Debug)]
pub(crate) struct Stream {
    backend: Arc<Backend>,
    session: Session,
    /// `None` while the stream is broken off.
    body: Option<Body>,
    decoder: sse::Decoder,
    decoded: VecDeque<sse::Event>,
    last_event_id: Option<String>,
    /// It was opened to listen to a modern backend.
    of_subscription: bool,
    retry: Duration,
    attempts: u32,
    pace: Pace,
}

impl Stream {
    pub(crate) fn new(backend: &Arc<Backend>, session: &Session, body: Body) -> Self {
        Self {
            backend: Arc::clone(backend),
            session: session.clone(),
            body: Some(body),
            decoder: sse::Decoder::new(backend.limits().event_bytes),
            decoded: VecDeque::new(),
            last_event_id: None,
            of_subscription: false,
            retry: RETRY,
            attempts: 0,
            pace: Pace::default(),
        }
    }

    /// The next message. `None` when the stream has ended and cannot be taken up again.
    ///
    /// A stream whose events have ids is taken up again behind the last one when it breaks off
    /// (specification 2025-11-25, basic/transports, "Resumability and Redelivery").
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, Error> {
        loop {
            while let Some(event) = self.decoded.pop_front() {
                if let Some(message) = self.take(event)? {
                    return Ok(Some(message));
                }
            }
            self.pace.keep().await;
            let Some(body) = &mut self.body else {
                // Boxed, as it is rare and large.
                if !Box::pin(self.resume()).await? {
                    return Ok(None);
                }
                continue;
            };
            match body.chunk().await {
                Some(Ok(chunk)) => {
                    let mut events = Vec::new();
                    self.decoder.feed(&chunk, &mut events).map_err(
                        |sse::EventTooLarge { limit }| Error::TooLarge {
                            what: "sent an event",
                            limit,
                        },
                    )?;
                    self.decoded.extend(events);
                }
                Some(Err(error)) if self.last_event_id.is_none() => return Err(error),
                Some(Err(_)) | None => self.body = None,
            }
        }
    }

    /// Leaves out from now on what messages say about the subscription that they belong to.
    pub(crate) fn forget_subscription(&mut self) {
        self.of_subscription = true;
    }

    fn take(&mut self, event: sse::Event) -> Result<Option<Message>, Error> {
        // The modern era knows no way to take a stream up again.
        if let Some(id) = event.id.filter(|_| !self.session.is_stateless()) {
            self.last_event_id = Some(id).filter(|id| !id.is_empty());
        }
        if let Some(milliseconds) = event.retry {
            self.retry = Duration::from_millis(milliseconds).clamp(MIN_RETRY, MAX_RETRY);
        }
        self.pace.count();
        // Events of other types are no messages, whatever they carry.
        if event.data.is_empty() || !matches!(event.name.as_str(), "" | "message") {
            return Ok(None);
        }
        let excerpt = excerpt(&event.data);
        let parsed = Message::parse(event.data).and_then(|message| {
            if !self.of_subscription || message.params().meta.inner.is_none() {
                return Ok(message);
            }
            Message::parse(message.unreserved(Vec::new()))
        });
        parsed.map(Some).map_err(|why| {
            Error::Protocol(format!("sent an event that is no message ({why}): {excerpt}"))
        })
    }

    /// Takes the stream up again. `false` if there is nothing to take up.
    async fn resume(&mut self) -> Result<bool, Error> {
        let Some(last_event_id) = self.last_event_id.clone() else { return Ok(false) };
        if self.attempts >= MAX_ATTEMPTS {
            return Err(Error::Broken("the stream broke off and could not be resumed".to_owned()));
        }
        self.attempts += 1;
        tracing::debug!(backend = %self.backend.id(), last_event_id, wait = ?self.retry, "takes up a stream that broke off");
        tokio::time::sleep(self.retry).await;
        match self.backend.open_stream(&self.session, Some(&last_event_id)).await {
            Ok(Some(resumed)) => {
                self.body = resumed.body;
                self.decoder = resumed.decoder;
                // A server may close its streams on purpose, to be polled for as long as it takes.
                self.attempts = 0;
                Ok(true)
            }
            Ok(None) => Ok(false),
            // Nothing was sent this time, which says nothing about the call that the stream is of:
            // left alone, the backend cannot be asked, and in the end the stream has broken off.
            Err(
                Error::Unreachable(_)
                | Error::Timeout(_)
                | Error::Busy { .. }
                | Error::LeftAlone { .. },
            ) => Ok(true),
            Err(error) => Err(error),
        }
    }
}
