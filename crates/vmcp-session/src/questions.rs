//! What backends ask the client, and its answers, which may come to any replica.
//!
//! An open question stands in the session's record. Whoever takes it out there delivers the answer,
//! so that it is delivered once however often and wherever it is sent.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use vmcp_backend::{Backend, Error, Session as BackendSession};
use vmcp_core::Question;
use vmcp_model::Digest;
use vmcp_store::{News, SessionKey};
use vmcp_wire::{Fault, Message, split_question_id, task};

use crate::{
    activity::Asked,
    session::Session,
    sessions::{Shared, unavailable},
    stream::RESUME,
};

/// How often it is tried to take a question out of the record, and the pause between.
const FORGETTING: usize = 60;
const AGAIN: Duration = Duration::from_secs(1);

impl Session {
    /// Delivers the client's answer to a question, once, to the backend that asked.
    pub(crate) async fn answer(self: &Arc<Self>, message: &Message) -> Result<(), Fault> {
        let unknown =
            || Fault::InvalidRequest("the response answers no request that was sent".into());
        let Some(id) = message.id() else {
            tracing::debug!("dropped an error of the client that answers no request");
            return Ok(());
        };
        let id = id.as_string().ok_or_else(unknown)?.into_owned();
        let (backend, original) = split_question_id(&id).ok_or_else(unknown)?;
        // The one that has asked, though another may have taken its place.
        let here = self.with_activity(|activity| {
            activity.questions.get(&id).map(|asked| (Arc::clone(&asked.backend), asked.kept))
        });
        let found = here.as_ref().map(|(backend, _)| Arc::clone(backend));
        let found = found.or_else(|| self.shared.vmcp.backend(backend)).ok_or_else(unknown)?;
        // Before the question is taken: who cannot deliver the answer must leave it to others.
        let open = match self.existing(&found).await {
            Ok(open) => open,
            Err(error) => return accepted(&found, Err(error)),
        };
        let Some(open) = open else {
            // Who has asked is gone, so nobody waits for it any more.
            if here.is_some() {
                self.with_activity(|activity| activity.end_answer(&id, true));
                self.forget_questions([id]);
            }
            return Ok(());
        };
        let mut taken = true;
        match self.shared.store.answer(self.key, name(&id)).await {
            Ok(true) => {}
            // What could not be kept in the record is known here only.
            Ok(false) if here.as_ref().is_some_and(|(_, kept)| !kept) => {}
            // It has been answered, or nobody waits for it any more.
            Ok(false) => return Ok(()),
            // Delivered now; taken out of the record when that can be reached.
            Err(_) if here.is_some() => taken = false,
            Err(error) => return Err(unavailable(error)),
        }
        if !self.with_activity(|activity| activity.begin_answer(&id)) {
            return Ok(());
        }
        let text = task::unpublish(&message.with_id(original.as_bytes()), backend);
        let told = found.tell(&open, text).await;
        if let Err(error) = &told
            && error.is_final()
        {
            Box::pin(self.refused(&found, &open, id, error)).await;
            return Ok(());
        }
        // Who has asked on a session that is lost waits no more, and neither does a call for that.
        let is_over = matches!(told, Ok(()) | Err(Error::SessionLost));
        self.with_activity(|activity| activity.end_answer(&id, is_over));
        if is_over {
            if !taken {
                self.forget_questions([id]);
            } else if here.is_none() {
                self.shared.tell(News::Answered { key: self.key, question: name(&id) }).await;
            }
        } else if let Err(error) = self.shared.store.ask(self.key, name(&id)).await {
            // It may be sent again.
            tracing::debug!(%error, "could not put back a question whose answer was not delivered");
        }
        accepted(&found, told)
    }

    /// Ends the call whose question was answered in a way that its backend refuses: it would wait in
    /// vain. Its error says why.
    async fn refused(
        &self,
        backend: &Arc<Backend>,
        open: &BackendSession,
        id: String,
        error: &Error,
    ) {
        tracing::warn!(backend = %backend.id(), %error, "the backend does not take the answer to its question; its call is ended");
        let call = self.with_activity(|activity| activity.refuse_answer(&id));
        self.forget_questions([id]);
        if let Some((call, signal)) = call {
            signal.fail(error.fault(backend.id()));
            let text = call.cancellation("the answer to its question was refused");
            if let Err(error) = backend.tell(open, text).await {
                tracing::debug!(backend = %backend.id(), %error, "could not tell of a cancellation");
            }
        }
    }

