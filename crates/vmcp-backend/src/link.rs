//! One link: a channel of its own to a backend, on which everything of one session travels.
//!
//! A child process is spoken to on one, and so is a server of HTTP+SSE. What comes back carries no
//! hint to whom it belongs but ids and progress tokens; [`inbox`] decides. A link that is shared by
//! several sessions has ids and tokens of its own ([`mapping`]).

mod inbox;
mod mapping;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Uri;
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, error::Elapsed},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vmcp_model::BackendId;
use vmcp_wire::{IdKey, Message, Shape};

use crate::{
    backend::{Answer, refusal},
    error::Error,
    events::Events,
    gauge::Permit,
    http::Http,
};
use inbox::{Arrival, Inbox, QUEUE, Whose};

/// How long a call waits for its answer before it becomes a stream, so that the client sees signs of
/// life meanwhile.
const BEGIN: Duration = Duration::from_secs(10);

/// How long a message waits for room at a receiver that does not read, and what was sent for its
/// answer when the link has ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// Questions that are refused at once, because nobody is there to be asked.
const REFUSALS: usize = 16;

/// A link. Its driver brings in what the backend sends, and ends it.
#[derive(Debug)]
pub(crate) struct Link {
    backend: BackendId,
    /// Who shares it: several sessions, or one.
    shared: bool,
    outbox: Outbox,
    inbox: Mutex<Inbox>,
    /// Kilobytes of messages that may wait for their receivers.
    room: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    tasks: TaskTracker,
    used: Mutex<Instant>,
    /// How many requests it has answered.
    answers: AtomicUsize,
    /// Asks the driver to end the link.
    closing: CancellationToken,
}

/// How messages go out.
#[derive(Debug)]
pub(crate) enum Outbox {
    /// One line each, in order.
    Lines(mpsc::Sender<Bytes>),
    /// Each on a request of its own.
    Post { http: Arc<Http>, target: Uri },
}

/// Who uses a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member(pub(crate) u64);

/// What comes in for one call, or for one listener.
#[derive(Debug)]
pub(crate) struct Arrivals {
    link: Arc<Link>,
    receiver: mpsc::Receiver<Arrival>,
    first: Option<Message>,
    /// The call's number in the inbox; a listener has none.
    call: Option<Call>,
}

/// A call under way. Dropped, it is forgotten: what comes for it later is nobody's.
#[derive(Debug)]
struct Call {
    link: Arc<Link>,
    number: u64,
    _permit: Permit,
}

impl Link {
    pub(crate) fn new(
        backend: BackendId,
        shared: bool,
        outbox: Outbox,
        event_bytes: usize,
    ) -> Self {
        let kilobytes = (event_bytes >> 10).clamp(1, Semaphore::MAX_PERMITS >> 1);
        Self {
            backend,
            shared,
            outbox,
            inbox: Mutex::default(),
            room: Arc::new(Semaphore::new(kilobytes)),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            tasks: TaskTracker::new(),
            used: Mutex::new(Instant::now()),
            answers: AtomicUsize::new(0),
            closing: CancellationToken::new(),
        }
    }

    pub(crate) fn backend(&self) -> &BackendId {
        &self.backend
    }

    /// Sends a request and waits for the beginning of its answer: the answer itself, unless
    /// something else comes first, or it takes long.
    pub(crate) async fn call(
        self: &Arc<Self>,
        member: Member,
        text: Bytes,
        id: &IdKey,
        permit: Permit,
    ) -> Result<Answer, Error> {
        let (text, mut arrivals) = self.begin(member, text, id, permit)?;
        let first = self.first(text, &mut arrivals.receiver).await?;
        match first {
            Ok(Some(Arrival { message, .. })) if message.shape() == Shape::Response => {
                Ok(Answer::Ready(message.into_text()))
            }
            Ok(Some(Arrival { message, .. })) => {
                arrivals.first = Some(message);
                Ok(Answer::Events(Events::of_link(arrivals)))
            }
            Ok(None) => Err(self.ended_in_call()),
            Err(_elapsed) => Ok(Answer::Events(Events::of_link(arrivals))),
        }
    }

    /// Sends a request and waits for the first that comes for it, or until it takes long.
    async fn first(
        &self,
        text: Bytes,
        receiver: &mut mpsc::Receiver<Arrival>,
    ) -> Result<Result<Option<Arrival>, Elapsed>, Error> {
        let sending = self.outbox.send(text);
        let receiving = tokio::time::timeout(BEGIN, receiver.recv());
        tokio::pin!(sending, receiving);
        // The answer may overtake the end of the sending.
        tokio::select! {
            sent = &mut sending => {
                sent?;
                Ok(receiving.await)
            }
            first = &mut receiving => {
                // The link has ended: whether the request was refused decides what may be done.
                if let Ok(None) = first
                    && let Ok(sent) = tokio::time::timeout(PATIENCE, sending).await
                {
                    sent?;
                }
                Ok(first)
            }
        }
    }

    /// Sends a message that has no answer.
    pub(crate) async fn tell(&self, member: Member, text: Bytes) -> Result<(), Error> {
        if self.is_over() {
            return Err(Error::SessionLost);
        }
        self.touch();
        let text = if self.shared { self.inbox().translate(member, text) } else { Some(text) };
        match text {
            Some(text) => self.outbox.send(text).await,
            // It is about nothing that the backend knows.
            None => Ok(()),
        }
    }

