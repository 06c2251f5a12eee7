//! A call whose backend answers with a stream.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use vmcp_backend::{Backend, Error, Events, Session};
use vmcp_model::{LogLevel, Method};
use vmcp_wire::{Fault, IdKey, Message};

use crate::{
    answering::Whole,
    call::cancel,
    caller::ClientCapabilities,
    calls::{Ticket, UnderWay},
    eras::{Finish, Finished},
    inbound::{Inbound, Notice, NoticeKind, Question, receive},
    lost::code_of,
};

/// How often it is looked whether a question is still open.
const REST: Duration = Duration::from_secs(1);

/// The next thing that a streamed call brings.
#[derive(Debug)]
pub enum CallEvent {
    Notice(Notice),
    /// The backend's lists have changed.
    ListChanged,
    /// The backend needs input first; the call goes on when it has been given.
    Asks(Question),
    Answered(Whole),
}

/// A streamed call. Dropping it stops listening, which cancels nothing at the backend.
#[derive(Debug)]
pub struct CallStream {
    streamed: Box<Streamed>,
    ticket: Ticket,
}

/// The backend's side of it.
#[derive(Debug)]
pub(crate) struct Streamed {
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
    pub(crate) fn new(streamed: Box<Streamed>, ticket: Ticket) -> Self {
        Self { streamed, ticket }
    }

    pub fn backend(&self) -> &Arc<Backend> {
        &self.streamed.backend
    }

    /// The session of the backend that the call uses.
    pub fn session(&self) -> &Session {
        &self.streamed.session
    }

    /// Whether what the backend asks on the stream is certainly asked by this call.
    pub fn asks_itself(&self) -> bool {
        self.streamed.events.is_own()
    }

    /// The call, as others see it.
    pub fn call(&self) -> &Arc<UnderWay> {
        self.ticket.call()
    }

    /// Waits until the call must end though its reader takes nothing: from now on it may take no longer
    /// than its backend may in all. Gives why.
    pub fn over(&self) -> impl Future<Output = Fault> + Send + use<> {
        self.ticket.over(Instant::now())
    }

    /// Opens a question: the deadlines rest until it is dropped.
    pub fn open_question(&self) -> OpenQuestion {
        let open = &self.streamed.open_questions;
        open.fetch_add(1, Ordering::Relaxed);
        OpenQuestion(Arc::clone(open))
    }

    /// The next event. After an answer or an error there is no other.
    pub async fn next(&mut self) -> Result<CallEvent, Fault> {
        let Self { streamed, ticket } = self;
        let event = tokio::select! {
            biased;
            fault = ticket.call().fired() => Err(fault),
            event = streamed.next() => event,
        };
        match &event {
            Ok(CallEvent::Answered(whole)) => {
                ticket.note_answer(whole.error.is_some(), || whole.end());
                if let Some(trail) = ticket.trail() {
                    trail.note_response(&whole.text);
                }
            }
            Err(Fault::Cancelled)
            | Ok(CallEvent::Notice(_) | CallEvent::ListChanged | CallEvent::Asks(_)) => {}
            Err(fault) => ticket.note_failure(fault),
        }
        event
    }

    /// Notes that the call ends with an error of vmcp's own.
    pub fn note_failure(&self, fault: &Fault) {
        self.ticket.note_failure(fault);
    }

    /// Is done with the backend. The call is under way until its client has the answer.
    pub fn into_ticket(self) -> Ticket {
        self.ticket
    }
}

impl Streamed {
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

    async fn next(&mut self) -> Result<CallEvent, Fault> {
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
                Some(Inbound::Asks(question)) => return Ok(CallEvent::Asks(question)),
                Some(Inbound::Response(response)) => {
                    if response.id().is_some_and(|id| id.is(&self.id)) {
                        return self.answered(*response).map(CallEvent::Answered);
                    }
                    tracing::warn!(backend = %self.backend.id(), "dropped an answer to another request");
                }
                None => {}
            }
        }
    }

    /// What the response makes of the call.
    fn answered(&self, response: Message) -> Result<Whole, Fault> {
        let is_error = response.result().is_none();
        Ok(match self.finish.apply(response.into_text(), &self.backend)? {
            Finished::Ready(text) => {
                let error = is_error.then(|| code_of(&text));
                Whole { text, error }
            }
            Finished::Refused(text, code) => Whole { text, error: Some(code) },
        })
    }

    /// Whether a message is no progress, or that of this very call: its token is the client's, with the
    /// same JSON type.
    fn wants(&self, message: &Message) -> bool {
        message.method() != Some(Method::Progress)
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
