//! Decides to whom a message belongs that came in on a link.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use vmcp_model::Method;
use vmcp_wire::{Id, IdKey, Message, Shape};

use super::{Member, mapping};

/// Messages that may wait for one receiver, the answer not counted.
const QUEUE: usize = 256;

/// Questions to the client that are remembered.
const QUESTIONS: usize = 1000;

/// What a backend may say before anybody is there to hear it.
const EARLY: usize = 16;

/// What is on its way to a receiver.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are messages")]
pub(super) enum Arrival {
    Message(Message, Option<OwnedSemaphorePermit>),
    /// Dropped when all that stands before it has been dealt with.
    Mark(oneshot::Sender<()>),
}

/// The way to one receiver.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    sender: mpsc::Sender<Arrival>,
    /// It was waited for in vain.
    slow: Arc<AtomicBool>,
    /// Whoever reads it needs the link for nothing else.
    overhears: bool,
}

/// Who waits for messages.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// The oldest first.
    calls: Vec<Waiting>,
    listeners: Vec<Queue>,
    /// What the backend has said before anybody was there, where somebody will be.
    early: Option<Vec<Message>>,
    /// What the client has been asked and has not answered.
    asked: HashSet<IdKey>,
    /// Whether calls have had ids that are numbers, and strings. Those of vmcp's own do not count: no
    /// number looks like one.
    id_types: [bool; 2],
    /// How the link has ended.
    ended: Option<End>,
}

/// How a link has ended.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) why: String,
    /// What a program has said about it.
    pub(super) said: Option<Box<str>>,
}

/// A call that waits for its answer.
#[derive(Debug)]
pub(super) struct Waiting {
    number: u64,
    /// As the backend knows it.
    id: IdKey,
    /// The progress token as the backend knows it.
    token: Option<IdKey>,
    /// On a shared link: what the caller knows it by.
    origin: Option<mapping::Origin>,
    /// It is vmcp's own: nobody is there to be asked or told anything.
    own: bool,
    queue: Queue,
    /// Room for the answer, which waits for nothing.
    place: mpsc::OwnedPermit<Arrival>,
}

/// To whom a message belongs.
#[derive(Debug)]
pub(super) enum Whose {
    /// It is the answer to this call.
    Answer(Box<Waiting>, Message),
    /// It goes to these.
    Of(Vec<Queue>, Message),
    Nobodys(Message),
}

impl Inbox {
    /// Keeps what the backend asks, and what it says of its lists, until somebody is there for it.
    pub(super) fn hold_early(&mut self) {
        self.early.get_or_insert_default();
    }

    /// Gives what was kept, and keeps no more.
    pub(super) fn take_early(&mut self) -> Vec<Message> {
        self.early.take().unwrap_or_default()
    }

    /// Hands over what was kept to the first who is there for it.
    fn hand_over(&mut self, queue: &Queue) {
        for message in self.take_early() {
            if message.shape() == Shape::Request {
                self.asking(std::slice::from_ref(queue), &message);
            }
            // A new queue has room for more than is kept.
            queue.try_put(Arrival::Message(message, None));
        }
    }

    /// Keeps a message if nobody is there for it yet, but somebody will be.
    fn kept_early(&mut self, message: &Message) -> bool {
        let wanted = match message.shape() {
            Shape::Request => message.method() != Some(Method::Ping),
            Shape::Notification => message.method().is_some_and(Method::is_list_change),
            Shape::Response => false,
        };
        let Some(early) = self.early.as_mut().filter(|early| wanted && early.len() < EARLY) else {
            return false;
        };
        early.push(message.clone());
        true
    }

    /// Enters a call. `false` if the link has ended.
    pub(super) fn enter(&mut self, call: Waiting) -> bool {
        if self.ended.is_none() {
            if !call.own {
                self.id_types[usize::from(call.id.begins_with(""))] = true;
                self.hand_over(&call.queue);
            }
            self.calls.push(call);
        }
        self.ended.is_none()
    }

    /// What the backend is to be told of a message without an answer of one user of many: it must
    /// not be able to disturb the others.
    pub(super) fn translate(&self, member: Member, message: &Message) -> Option<Bytes> {
        match message.method()? {
            Method::Initialized => Some(message.text().clone()),
            Method::Cancelled => {
                let span = message.params().request_id.clone()?;
                let id = Id::parse(&message.text()[span.clone()])?;
                let call = self.calls.iter().find(|call| {
                    call.origin.as_ref().is_some_and(|origin| origin.is(member, id))
                })?;
                Some(mapping::replaced(message, span, &call.id.to_json()))
            }
            _ => None,
        }
    }