    /// Listens to what belongs to no call.
    pub(crate) fn listen(self: &Arc<Self>) -> Result<Events, Error> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        if !self.inbox().listen(sender) {
            return Err(Error::SessionLost);
        }
        let arrivals = Arrivals { link: Arc::clone(self), receiver, first: None, call: None };
        Ok(Events::of_link(arrivals))
    }

    /// Takes a message that the backend has sent.
    pub(crate) async fn receive(&self, message: Message) {
        let whose = self.inbox().whose(message, self.shared);
        match whose {
            Whose::Answer(waiting, message) => {
                self.touch();
                self.answers.fetch_add(1, Ordering::Relaxed);
                waiting.answer(message);
            }
            Whose::Of(queues, message) => {
                for queue in queues {
                    self.put(&queue, message.clone()).await;
                }
            }
            Whose::Nobodys(message) => self.refuse(&message),
        }
    }

    /// Asks the driver to end the link.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    /// Completes when the link is to end.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Notes that the link has ended, and tells all who wait. `why` is what ended it.
    pub(crate) fn end(&self, why: String) {
        self.inbox().end(why);
        self.tasks.close();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.closing.is_cancelled() || self.inbox().ended().is_some()
    }

    /// Whether it has answered anything after `initialize`.
    pub(crate) fn has_served(&self) -> bool {
        self.answers.load(Ordering::Relaxed) > 1
    }

    /// How long nobody has used it; nothing while somebody does.
    pub(crate) fn idle(&self) -> Duration {
        if self.inbox().is_used() {
            return Duration::ZERO;
        }
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Enters a call. Nothing has been sent yet.
    fn begin(
        self: &Arc<Self>,
        member: Member,
        text: Bytes,
        id: &IdKey,
        permit: Permit,
    ) -> Result<(Bytes, Arrivals), Error> {
        self.touch();
        let (sender, receiver) = mpsc::channel(QUEUE);
        let entered = if self.closing.is_cancelled() {
            None
        } else if self.shared {
            self.inbox().enter_mapped(member, text, sender)
        } else {
            self.inbox().enter(text, id.clone(), sender)
        };
        let (number, text) = entered.ok_or(Error::SessionLost)?;
        let call = Call { link: Arc::clone(self), number, _permit: permit };
        let link = Arc::clone(self);
        Ok((text, Arrivals { link, receiver, first: None, call: Some(call) }))
    }

    /// Hands a message to a receiver, if it has room for it before long.
    async fn put(&self, queue: &mpsc::Sender<Arrival>, message: Message) {
        let kilobytes = u32::try_from(message.text().len() >> 10).unwrap_or(u32::MAX);
        let handing = async {
            let room = Arc::clone(&self.room).acquire_many_owned(kilobytes).await.ok()?;
            queue.send(Arrival { message, _room: Some(room) }).await.ok()
        };
        // A shared link waits for nobody: its other users would have to wait as well.
        let patience = if self.shared { Duration::ZERO } else { PATIENCE };
        if tokio::time::timeout(patience, handing).await.is_err() {
            tracing::warn!(backend = %self.backend, "dropped a message of the backend, whose receiver does not read");
        }
    }

    /// Answers a question that nobody is there to be asked.
    fn refuse(&self, message: &Message) {
        if message.shape() != Shape::Request {
            return;
        }
        let (Some(text), Ok(place)) =
            (refusal(message), Arc::clone(&self.refusals).try_acquire_owned())
        else {
            return;
        };
        // In a task of its own: a backend that does not read must not keep vmcp from reading.
        let (outbox, backend) = (self.outbox.clone(), self.backend.clone());
        self.tasks.spawn(async move {
            if let Err(error) = outbox.send(text).await {
                tracing::debug!(%backend, %error, "could not decline what the backend asked");
            }
            drop(place);
        });
    }

    fn ended_in_call(&self) -> Error {
        let why = self.inbox().ended().unwrap_or_else(|| "it was closed".to_owned());
        Error::Broken(format!("{why} before the answer; whether the call ran is unknown"))
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrivals {
    /// The next message; `None` after the answer. When the link has ended, a call is broken off and
    /// a listener has lost its session.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, Error> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        match self.receiver.recv().await {
            Some(arrival) => Ok(Some(arrival.message)),
            None if !self.link.is_over() => Ok(None),
            None if self.call.is_some() => Err(self.link.ended_in_call()),
            None => Err(Error::SessionLost),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.link.inbox().forget(self.number);
    }
}

impl Outbox {
    async fn send(&self, text: Bytes) -> Result<(), Error> {
        match self {
            // Who takes the lines is gone: this one was not sent.
            Self::Lines(lines) => {
                lines.send(one_line(text)).await.map_err(|_unsent| Error::SessionLost)
            }
            Self::Post { http, target } => match http.post_to(target, text).await?.as_u16() {
                200..=299 => Ok(()),
                404 | 410 => Err(Error::SessionLost),
                status => Err(Error::Refused { status }),
            },
        }
    }
}

impl Clone for Outbox {
    fn clone(&self) -> Self {
        match self {
            Self::Lines(lines) => Self::Lines(lines.clone()),
            Self::Post { http, target } => {
                Self::Post { http: Arc::clone(http), target: target.clone() }
            }
        }
    }
}

/// The message without line breaks, which in JSON only stand between tokens, and with one at its
/// end (specification 2025-11-25, basic/transports, "stdio").
fn one_line(text: Bytes) -> Bytes {
    let mut line = Vec::with_capacity(text.len() + 1);
    line.extend(text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    line.push(b'\n');
    line.into()
}
