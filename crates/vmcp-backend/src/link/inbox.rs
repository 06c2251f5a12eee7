//! Decides to whom a message belongs that came in on a link.

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use vmcp_wire::{Id, IdKey, Message, Shape};

use super::{Member, mapping};

/// Messages that may wait for one receiver, the answer not counted.
pub(super) const QUEUE: usize = 256;

/// A message on its way to a receiver.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) message: Message,
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

/// Who waits for messages.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// The oldest first.
    calls: Vec<Waiting>,
    listeners: Vec<mpsc::Sender<Arrival>>,
    numbers: u64,
    /// Why the link has ended.
    ended: Option<String>,
}

/// A call that waits for its answer.
#[derive(Debug)]
pub(super) struct Waiting {
    number: u64,
    /// As the backend knows it.
    id: IdKey,
    /// The progress token as the backend knows it (JSON text).
    token: Option<Bytes>,
    /// On a shared link: what the caller knows it by.
    origin: Option<mapping::Origin>,
    queue: mpsc::Sender<Arrival>,
    /// Room for the answer, which waits for nothing.
    place: mpsc::OwnedPermit<Arrival>,
}

/// To whom a message belongs.
#[derive(Debug)]
pub(super) enum Whose {
    /// It is the answer to this call.
    Answer(Box<Waiting>, Message),
    /// It goes to these.
    Of(Vec<mpsc::Sender<Arrival>>, Message),
    Nobodys(Message),
}

impl Inbox {
    /// Enters a call under its own id. `None` if the link has ended.
    pub(super) fn enter(
        &mut self,
        text: Bytes,
        id: IdKey,
        queue: mpsc::Sender<Arrival>,
    ) -> Option<(u64, Bytes)> {
        let message = Message::parse(text.clone()).ok();
        let token = message.and_then(|message| {
            message.params().meta.progress_token.as_ref().map(|span| message.slice(span))
        });
        self.wait(id, token, None, queue).map(|number| (number, text))
    }

    /// Enters a call under an id that no other call on the link has.
    pub(super) fn enter_mapped(
        &mut self,
        member: Member,
        text: Bytes,
        queue: mpsc::Sender<Arrival>,
    ) -> Option<(u64, Bytes)> {
        let mapped = mapping::outward(&Message::parse(text).ok()?, member, self.numbers)?;
        let number = self.wait(mapped.id, mapped.token, Some(mapped.origin), queue)?;
        Some((number, mapped.text))
    }

    /// What the backend is to be told of a message without an answer of one user of many: it must
    /// not be able to disturb the others.
    pub(super) fn translate(&self, member: Member, text: Bytes) -> Option<Bytes> {
        let message = Message::parse(text).ok()?;
        match &*message.method() {
            "notifications/initialized" => Some(message.text().clone()),
            "notifications/cancelled" => {
                let span = message.params().request_id.clone()?;
                let id = Id::parse(&message.text()[span.clone()])?;
                let call = self.calls.iter().find(|call| {
                    call.origin.as_ref().is_some_and(|origin| origin.is(member, id))
                })?;
                Some(mapping::replaced(&message, span, &call.id.to_json()))
            }
            _ => None,
        }
    }

    /// Enters a listener. `false` if the link has ended.
    pub(super) fn listen(&mut self, queue: mpsc::Sender<Arrival>) -> bool {
        self.listeners.retain(|listener| !listener.is_closed());
        if self.ended.is_none() {
            self.listeners.push(queue);
        }
        self.ended.is_none()
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
        match &*message.method() {
            "notifications/progress" => self.progressed(message),
            "notifications/tools/list_changed"
            | "notifications/resources/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/updated" => {
                let listeners = self.listening();
                of(if listeners.is_empty() { self.newest() } else { listeners }, message)
            }
            _ if shared => Whose::Nobodys(message),
            _ => {
                let newest = self.newest();
                of(if newest.is_empty() { self.listening() } else { newest }, message)
            }
        }
    }

    /// Forgets a call.
    pub(super) fn forget(&mut self, number: u64) {
        self.calls.retain(|call| call.number != number);
    }

    /// Notes that nothing will come any more.
    pub(super) fn end(&mut self, why: String) {
        self.ended.get_or_insert(why);
        self.calls.clear();
        self.listeners.clear();
    }

    pub(super) fn ended(&self) -> Option<String> {
        self.ended.clone()
    }

    /// Whether somebody waits for something.
    pub(super) fn is_used(&self) -> bool {
        !self.calls.is_empty() || self.listeners.iter().any(|listener| !listener.is_closed())
    }

    fn wait(
        &mut self,
        id: IdKey,
        token: Option<Bytes>,
        origin: Option<mapping::Origin>,
        queue: mpsc::Sender<Arrival>,
    ) -> Option<u64> {
        if self.ended.is_some() {
            return None;
        }
        let place = queue.clone().try_reserve_owned().ok()?;
        let number = self.numbers;
        self.numbers += 1;
        self.calls.push(Waiting { number, id, token, origin, queue, place });
        Some(number)
    }

    fn answered(&mut self, message: Message) -> Whose {
        let found =
            self.calls.iter().position(|call| message.id().is_some_and(|id| id.is(&call.id)));
        let Some(index) = found else { return Whose::Nobodys(message) };
        let call = self.calls.remove(index);
        let restored = call.origin.as_ref().map(|origin| origin.of_response(&message));
        match restored {
            None => Whose::Answer(Box::new(call), message),
            Some(Some(restored)) => Whose::Answer(Box::new(call), restored),
            Some(None) => Whose::Nobodys(message),
        }
    }

    fn progressed(&self, message: Message) -> Whose {
        let span = message.params().progress_token.clone();
        let token = span.as_ref().map(|span| message.slice(span));
        let call = self.calls.iter().find(|call| call.token.is_some() && call.token == token);
        let Some((call, span)) = call.zip(span) else { return Whose::Nobodys(message) };
        let restored = call.origin.as_ref().map(|origin| origin.of_progress(&message, span));
        match restored {
            None => Whose::Of(vec![call.queue.clone()], message),
            Some(Some(restored)) => Whose::Of(vec![call.queue.clone()], restored),
            Some(None) => Whose::Nobodys(message),
        }
    }

    fn listening(&self) -> Vec<mpsc::Sender<Arrival>> {
        self.listeners.iter().filter(|listener| !listener.is_closed()).cloned().collect()
    }

    fn newest(&self) -> Vec<mpsc::Sender<Arrival>> {
        self.calls.last().map(|call| call.queue.clone()).into_iter().collect()
    }
}

impl Waiting {
    /// Hands the answer over, which always has a place.
    pub(super) fn answer(self, message: Message) {
        self.place.send(Arrival { message, _room: None });
    }
}

fn of(queues: Vec<mpsc::Sender<Arrival>>, message: Message) -> Whose {
    if queues.is_empty() { Whose::Nobodys(message) } else { Whose::Of(queues, message) }
}

#[cfg(test)]
mod tests;