    /// Notes that the client answers a question, if the message is that.
    pub(super) fn answering(&mut self, message: &Message) {
        if message.shape() == Shape::Response
            && let Some(id) = message.id()
        {
            self.asked.remove(&id.key());
        }
    }

    /// Whether the client has been asked something and has not answered.
    pub(super) fn has_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Enters a listener. `false` if the link has ended.
    pub(super) fn listen(&mut self, queue: Queue) -> bool {
        self.listeners.retain(Queue::is_open);
        if self.ended.is_none() {
            self.hand_over(&queue);
            self.listeners.push(queue);
        }
        self.ended.is_none()
    }

    /// Puts a mark behind all that is on its way to those who listen. Each is closed when what stands
    /// before it has been dealt with.
    pub(super) fn mark(&self) -> Vec<oneshot::Receiver<()>> {
        let mark = |queue: &Queue| {
            let (mark, passed) = oneshot::channel();
            queue.try_put(Arrival::Mark(mark)).then_some(passed)
        };
        self.listeners.iter().filter_map(mark).collect()
    }

    /// Decides to whom a message belongs.
    ///
    /// What is not about the lists or a resource belongs to a call under way, the newest: servers
    /// send such messages while they work on one. On a shared link nobody can tell on which, and it
    /// may not be for everybody's eyes.
    pub(super) fn whose(&mut self, message: Message, shared: bool) -> Whose {
        if message.shape() == Shape::Response {
            return self.answered(message);
        }
        if self.kept_early(&message) {
            return Whose::Of(Vec::new(), message);
        }
        match message.method() {
            Some(Method::Progress) => self.progressed(message, shared),
            Some(
                Method::ToolsListChanged
                | Method::ResourcesListChanged
                | Method::PromptsListChanged
                | Method::ResourcesUpdated,
            ) => {
                let listeners = self.listening();
                of(if listeners.is_empty() { self.newest() } else { listeners }, message)
            }
            Some(Method::Ping) => Whose::Nobodys(message),
            _ if shared => Whose::Nobodys(message),
            _ => {
                let newest = self.newest();
                let mut queues = if newest.is_empty() { self.listening() } else { newest };
                if message.shape() == Shape::Request {
                    // One is asked, not all.
                    queues.drain(..queues.len().saturating_sub(1));
                    self.asking(&queues, &message);
                } else {
                    self.taking_back(&message);
                }
                of(queues, message)
            }
        }
    }

    /// Forgets a call, and gives its id as the backend knows it. `None` if it has been answered.
    pub(super) fn forget(&mut self, number: u64) -> Option<IdKey> {
        let index = self.calls.iter().position(|call| call.number == number)?;
        Some(self.calls.remove(index).id)
    }

    /// Notes that nothing will come any more.
    pub(super) fn end(&mut self, end: End) {
        self.ended.get_or_insert(end);
        self.calls.clear();
        self.listeners.clear();
        self.early = None;
        self.asked.clear();
    }

    pub(super) fn ended(&self) -> Option<&End> {
        self.ended.as_ref()
    }

    /// Whether a call is under way.
    pub(super) fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Whether somebody waits for something.
    pub(super) fn is_used(&self) -> bool {
        let needs = |listener: &Queue| listener.is_open() && !listener.overhears;
        !self.calls.is_empty() || self.listeners.iter().any(needs)
    }

    fn answered(&mut self, message: Message) -> Whose {
        let Some(index) = message.id().and_then(|id| self.answered_by(id)) else {
            return Whose::Nobodys(message);
        };
        let call = self.calls.remove(index);
        let restored = call.origin.as_ref().map(|origin| origin.of_response(&message));
        match restored {
            None => Whose::Answer(Box::new(call), message),
            Some(Some(restored)) => Whose::Answer(Box::new(call), restored),
            Some(None) => Whose::Nobodys(message),
        }
    }

    /// Which call is answered under an id: the one that has it, or else the one whose id differs from it
    /// in nothing but the JSON type, if no other can be meant: not even one that is over.
    fn answered_by(&self, id: Id<'_>) -> Option<usize> {
        let exact = self.calls.iter().position(|call| id.is(&call.id));
        let alike = || self.calls.iter().position(|call| id.resembles(&call.id));
        exact.or_else(|| if self.id_types == [true; 2] { None } else { alike() })
    }

