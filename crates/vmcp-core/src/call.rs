//! A call whose backend answers with a stream.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;
use vmcp_backend::{Backend, Error, Events, Session};
use vmcp_model::LogLevel;
use vmcp_wire::{Fault, IdKey, Message, error::URL_REQUIRED};

use crate::{
    caller::ClientCapabilities,
    eras::{Finish, Finished},
    inbound::{Inbound, Notice, NoticeKind, Question, receive},
    lost::is_url_required,
    send::cancel,
};

/// How often it is looked whether a question is still open.
const REST: Duration = Duration::from_secs(1);

/// What a call comes to.
#[derive(Debug)]
pub enum Outcome {
    /// The response.
    Complete(Bytes),
    /// The response, which is an error of this code. Where both sides speak the legacy era it is not
    /// told from a result, unless it asks for something to be done at a URL.
    Refused { text: Bytes, code: i64 },
    /// The backend needs input first; the call goes on when it has been given.
    Asks(Question),
}

/// The next thing that a streamed call brings.
#[derive(Debug)]
pub enum CallEvent {
    Notice(Notice),
    /// The backend's lists have changed.
    ListChanged,
    Outcome(Outcome),
}

/// A streamed call. Dropping it stops listening, which cancels nothing at the backend.
#[derive(Debug)]
pub struct CallStream {
    backend: Arc<Backend>,
    session: Session,
    events: Events,
    id: IdKey,
    /// The client's progress token, if it wants to be told of progress.
    token: Option<IdKey>,
    finish: Finish,
    capabilities: ClientCapabilities,
    /// When the call has taken too long, questions to the client aside.
    last: Instant,
    /// The last sign of life of the backend. What vmcp does with the call meanwhile is none.
    heard: Instant,
    open_questions: Arc<AtomicUsize>,
}

/// A question that is open. While one is, the call's deadlines rest.
#[derive(Debug)]
pub struct OpenQuestion(Arc<AtomicUsize>);

impl CallStream {
    /// A call that was sent at this time.
    pub(crate) fn new(
        backend: Arc<Backend>,
        session: Session,
        events: Events,
        (id, token): (IdKey, Option<IdKey>),
        finish: Finish,
        capabilities: ClientCapabilities,
        sent: Instant,
    ) -> Self {
        let now = Instant::now();
        let last = now + backend.timeouts().absolute;
        let heard = if events.has_begun() { now } else { sent };
        let open_questions = Arc::default();
        Self {
            backend,
            session,
            events,
            id,
            token,
            finish,
            capabilities,
            last,
            heard,
            open_questions,
        }
    }

    pub fn backend(&self) -> &Arc<Backend> {
        &self.backend
    }

    /// The session of the backend that the call uses.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Whether what the backend asks on the stream is certainly asked by this call.
    pub fn asks_itself(&self) -> bool {
        self.events.is_own()
    }

    /// Opens a question: the deadlines rest until it is dropped.
    pub fn open_question(&self) -> OpenQuestion {
        self.open_questions.fetch_add(1, Ordering::Relaxed);
        OpenQuestion(Arc::clone(&self.open_questions))
    }

    /// The next event. After a response or an error there is no other.
    pub async fn next(&mut self) -> Result<CallEvent, Fault> {
        loop {
            let message = match self.message().await {
                Ok(message) => message,
                Err(error) => {
                    self.backend.note_spoiled(&error);
                    if matches!(error, Error::Timeout(_)) {
                        Box::pin(cancel(&self.backend, &self.session, &self.id)).await;
                    }
                    return Err(error.fault(self.backend.id()));
                }
            };
            let recognized = self.finish.recognized(message);
            let Some(message) = recognized.filter(|message| self.wants(message)) else {
                self.backend.note_stray_progress();
                continue;
            };
            match receive(&self.backend, &self.session, self.capabilities, message).await {
                Some(Inbound::Notice(notice)) => return Ok(CallEvent::Notice(notice)),
                Some(Inbound::ListChanged) => return Ok(CallEvent::ListChanged),
                Some(Inbound::Asks(question)) => {
                    return Ok(CallEvent::Outcome(Outcome::Asks(question)));
                }
                Some(Inbound::Response(response)) => {
                    if response.id().is_some_and(|id| id.is(&self.id)) {
                        return self.outcome(*response).map(CallEvent::Outcome);
                    }
                    tracing::warn!(backend = %self.backend.id(), "dropped an answer to another request");
                }
                None => {}
            }
        }
    }

    /// What the response makes of the call.
    fn outcome(&self, response: Message) -> Result<Outcome, Fault> {
        let is_error = response.result().is_none();
        Ok(match self.finish.apply(response.into_text(), &self.backend)? {
            Finished::Ready(text) if is_error && is_url_required(&text) => {
                Outcome::Refused { text, code: URL_REQUIRED }
            }
            Finished::Ready(text) => Outcome::Complete(text),
            Finished::Refused(text, code) => Outcome::Refused { text, code },
        })
    }

    /// Whether a message is no progress, or that of this very call: its token is the client's, with the
    /// same JSON type.
    fn wants(&self, message: &Message) -> bool {
        message.method() != "notifications/progress"
            || (self.token.is_some() && message.progress_token() == self.token)
    }

    /// The next message, in time.
    async fn message(&mut self) -> Result<Message, Error> {
        let timeouts = self.backend.timeouts();
        loop {
            let began = Instant::now();
            let idle = self.heard + timeouts.idle;
            let (until, limit) = if self.last < idle {
                (self.last, timeouts.absolute)
            } else {
                (idle, timeouts.idle)
            };
            let resting =
                self.open_questions.load(Ordering::Relaxed) > 0 || self.events.has_asked();
            let until = if resting { until.max(began + REST) } else { until };
            match tokio::time::timeout_at(until, self.events.next()).await {
                Ok(Ok(Some(message))) => {
                    self.heard = Instant::now();
                    if resting {
                        self.last += began.elapsed();
                    }
                    return Ok(message);
                }
                Ok(Ok(None)) => {
                    return Err(Error::Broken("the stream ended before the answer".to_owned()));
                }
                Ok(Err(error)) => return Err(error),
                Err(_elapsed) if resting => {
                    let rested = began.elapsed();
                    self.last += rested;
                    self.heard += rested;
                }
                Err(_elapsed) => return Err(Error::Timeout(limit)),
            }
        }
    }
}

impl Drop for OpenQuestion {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Notice {
    /// Whether a client that wants messages from this level on gets the notice.
    pub fn passes(&self, level: Option<LogLevel>) -> bool {
        match (&self.kind, level) {
            (NoticeKind::Log(Some(found)), Some(wanted)) => *found >= wanted,
            (
                NoticeKind::Log(_)
                | NoticeKind::ResourceUpdated(_)
                | NoticeKind::Withdrawn(_)
                | NoticeKind::Completed(_)
                | NoticeKind::Other,
                _,
            ) => true,
        }
    }
}
