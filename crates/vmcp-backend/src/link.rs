//! One link: a channel of its own to a backend, on which everything of one session travels.
//!
//! A child process is spoken to on one, and so is a server of HTTP+SSE. What comes back carries no
//! hint to whom it belongs but ids and progress tokens; [`inbox`] decides. A link that is shared by
//! several sessions has ids and tokens of its own ([`mapping`]).

mod arrivals;
mod inbox;
mod mapping;
mod outbox;
mod receiving;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{Semaphore, oneshot},
    time::{Instant, error::Elapsed},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vmcp_model::{BackendId, Method};
use vmcp_wire::{Fault, Message, Shape, reply};

use crate::{
    backend::Answer,
    conduct::Conduct,
    error::Error,
    events::Events,
    gauge::Permit,
    stdio::{Process, Words},
};
pub(crate) use arrivals::Arrivals;
use arrivals::Call;
use inbox::{End, Inbox, Queue, Waiting};
pub(crate) use outbox::Outbox;

/// How long a call waits for its answer before it becomes a stream, so that the client sees signs of
/// life meanwhile.
const BEGIN: Duration = Duration::from_secs(10);

/// How long a message waits for room at a receiver that does not read, and what was sent for its
/// answer when the link has ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a process that has ended, or is to end, is waited for by who wants to know how.
const ENDING: Duration = Duration::from_secs(3);

/// How long the refusal of a question may take.
const REFUSAL: Duration = Duration::from_secs(5);

/// Questions that are refused at once, because nobody is there to be asked.
const REFUSALS: usize = 16;

/// A link. Its driver brings in what the backend sends, and ends it.
#[derive(Debug)]
pub(crate) struct Link {
    backend: BackendId,
    conduct: Arc<Conduct>,
    /// Who shares it: several sessions, or one.
    shared: bool,
    outbox: Outbox,
    inbox: Mutex<Inbox>,
    /// Kilobytes of messages that may wait for their receivers.
    room: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    /// Numbers for calls, which are their ids on a shared link.
    numbers: AtomicU64,
    tasks: TaskTracker,
    used: Mutex<Instant>,
    /// How many requests it has answered.
    answers: AtomicUsize,
    /// Is told of changes of the lists that nobody else hears of, or only whoever overhears the link.
    lists_changed: Mutex<Option<ListsChanged>>,
    /// The id of the process, if it is one.
    process: Option<u32>,
    /// What the process writes that is no message.
    words: Option<Arc<Words>>,
    /// It is the watch's, which ends if a client needs its place.
    is_watch: bool,
    /// What is to be known from it is known.
    gives_way: AtomicBool,
    /// Asks the driver to end the link.
    closing: CancellationToken,
}

/// What is done when a backend says that its lists have changed.
#[derive(Clone)]
pub struct ListsChanged(Arc<dyn Fn() + Send + Sync>);

impl ListsChanged {
    pub fn new(told: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(told))
    }
}

impl std::fmt::Debug for ListsChanged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ListsChanged")
    }
}

/// Who uses a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member(pub(crate) u64);

impl Link {
    pub(crate) fn new(
        backend: BackendId,
        shared: bool,
        outbox: Outbox,
        event_bytes: usize,
        conduct: Arc<Conduct>,
    ) -> Self {
        let kilobytes = (event_bytes >> 10).clamp(1, Semaphore::MAX_PERMITS >> 1);
        Self {
            backend,
            conduct,
            shared,
            outbox,
            inbox: Mutex::default(),
            room: Arc::new(Semaphore::new(kilobytes)),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            numbers: AtomicU64::new(0),
            tasks: TaskTracker::new(),
            used: Mutex::new(Instant::now()),
            answers: AtomicUsize::new(0),
            lists_changed: Mutex::default(),
            process: None,
            words: None,
            is_watch: false,
            gives_way: AtomicBool::new(false),
            closing: CancellationToken::new(),
        }
    }

    /// The same to this process; `is_watch` says that it is the watch's.
    pub(crate) fn with_process(self, process: &Process, is_watch: bool) -> Self {
        let words = Some(Arc::clone(process.words()));
        Self { process: process.id(), words, is_watch, ..self }
    }