    fn progressed(&self, message: Message, shared: bool) -> Whose {
        let (span, token) = (message.params().progress_token.clone(), message.progress_token());
        let call = self.calls.iter().find(|call| call.token.is_some() && call.token == token);
        let Some((call, span)) = call.zip(span) else {
            // A task's token is good beyond its call.
            let queues = if shared { Vec::new() } else { self.listening() };
            return of(queues, message);
        };
        let restored = call.origin.as_ref().map(|origin| origin.of_progress(&message, span));
        match restored {
            None => Whose::Of(vec![call.queue.clone()], message),
            Some(Some(restored)) => Whose::Of(vec![call.queue.clone()], restored),
            Some(None) => Whose::Nobodys(message),
        }
    }

    fn listening(&self) -> Vec<Queue> {
        self.listeners.iter().filter(|listener| listener.is_open()).cloned().collect()
    }

    fn newest(&self) -> Vec<Queue> {
        let newest = self.calls.iter().rev().find(|call| !call.own);
        newest.map(|call| call.queue.clone()).into_iter().collect()
    }

    fn asking(&mut self, queues: &[Queue], question: &Message) {
        if !queues.is_empty()
            && self.asked.len() < QUESTIONS
            && let Some(id) = question.id()
        {
            self.asked.insert(id.key());
        }
    }

    fn taking_back(&mut self, message: &Message) {
        if message.method() == Some(Method::Cancelled)
            && let Some(span) = message.params().request_id.clone()
            && let Some(id) = Id::parse(&message.text()[span])
        {
            self.asked.remove(&id.key());
        }
    }
}

impl Queue {
    pub(super) fn new() -> (Self, mpsc::Receiver<Arrival>) {
        // One more, for the answer.
        let (sender, receiver) = mpsc::channel(QUEUE + 1);
        (Self { sender, slow: Arc::default(), overhears: false }, receiver)
    }

    /// The same for a listener that does not keep the link from ending when it is idle.
    pub(super) fn overhearing(self) -> Self {
        Self { overhears: true, ..self }
    }

    pub(super) fn overhears(&self) -> bool {
        self.overhears
    }

    /// Waits until there is room. `None` if the receiver is gone.
    pub(super) async fn put(&self, arrival: Arrival) -> Option<()> {
        self.sender.send(arrival).await.ok()
    }

    /// `false` if there is no room now.
    pub(super) fn try_put(&self, arrival: Arrival) -> bool {
        let put = !matches!(self.sender.try_send(arrival), Err(mpsc::error::TrySendError::Full(_)));
        if put {
            self.slow.store(false, Ordering::Relaxed);
        }
        put
    }

    pub(super) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// Notes that it was waited for in vain, and says whether it had been before.
    pub(super) fn mark_slow(&self) -> bool {
        self.slow.swap(true, Ordering::Relaxed)
    }

    fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

impl Waiting {
    /// A call under its own id. `None` if the message is no request.
    pub(super) fn plain(number: u64, message: &Message, own: bool, queue: Queue) -> Option<Self> {
        let token = message.requested_token();
        let (id, origin) = (message.id()?.key(), None);
        let place = queue.sender.clone().try_reserve_owned().ok()?;
        Some(Self { number, id, token, origin, own, queue, place })
    }

    /// A call under an id that no other call on the link has.
    pub(super) fn mapped(number: u64, mapped: mapping::Mapped, queue: Queue) -> Option<Self> {
        let mapping::Mapped { id, token, origin, text: _ } = mapped;
        let place = queue.sender.clone().try_reserve_owned().ok()?;
        Some(Self { number, id, token, origin: Some(origin), own: false, queue, place })
    }

    /// Its id, if the caller knows it by the same.
    pub(super) fn own_id(&self) -> Option<&IdKey> {
        self.origin.is_none().then_some(&self.id)
    }

    /// Hands the answer over, which always has a place.
    pub(super) fn answer(self, message: Message) {
        self.place.send(Arrival::Message(message, None));
    }
}

fn of(queues: Vec<Queue>, message: Message) -> Whose {
    if queues.is_empty() { Whose::Nobodys(message) } else { Whose::Of(queues, message) }
}

#[cfg(test)]
mod tests;