    /// Notes that a question has been answered on another replica.
    pub(crate) fn note_answered(&self, question: Digest) {
        self.with_activity(|activity| {
            activity.questions.retain(|id, _| name(id) != question);
        });
    }

    /// Takes questions out of the record that nobody waits for any more: an answer that still comes
    /// must not be delivered. While the store is out of reach, it is tried again for a while.
    pub(crate) fn forget_questions(&self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            let background = &self.shared.background;
            background.spawn(forget(Arc::clone(&self.shared), self.key, name(&id)));
        }
    }

    /// Forgets what nobody will ask for any more.
    pub(crate) fn forget_old(&self) {
        let questions = self.with_activity(|activity| activity.prune(RESUME));
        self.forget_questions(questions);
    }

    /// Puts a question to the client on its GET stream.
    pub(crate) async fn put_on_stream(
        &self,
        backend: &Arc<Backend>,
        open: &BackendSession,
        question: Question,
    ) {
        let log = self.with_activity(|activity| activity.standalone.clone());
        let Some(log) = log.filter(|log| log.is_attached()) else {
            self.refuse(backend, open, &question, "the client has no stream open");
            return;
        };
        let asked = Asked {
            backend: Arc::clone(backend),
            call: None,
            log,
            since: Instant::now(),
            kept: false,
            _rest: None,
            _awaited: self.awaited(backend),
        };
        self.put(backend, open, question, asked).await;
    }

    /// Puts a question to the client, on the stream that is to carry it.
    pub(crate) async fn put(
        &self,
        backend: &Arc<Backend>,
        open: &BackendSession,
        question: Question,
        mut asked: Asked,
    ) {
        let log = Arc::clone(&asked.log);
        self.await_asked(backend, open, &question);
        // Before the client can answer: any replica may get the answer.
        match self.shared.store.ask(self.key, name(&question.id)).await {
            Ok(kept) => asked.kept = kept,
            // An answer that comes here will do.
            Err(error) => tracing::debug!(%error, "could not keep a question in the store"),
        }
        let why = if !self.with_activity(|activity| activity.ask(question.id.clone(), asked)) {
            "the client has too many questions open"
        } else if !log.append(&question.text) {
            self.with_activity(|activity| activity.end_answer(&question.id, true));
            "there is no room for it"
        } else {
            return;
        };
        self.forget_questions([question.id.clone()]);
        self.refuse(backend, open, &question, why);
    }

    /// Tells a backend that its question will not be answered.
    pub(crate) fn refuse(
        &self,
        backend: &Arc<Backend>,
        open: &BackendSession,
        question: &Question,
        why: &'static str,
    ) {
        let (backend, open, text) = (Arc::clone(backend), open.clone(), question.refusal(why));
        self.shared.background.spawn(async move {
            if let Err(error) = backend.tell(&open, text).await {
                tracing::debug!(backend = %backend.id(), %error, "could not refuse a question");
            }
        });
    }
}

/// What a client is told whose message has no response, when that has gone to a backend or could not.
/// vmcp has taken it, which is all that the status says: clients of official SDKs end their session at any
/// other, and cannot know of a backend that is away.
pub(crate) fn accepted(backend: &Backend, told: Result<(), Error>) -> Result<(), Fault> {
    let Err(error) = told else { return Ok(()) };
    match error.fault(backend.id()) {
        // Another replica, or this one in a moment, can take it.
        fault @ (Fault::Unavailable(_) | Fault::SessionUnknown) => Err(fault),
        _ => {
            tracing::debug!(backend = %backend.id(), %error, "could not pass on what has no response");
            Ok(())
        }
    }
}

/// Takes a question out of a record.
async fn forget(shared: Arc<Shared>, key: SessionKey, question: Digest) {
    for _attempt in 0..FORGETTING {
        let Err(error) = shared.store.answer(key, question).await else { return };
        tracing::debug!(%error, "could not take a question out of the store");
        let stop = shared.background.stop();
        if stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
            return;
        }
    }
}

/// What the store calls a question.
fn name(id: &str) -> Digest {
    Digest::of(id.as_bytes())
}
