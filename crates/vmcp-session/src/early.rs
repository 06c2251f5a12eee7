//! What a backend asks as soon as it is told that its session is set, before it is sent a call.
//!
//! Servers ask for the client's roots then, and what they do in the first call depends on them. So the
//! questions go to the client, on its GET stream or on the stream of the call for which the session
//! was opened, and that call is sent when they have been answered. All of it is bounded: a backend
//! or a client that takes its time is not waited for.

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use vmcp_backend::{Backend, Lineage, Session as BackendSession};
use vmcp_core::{BackendSessions as _, Inbound, Question, Ticket};
use vmcp_model::{BackendId, Identity, Method};
use vmcp_wire::{Fault, Id, Message};

use crate::{
    activity::Asked,
    handle::{Entered, Reply},
    log::StreamLog,
    session::Session,
};

/// How long a backend has to ask, if it does not answer a ping before.
const ASKING: Duration = Duration::from_secs(1);

/// How long more questions are waited for behind the first, or behind the answer to the ping where
/// that travels another way.
const MORE: Duration = Duration::from_millis(20);

/// Questions that are kept for the first call.
const QUESTIONS: usize = 16;

/// How long the first call waits for the client's answers.
const ANSWERING: Duration = Duration::from_secs(3);

/// A backend that may ask before it is sent the first call.
#[derive(Debug)]
pub(crate) struct Early {
    backend: BackendId,
    lineage: Lineage,
    /// Held by each question that is put to the client meanwhile.
    awaited: Option<mpsc::Sender<()>>,
    /// Those that wait for a stream on which to go to the client.
    questions: Vec<Waiting>,
}

/// What comes of the first call on a backend session before it is sent.
pub(crate) enum First {
    /// It goes on behind what the backend has asked.
    Answered(Reply),
    /// It may be sent.
    GoOn(Entered),
}

/// A question, and the backend session on which it was asked.
type Waiting = (BackendSession, Question);

impl Early {
    fn is_of(&self, backend: &Backend) -> bool {
        self.lineage == backend.lineage() && self.backend == *backend.id()
    }
}

impl Session {
    /// Begins to hear a backend on a session that has just been opened, if that is wanted, and lets it
    /// ask. A server deals with one message after the other: what it asks at once comes before its
    /// answer to a ping.
    ///
    /// Over HTTP a client that holds no stream cannot be asked outside of a call, here as directly.
    pub(crate) async fn hear_first(&self, backend: &Arc<Backend>, open: &BackendSession) {
        if !self.capabilities.roots || open.is_stateless() {
            return self.hear(backend, open).await;
        }
        // Before anybody listens: what is heard at once is to be waited for, too.
        let (awaited, mut answered) = mpsc::channel(1);
        let (id, lineage) = (backend.id().clone(), backend.lineage());
        let early = Early { backend: id, lineage, awaited: Some(awaited), questions: Vec::new() };
        self.with_activity(|activity| activity.early.push(early));
        self.hear(backend, open).await;
        let has_link = backend.identity().is_none() && open.holder().is_none();
        let listens = self.listens_to(backend);
        if listens {
            // Whatever it answers, it has had its say.
            let _answer = timeout(ASKING, backend.ask(open, Method::Ping, None)).await;
            match has_link {
                // The questions came before it, and may still be on their way to the client.
                true => _ = timeout(ASKING, backend.until_heard(open)).await,
                false => tokio::time::sleep(MORE).await,
            }
        }
        self.with_activity(|activity| activity.early.retain(|early| !early.is_of(backend)));
        if listens {
            // Closed when the last question has been answered, or taken back.
            let _late = timeout(ANSWERING, answered.recv()).await;
        } else if has_link {
            let questions = self.asked_early(backend, open).await;
            self.keep_early(backend, open, questions);
        }
    }

    /// What is to be held by a question that comes before the first call.
    pub(crate) fn awaited(&self, backend: &Backend) -> Option<mpsc::Sender<()>> {
        self.with_activity(|activity| {
            activity.early.iter().find(|early| early.is_of(backend))?.awaited.clone()
        })
    }

    /// Hears what a backend asks at once, where nobody listens.
    async fn asked_early(&self, backend: &Arc<Backend>, open: &BackendSession) -> Vec<Question> {
        let mut questions = Vec::new();
        let Ok(Some(mut stream)) = backend.listen(open).await else { return questions };
        let ping = backend.ask(open, Method::Ping, None);
        tokio::pin!(ping);
        let (mut pinged, mut until) = (false, Instant::now() + ASKING);
        loop {
            if Instant::now() >= until || questions.len() >= QUESTIONS {
                return questions;
            }
            let message = tokio::select! {
                biased;
                message = stream.next() => message,
                _answer = &mut ping, if !pinged => {
                    pinged = true;
                    until = Instant::now();
                    continue;
                }
                () = sleep_until(until) => return questions,
            };
            // That it has ended is seen by whoever uses it.
            let Ok(Some(message)) = message else { return questions };
            match vmcp_core::receive(backend, open, self.capabilities, message).await {
                Some(Inbound::Asks(question)) => {
                    questions.push(question);
                    until = until.min(Instant::now() + MORE);
                }
                Some(Inbound::ListChanged) => self.note_lists_changed(backend),
                // The client has no stream for it.
                Some(Inbound::Notice(_) | Inbound::Response(_)) | None => {}
            }
        }
    }