    pub(crate) fn process(&self) -> Option<u32> {
        self.process
    }

    pub(crate) fn is_watch(&self) -> bool {
        self.is_watch
    }

    pub(crate) fn let_give_way(&self) {
        self.gives_way.store(true, Ordering::Relaxed);
    }

    pub(crate) fn may_give_way(&self) -> bool {
        self.gives_way.load(Ordering::Relaxed)
    }

    pub(crate) fn conduct(&self) -> &Arc<Conduct> {
        &self.conduct
    }

    pub(crate) fn backend(&self) -> &BackendId {
        &self.backend
    }

    /// Sends a request and waits for the beginning of its answer: the answer itself, unless
    /// something else comes first, or it takes long. `own` says that the request is vmcp's.
    pub(crate) async fn call(
        self: &Arc<Self>,
        member: Member,
        text: Bytes,
        own: bool,
        permit: Permit,
    ) -> Result<Answer, Error> {
        self.touch();
        let message = Message::parse(text);
        let message =
            message.map_err(|why| Error::Protocol(format!("was sent nonsense: {why}")))?;
        if self.shared
            && let Some(fault) = not_shared(&message)
        {
            return Ok(Answer::Ready(reply::error(message.id(), &fault)));
        }
        let mut arrivals = self.begin(member, &message, own, permit)?;
        match tokio::time::timeout(BEGIN, arrivals.arrival()).await {
            Ok(first) => match first? {
                Some(first) if first.shape() == Shape::Response => {
                    Ok(Answer::Ready(first.into_text()))
                }
                Some(first) => {
                    arrivals.first = Some(first);
                    Ok(Answer::Events(Events::of_link(arrivals)))
                }
                None => Err(self.ended_in_call(own)),
            },
            Err(Elapsed { .. }) => Ok(Answer::Events(Events::of_link(arrivals))),
        }
    }

    /// Sends a message that has no answer.
    pub(crate) async fn tell(&self, member: Member, text: Bytes) -> Result<(), Error> {
        if self.is_over() {
            return Err(Error::SessionLost);
        }
        self.touch();
        let Ok(message) = Message::parse(text) else { return Ok(()) };
        let is_notification = message.shape() == Shape::Notification;
        let text = if self.shared {
            // What is about nothing that the backend knows is not sent.
            let Some(text) = self.inbox().translate(member, &message) else { return Ok(()) };
            text
        } else {
            self.inbox().answering(&message);
            message.into_text()
        };
        match self.outbox.send(text).await {
            // What a notification is answered is of no importance.
            Err(error @ Error::Refused { .. }) if is_notification => {
                tracing::debug!(backend = %self.backend, %error, "the backend does not take a notification");
                Ok(())
            }
            sent => sent.inspect_err(|error| self.close_if_lost(error)),
        }
    }

    /// Listens to what belongs to no call. `overhears` says that the link may end all the same when
    /// nobody uses it.
    pub(crate) fn listen(self: &Arc<Self>, overhears: bool) -> Result<Events, Error> {
        let (queue, receiver) = Queue::new();
        let queue = if overhears { queue.overhearing() } else { queue };
        if !self.inbox().listen(queue) {
            return Err(Error::SessionLost);
        }
        let (link, first, failure, call) = (Arc::clone(self), None, None, None);
        Ok(Events::of_link(Arrivals { link, receiver, first, failure, call }))
    }

    /// Waits until those who listen have dealt with all that has come in so far.
    pub(crate) async fn until_heard(&self) {
        let marks = self.inbox().mark();
        for passed in marks {
            let _closed = passed.await;
        }
    }

    /// Whether the client has been asked something and has not answered. Nobody can tell in which
    /// call, so the deadlines of all rest.
    pub(crate) fn has_asked(&self) -> bool {
        self.inbox().has_asked()
    }

    /// Asks the driver to end the link.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    /// The same, if nobody has used it for so long. No call comes between.
    pub(crate) fn close_if_idle(&self, limit: Duration) -> bool {
        let inbox = self.inbox();
        let idle = !inbox.is_used() && self.unused() >= limit;
        if idle {
            self.closing.cancel();
        }
        idle
    }

