//! What goes on in a session right now: calls in flight and questions to the client.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use vmcp_backend::Backend;
use vmcp_core::{Alias, OpenQuestion, UnderWay};
use vmcp_wire::{Fault, IdKey};

use crate::{
    completions::Awaited, early::Early, factory::random_name, listen::Listening, log::StreamLog,
    session::Session,
};

/// Answered questions that are remembered, so that an answer sent twice is delivered once.
const ANSWERED: usize = 64;

/// Progress tokens of tasks that one session remembers.
const TASK_TOKENS: usize = 256;

/// How long a client may take to answer a question.
const MAX_QUESTION_AGE: Duration = Duration::from_secs(3600);

/// Questions that one session may have open.
const MAX_QUESTIONS: usize = 256;

/// The part of a session that exists only while something goes on.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// By what their backends call them.
    pub(crate) calls: HashMap<IdKey, Call>,
    /// How many calls have begun.
    begun: u64,
    pub(crate) questions: HashMap<String, Asked>,
    answered: VecDeque<String>,
    /// The log of the GET stream, once there was one.
    pub(crate) standalone: Option<Arc<StreamLog>>,
    /// The logs of streamed calls.
    pub(crate) streams: HashMap<u64, Arc<StreamLog>>,
    /// Told when no call is in flight any more.
    pub(crate) calm: Option<Arc<Notify>>,
    /// Ends the listening to the backends' own streams.
    pub(crate) listening: Option<Listening>,
    /// Progress tokens of calls that run as tasks, and so are good beyond them; the newest last.
    task_tokens: VecDeque<IdKey>,
    /// Backends that may ask before they are sent the first call.
    pub(crate) early: Vec<Early>,
    /// What the client was asked to do at URLs, and is not done yet; the newest last.
    pub(crate) awaited: VecDeque<Awaited>,
}

/// A call in flight.
#[derive(Debug)]
pub(crate) struct Call {
    /// `None` if vmcp answers it itself.
    pub(crate) backend: Option<Arc<Backend>>,
    pub(crate) signal: Arc<UnderWay>,
    /// The client's id of a request whose backend knows it by another, as there was one with that id.
    client_id: Option<IdKey>,
    /// The greatest is the newest.
    number: u64,
}

/// A question that the client has not answered.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) backend: Arc<Backend>,
    /// The call that asks, with which the question leaves; `None` if the backend asks on its own
    /// stream, or nobody can tell.
    pub(crate) call: Option<IdKey>,
    /// Carries the question to the client.
    pub(crate) log: Arc<StreamLog>,
    pub(crate) since: Instant,
    /// Whether it stands in the session's record.
    pub(crate) kept: bool,
    /// Lets the deadlines of the call rest that asks.
    pub(crate) _rest: Option<OpenQuestion>,
    /// Held for the first call, which waits for the answer.
    pub(crate) _awaited: Option<mpsc::Sender<()>>,
}

/// A call in flight; out of the session's books when dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) session: Arc<Session>,
    /// What the backend calls it.
    pub(crate) id: IdKey,
    /// The same, if that is not the client's id.
    pub(crate) alias: Option<Box<Doubled>>,
}

/// A call whose id another one under way has.
#[derive(Debug)]
pub(crate) struct Doubled {
    pub(crate) alias: Alias,
    pub(crate) client_id: IdKey,
}

impl Activity {
    /// Enters a call. It gets a name of its own if there is one with this id already, or may be on another replica that
    /// uses the same link.
    pub(crate) fn begin(
        &mut self,
        id: &IdKey,
        (backend, signal): (Option<Arc<Backend>>, Arc<UnderWay>),
        shares_link: bool,
        limit: usize,
    ) -> Result<Option<Box<Doubled>>, Fault> {
        if self.calls.len() >= limit {
            return Err(Fault::SessionFull { what: "calls", limit, key: "callsPerSession" });
        }
        self.begun += 1;
        let mut call = Call { backend, signal, client_id: None, number: self.begun };
        match self.calls.entry(id.clone()) {
            Entry::Vacant(free) if !shares_link => {
                free.insert(call);
                Ok(None)
            }
            Entry::Occupied(_) | Entry::Vacant(_) => {
                let alias = Alias::new(&format!("vmcp-{}", random_name()));
                call.client_id = Some(id.clone());
                self.calls.insert(alias.id().clone(), call);
                Ok(Some(Box::new(Doubled { alias, client_id: id.clone() })))
            }
        }
    }