    /// Keeps questions for the call for which the session was opened. If there is none, nobody is
    /// there to answer them.
    fn keep_early(&self, backend: &Arc<Backend>, open: &BackendSession, questions: Vec<Question>) {
        if questions.is_empty() {
            return;
        }
        let questions = questions.into_iter().map(|question| (open.clone(), question)).collect();
        let (id, lineage) = (backend.id().clone(), backend.lineage());
        let early = Early { backend: id, lineage, awaited: None, questions };
        self.with_activity(|activity| activity.early.push(early));
        let (me, backend) = (self.me.clone(), Arc::clone(backend));
        self.shared.background.spawn_until_stop(async move {
            tokio::time::sleep(ANSWERING).await;
            let Some(session) = me.upgrade() else { return };
            for (open, question) in session.take_early(&backend) {
                session.refuse(&backend, &open, &question, "the client has no stream open");
            }
        });
    }

    fn take_early(&self, backend: &Backend) -> Vec<Waiting> {
        self.with_activity(|activity| {
            let taken = activity
                .early
                .extract_if(.., |early| early.is_of(backend) && !early.questions.is_empty());
            taken.flat_map(|early| early.questions).collect()
        })
    }

    /// Opens the backend session for the first call on it. What the backend asks at once is put to
    /// the client on the stream of the call, which then is the reply.
    pub(crate) async fn first_call(
        self: &Arc<Self>,
        identity: &Identity,
        message: &Message,
        backend: &Arc<Backend>,
        log: Option<&Arc<StreamLog>>,
        entered: Entered,
    ) -> Result<First, Fault> {
        let (_, ticket) = &entered;
        let opened = tokio::select! {
            biased;
            opened = self.obtain(backend) => opened.map_err(|error| error.fault(backend.id())),
            fault = ticket.call().fired() => Err(fault),
        };
        opened.inspect_err(|fault| ticket.note_failure_at(backend, fault))?;
        if ticket.call().is_cancelled() {
            // Nothing has been sent.
            return Err(Fault::Cancelled);
        }
        let questions = self.take_early(backend);
        if questions.is_empty() {
            return Ok(First::GoOn(entered));
        }
        if let Some(log) = log {
            self.put_early(backend, questions, log, ticket).await?;
            return Ok(First::GoOn(entered));
        }
        let log = self.new_stream();
        let stream = self.attach(&log, None);
        let (session, backend) = (Arc::clone(self), Arc::clone(backend));
        let going_on =
            session.go_on(identity.clone(), message.clone(), backend, questions, log, entered);
        self.shared.background.tasks().spawn(going_on);
        Ok(First::Answered(Reply::Stream(stream)))
    }

    /// Sends the first call when the client has answered. Its type is named, for it is a part of
    /// itself: the call is taken as any other.
    fn go_on(
        self: Arc<Self>,
        identity: Identity,
        message: Message,
        backend: Arc<Backend>,
        questions: Vec<Waiting>,
        log: Arc<StreamLog>,
        entered: Entered,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let asked = self.put_early(&backend, questions, &log, &entered.1).await;
            match asked {
                Ok(()) => {
                    let reply = self.send_again(&identity, &message, &log, entered).await;
                    self.put_reply(&message, reply, &log).await;
                }
                // The specification wants no response to a cancelled request.
                Err(Fault::Cancelled) => {}
                Err(fault) => {
                    let id = message.id().map(|id| id.text().to_vec()).unwrap_or_default();
                    log.fail(Id::parse(&id), &fault);
                }
            }
            log.finish();
        })
    }

    /// Puts questions to the client, and waits until they have been answered or the call is to end.
    async fn put_early(
        &self,
        backend: &Arc<Backend>,
        questions: Vec<Waiting>,
        log: &Arc<StreamLog>,
        ticket: &Ticket,
    ) -> Result<(), Fault> {
        let (awaited, mut answered) = mpsc::channel::<()>(1);
        for (open, question) in questions {
            let asked = Asked {
                backend: Arc::clone(backend),
                // It was asked before there was a call.
                call: None,
                log: Arc::clone(log),
                since: Instant::now(),
                kept: false,
                _rest: None,
                _awaited: Some(awaited.clone()),
            };
            self.put(backend, &open, question, asked).await;
        }
        drop(awaited);
        tokio::select! {
            _late = timeout(ANSWERING, answered.recv()) => Ok(()),
            fault = ticket.call().fired() => Err(fault),
        }
    }
}