    /// Completes when the link is to end.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Notes that the link has ended, and tells all who wait. `why` completes "the backend ...", and `said`
    /// is what a program has said about it.
    pub(crate) fn end(&self, why: String, said: Option<Box<str>>) {
        self.inbox().end(End { why, said });
        self.tasks.close();
    }

    /// How a link has ended, or is about to, on which nothing of a client's has been sent yet. `None` if it
    /// takes too long to end.
    pub(crate) async fn ended_at_once(&self) -> Option<Error> {
        tokio::time::timeout(ENDING, self.tasks.wait()).await.ok()?;
        Some(self.ended_in_call(true))
    }

    /// What the program has said so far, if it is one and has said anything.
    pub(crate) fn said(&self) -> Option<Box<str>> {
        self.words.as_ref()?.reason()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.closing.is_cancelled() || self.inbox().ended().is_some()
    }

    /// Whether a call is under way on it.
    pub(crate) fn has_calls(&self) -> bool {
        self.inbox().has_calls()
    }

    /// Whether it has answered anything after `initialize`.
    pub(crate) fn has_served(&self) -> bool {
        self.answers.load(Ordering::Relaxed) > 1
    }

    /// How long nobody has used it; nothing while somebody does.
    pub(crate) fn idle(&self) -> Duration {
        if self.inbox().is_used() { Duration::ZERO } else { self.unused() }
    }

    /// Enters a call and begins to send it.
    fn begin(
        self: &Arc<Self>,
        member: Member,
        message: &Message,
        own: bool,
        permit: Permit,
    ) -> Result<Arrivals, Error> {
        let (queue, receiver) = Queue::new();
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let mapped = if self.shared { mapping::outward(message, member, number) } else { None };
        let (text, waiting) = match mapped {
            Some(mapped) => (mapped.text.clone(), Waiting::mapped(number, mapped, queue)),
            None => (message.text().clone(), Waiting::plain(number, message, own, queue)),
        };
        let waiting = waiting.ok_or_else(|| Error::Protocol("was sent no request".to_owned()))?;
        {
            let mut inbox = self.inbox();
            if self.closing.is_cancelled() || !inbox.enter(waiting) {
                return Err(Error::SessionLost);
            }
        }
        // In a task of its own: whatever comes meanwhile, the request is sent.
        let (failed, failure) = oneshot::channel();
        let link = Arc::clone(self);
        let sending = self.tasks.spawn(async move {
            if let Err(error) = link.outbox.send(text).await {
                link.close_if_lost(&error);
                // Nobody may be left to hear of it.
                let _told = failed.send(error);
            }
        });
        let sending = sending.abort_handle();
        let call = Call { link: Arc::clone(self), number, own, sending, _permit: permit };
        let (link, failure) = (Arc::clone(self), Some(failure));
        Ok(Arrivals { link, receiver, first: None, failure, call: Some(call) })
    }

    /// A link on which nothing can be sent any more ends.
    fn close_if_lost(&self, error: &Error) {
        if matches!(error, Error::SessionLost) {
            self.close();
        }
    }

    /// What a call is told that has not been answered; `own` says that it is vmcp's.
    fn ended_in_call(&self, own: bool) -> Error {
        let ended = self.inbox().ended().cloned();
        let (why, said) =
            ended.map_or_else(|| ("was closed".to_owned(), None), |end| (end.why, end.said));
        Error::LinkEnded { why, in_call: !own, said }
    }

    fn unused(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a request cannot be sent to a backend that does not tell its callers apart.
fn not_shared(request: &Message) -> Option<Fault> {
    let allowed = match request.method() {
        Some(
            Method::Initialize
            | Method::Ping
            | Method::ToolsList
            | Method::ResourcesList
            | Method::ResourcesTemplatesList
            | Method::ResourcesRead
            | Method::PromptsList
            | Method::PromptsGet
            | Method::CompletionComplete,
        ) => true,
        Some(Method::ToolsCall) => request.params().task.is_none(),
        _ => false,
    };
    let what = request.method_name();
    (!allowed).then(|| {
        Fault::MethodNotFound(format!(
            "{what} (the program is shared, and cannot tell callers apart)"
        ))
    })
}
