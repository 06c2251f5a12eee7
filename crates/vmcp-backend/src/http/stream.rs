//! A stream of messages over Streamable HTTP, taken up again where it broke off.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use vmcp_model::Method;
use vmcp_wire::{IdKey, Message, Shape, sse};

use super::body::Body;
use crate::{
    backend::Backend, error::Error, pace::Pace, reading, reopening::Reopening, session::Session,
};

/// How long to wait before a stream is taken up again, if the backend does not say.
const RETRY: Duration = Duration::from_millis(500);

/// From this size on an event is large, in bytes.
const LARGE: usize = 64 << 10;

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
    /// When it is taken up again, while it is broken off.
    resume_at: Option<Instant>,
    /// Of a stream that is only listened to; that of a call is taken up when the backend says.
    reopening: Reopening,
    /// A message has come since it was taken up last.
    has_brought: bool,
    pace: Pace,
    /// The request that is answered. A stream that is only listened to has none.
    answers: Option<IdKey>,
    /// What was skipped last because it is no message.
    skipped: Option<String>,
    /// Held while a large event is put together.
    place: Option<OwnedSemaphorePermit>,
}

impl Stream {
    /// `answers` is the request that is answered on the stream, if there is one.
    pub(crate) fn new(
        backend: &Arc<Backend>,
        session: &Session,
        body: Body,
        answers: Option<&IdKey>,
    ) -> Self {
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
            resume_at: None,
            reopening: Reopening::default(),
            has_brought: false,
            pace: Pace::default(),
            answers: answers.cloned(),
            skipped: None,
            place: None,
        }
    }

    /// The next message. `None` when the stream has ended and cannot be taken up again.
    ///
    /// A stream whose events have ids is taken up again behind the last one when it breaks off
    /// (specification 2025-11-25, basic/transports, "Resumability and Redelivery").
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, Error> {
        loop {
            while let Some(event) = self.decoded.pop_front() {
                if let Some(message) = self.take(event) {
                    return Ok(Some(message));
                }
            }
            self.pace.keep().await;
            self.take_place().await;
            let Some(body) = &mut self.body else {
                // Boxed, as it is rare and large.
                if !Box::pin(self.resume()).await? {
                    return self.over().map(|()| None);
                }
                continue;
            };
            match body.chunk().await {
                Some(Ok(chunk)) => self.feed(&chunk)?,
                Some(Err(error)) if self.last_event_id.is_none() => return Err(error),
                Some(Err(_)) | None => self.body = None,
            }
        }
    }

    /// Waits until a large event may be put together: streams that bring one at the same time would hold
    /// the sum of them, however small what clients have not read may be.
    async fn take_place(&mut self) {
        match self.decoder.held() > LARGE {
            true if self.place.is_none() => {
                // It is never closed.
                self.place = Arc::clone(&self.backend.large_events).acquire_owned().await.ok();
            }
            true => {}
            false => self.place = None,
        }
    }

    /// Leaves out from now on what messages say about the subscription that they belong to.
    pub(crate) fn forget_subscription(&mut self) {
        self.of_subscription = true;
        self.answers = None;
    }

    /// The stream has ended. Without the answer, what was skipped is most likely what was meant as one.
    fn over(&mut self) -> Result<(), Error> {
        match (&self.answers, self.skipped.take()) {
            (Some(_), Some(what)) => Err(Error::Protocol(format!(
                "ended its stream without an answer, and sent an event that is no message ({what})"
            ))),
            (Some(_) | None, _) => Ok(()),
        }
    }

    fn feed(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let mut events = Vec::new();
        self.decoder.feed(chunk, &mut events).map_err(|sse::EventTooLarge { limit }| {
            Error::TooLarge { what: "sent an event", limit, key: "eventBytes" }
        })?;
        self.decoded.extend(events);
        self.pace.read(chunk.len(), self.decoder.take_lines());
        self.pace.rest(self.backend.conduct.waste(self.decoder.take_waste()));
        Ok(())
    }

    /// The message that an event holds. What holds none is skipped.
    fn take(&mut self, event: sse::Event) -> Option<Message> {
        // The modern era knows no way to take a stream up again.
        if let Some(id) = event.id.filter(|_| !self.session.is_stateless()) {
            self.last_event_id = Some(id).filter(|id| !id.is_empty());
        }
        if let Some(milliseconds) = event.retry {
            self.retry = Duration::from_millis(milliseconds).clamp(MIN_RETRY, MAX_RETRY);
        }
        self.pace.count();
        if event.data.is_empty() {
            return None;
        }
        // Events of other types are no messages, whatever they carry.
        let read = match event.name.as_str() {
            "" | "message" => {
                reading::message(self.backend.id(), self.backend.secrets(), event.data)
            }
            name => Err(format!(
                "an event of the name {:?}",
                self.backend.secrets().excerpt(name.as_bytes())
            )),
        };
        match read {
            Ok(message) => {
                self.has_brought = true;
                Some(self.own(message))
            }
            Err(what) => {
                self.backend.conduct.skipped(self.backend.id(), &what);
                self.skipped = Some(what);
                None
            }
        }
    }

    /// The message as it is handed on.
    fn own(&self, message: Message) -> Message {
        if self.of_subscription && message.params().meta.inner.is_some() {
            return Message::parse(message.unreserved(Vec::new())).unwrap_or(message);
        }
        match &self.answers {
            Some(id) if message.shape() == Shape::Response => {
                self.backend.conduct.retyped(self.backend.id(), message, id)
            }
            None if message.shape() == Shape::Request && message.method() == Some(Method::Ping) => {
                self.backend.conduct.note_ping();
                message
            }
            Some(_) | None => message,
        }
    }

    /// When the stream is taken up again.
    fn next_attempt(&mut self, last_event_id: &str) -> Result<Instant, Error> {
        if self.attempts >= MAX_ATTEMPTS {
            return Err(Error::Broken("the stream broke off and could not be resumed".to_owned()));
        }
        self.attempts += 1;
        let has_brought = std::mem::take(&mut self.has_brought);
        let wait = match self.answers {
            Some(_) => self.retry,
            None => self.reopening.ended_with(self.retry, has_brought),
        };
        let last_event_id = self.backend.secrets().excerpt(last_event_id.as_bytes());
        tracing::debug!(backend = %self.backend.id(), last_event_id, ?wait, "takes up a stream that broke off");
        let at = Instant::now() + wait;
        self.resume_at = Some(at);
        Ok(at)
    }

    /// Takes the stream up again. `false` if there is nothing to take up.
    async fn resume(&mut self) -> Result<bool, Error> {
        let Some(last_event_id) = self.last_event_id.clone() else { return Ok(false) };
        let at = match self.resume_at {
            Some(at) => at,
            None => self.next_attempt(&last_event_id)?,
        };
        // Whoever waits may look after something else meanwhile, and come again.
        tokio::time::sleep_until(at).await;
        let resumed = self.backend.open_stream(&self.session, Some(&last_event_id)).await;
        self.resume_at = None;
        match resumed {
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