    /// The newest call that the client knows by this id, with what its backend calls it, and how many
    /// there are.
    pub(crate) fn named(&self, id: &IdKey) -> Option<(&IdKey, &Call, usize)> {
        let is_named = |(own, call): &(&IdKey, &Call)| call.client_id.as_ref().unwrap_or(own) == id;
        let named = || self.calls.iter().filter(is_named);
        let (own, call) = named().max_by_key(|(_, call)| call.number)?;
        Some((own, call, named().count()))
    }

    /// Remembers the progress token of a call that runs as a task.
    pub(crate) fn remember_token(&mut self, token: IdKey) {
        if self.task_tokens.len() == TASK_TOKENS {
            self.task_tokens.pop_front();
        }
        self.task_tokens.push_back(token);
    }

    /// Whether a progress token is that of a task.
    pub(crate) fn knows_token(&self, token: &IdKey) -> bool {
        self.task_tokens.contains(token)
    }

    /// Enters a question. `false` if there are too many.
    pub(crate) fn ask(&mut self, id: String, asked: Asked) -> bool {
        let room = self.questions.len() < MAX_QUESTIONS;
        if room {
            self.questions.insert(id, asked);
        }
        room
    }

    /// Takes out a question whose answer the backend refuses, with the call that asked it.
    pub(crate) fn refuse_answer(&mut self, id: &str) -> Option<(IdKey, Arc<UnderWay>)> {
        let call = self.questions.remove(id)?.call?;
        let signal = Arc::clone(&self.calls.get(&call)?.signal);
        Some((call, signal))
    }

    /// Begins to deliver the answer to a question. `false` if one is delivered already.
    pub(crate) fn begin_answer(&mut self, id: &str) -> bool {
        if self.answered.iter().any(|answered| answered == id) {
            return false;
        }
        if self.answered.len() == ANSWERED {
            self.answered.pop_front();
        }
        self.answered.push_back(id.to_owned());
        true
    }

    /// Notes whether an answer could be delivered. One that could not may be sent again.
    pub(crate) fn end_answer(&mut self, id: &str, delivered: bool) {
        if delivered {
            self.questions.remove(id);
        } else {
            self.answered.retain(|answered| answered != id);
        }
    }

    /// Forgets streams that nobody will resume, and questions that nobody will answer, which it
    /// gives.
    pub(crate) fn prune(&mut self, age: Duration) -> Vec<String> {
        let now = Instant::now();
        if let Some(by) = now.checked_sub(age) {
            self.streams.retain(|_, log| !log.is_over(by));
        }
        if let Some(log) = &self.standalone {
            log.forget_sent(age);
        }
        // Deadlines do not rest for ever for a client that is gone, or never answers.
        let forgotten = self.forget(|asked| {
            let open = asked.since.elapsed();
            open >= MAX_QUESTION_AGE || (open >= age && !asked.log.is_attached())
        });
        if self.questions.is_empty() {
            self.answered.clear();
        }
        forgotten
    }

    /// Forgets some questions, and gives their ids.
    fn forget(&mut self, which: impl Fn(&Asked) -> bool) -> Vec<String> {
        self.questions.extract_if(|_, asked| which(asked)).map(|(id, _)| id).collect()
    }

    /// Whether nothing is left that is worth keeping.
    pub(crate) fn is_over(&self) -> bool {
        self.calls.is_empty()
            && self.questions.is_empty()
            && self.answered.is_empty()
            && self.standalone.is_none()
            && self.streams.is_empty()
            && self.task_tokens.is_empty()
            && self.listening.is_none()
            && self.early.is_empty()
            && self.awaited.is_empty()
    }
}

impl InFlight {
    /// What the client calls it.
    pub(crate) fn client_id(&self) -> &IdKey {
        self.alias.as_ref().map_or(&self.id, |doubled| &doubled.client_id)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let unanswered = self.session.with_activity(|activity| {
            activity.calls.remove(&self.id);
            if let Some(listening) = &mut activity.listening {
                listening.called = Some(Instant::now());
            }
            let unanswered = if activity.questions.is_empty() {
                Vec::new()
            } else {
                // Nobody waits any more for what this call has asked.
                activity.forget(|asked| asked.call.as_ref() == Some(&self.id))
            };
            if activity.calls.is_empty()
                && let Some(calm) = activity.calm.take()
            {
                calm.notify_one();
            }
            unanswered
        });
        self.session.forget_questions(unanswered);
    }
}
