//! The backend sessions that one request of a modern client uses: it has none of its own.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use vmcp_backend::{Backend, Error, Lineage, Session};
use vmcp_catalog::Catalog;
use vmcp_model::{Digest, LogLevel};
use vmcp_wire::Fault;

use crate::{
    call::cancel,
    caller::{BackendSessions, Pending},
    inbound::Question,
    kept::{Alias, Borrower, Kept, Unread, Using},
    view::View,
};

/// Why a backend's question is refused.
const REFUSAL: &str = "the client speaks the revision 2026-07-28, in which this backend cannot ask it anything through vmcp yet";

/// Backend sessions for one request. A modern backend needs none; on a legacy one a kept session is
/// used, or one that is there for this request only.
pub struct Lent {
    kept: Arc<Kept>,
    view: Arc<View>,
    borrower: Borrower,
    /// Worked out where it is needed.
    name: OnceLock<Name>,
    /// The least severe log message that the client wants.
    level: Option<LogLevel>,
    state: Mutex<State>,
}

/// How a request goes by on kept sessions.
struct Name {
    /// Which of them is used. `None`: one of its own.
    key: Option<Digest>,
    alias: Alias,
}

struct State {
    used: Option<Using>,
    end: End,
}

/// How a request ends.
enum End {
    /// Nobody waits for it any more.
    Left,
    Answered,
    /// Its backend knows that it has failed, or never knew of it.
    Failed,
    /// Its backend has asked what cannot be asked.
    Asked(Question),
}

impl Lent {
    pub(crate) fn new(
        kept: Arc<Kept>,
        view: Arc<View>,
        borrower: Borrower,
        level: Option<LogLevel>,
    ) -> Self {
        let state = Mutex::new(State { used: None, end: End::Left });
        Self { kept, view, borrower, name: OnceLock::new(), level, state }
    }

    /// Notes that the request has been answered: nothing is to be cancelled when this is dropped.
    pub fn answered(&self) {
        self.state().end = End::Answered;
    }

    /// Notes that the request has failed, which its backend knows if it knew of the request.
    pub fn failed(&self) {
        self.state().end = End::Failed;
    }

    /// Takes in that a backend has said, while the request ran, that its lists have changed.
    pub fn note_lists_changed(&self, backend: &Backend) {
        match &self.state().used {
            Some(using) => using.note_lists_changed(),
            // It has no session.
            None => self.kept.refresh(backend, self.view.client()),
        }
    }

    /// What the client is shown.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.kept.shown(&self.view, || self.name().key).catalog
    }

    /// Lists of the client's own that have changed and are not read yet: those of the backend that the
    /// request has gone to, or all before it goes to one.
    pub fn unread(&self) -> Option<Unread> {
        if !self.kept.lists_anything() {
            return None;
        }
        let state = self.state();
        let backend = state.used.as_ref().map(|using| using.backend().id());
        self.kept.unread(|| self.name().key, backend)
    }

    /// Takes a question that came while the request ran, which its client cannot be asked. Gives what
    /// the client is told in place of an answer. `None` if another call may have asked: the question is
    /// declined then, and this one goes on.
    pub fn asked(&self, is_its_own: bool, question: Question) -> Option<Fault> {
        let mut state = self.state();
        let Some(using) = &state.used else {
            // One of the modern era has another way to ask.
            let reason = format!("asked for {} on the stream of a call", question.method_name);
            let backend = question.backend.to_string();
            return Some(Fault::Backend { backend, reason: reason.into() });
        };
        let backend = using.backend();
        if !is_its_own && !using.is_alone() {
            let (backend, session) = (Arc::clone(backend), using.session().clone());
            self.kept
                .background()
                .spawn(async move { refuse(&backend, &session, &question).await });
            return None;
        }
        let what = &question.method_name;
        let reason = format!(
            "asks for {what} in mid-call, which a client of the revision 2026-07-28 cannot be asked by a backend of an older revision through vmcp yet; the call was cancelled; a client that begins with initialize (revision 2025-11-25) can be asked"
        );
        let fault = Fault::Backend { backend: backend.id().to_string(), reason: reason.into() };
        state.end = End::Asked(question);
        Some(fault)
    }

    fn name(&self) -> &Name {
        let client = self.view.client();
        let make = || Name { key: self.kept.key(&self.borrower, client), alias: self.kept.alias() };
        self.name.get_or_init(make)
    }

    fn take(&self, lineage: Lineage) -> Option<Using> {
        self.state().used.take_if(|using| using.backend().lineage() == lineage)
    }

    fn use_now(&self, using: Using) -> Session {
        let session = using.session().clone();
        if !session.is_stateless() {
            self.state().used = Some(using);
        }
        session
    }

    async fn obtained(&self, backend: &Arc<Backend>) -> Result<Session, Error> {
        backend.find_modern_side(self.view.client()).await?;
        if let Some(session) = backend.stateless(self.view.client()) {
            return Ok(session);
        }
        let client = self.view.client();
        let using = self.kept.obtain(self.name().key, backend, client, self.level).await?;
        Ok(self.use_now(using))
    }

    async fn renewed(&self, backend: &Arc<Backend>) -> Result<Session, Error> {
        match self.take(backend.lineage()) {
            Some(using) => {
                let using = using.renewed(backend, self.level).await?;
                Ok(self.use_now(using))
            }
            // It was a modern one.
            None => self.obtained(backend).await,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BackendSessions for Lent {
    fn open(&self, backend: &Backend) -> Option<Session> {
        if let Some(session) = backend.stateless(self.view.client()) {
            return Some(session);
        }
        let using = self.kept.at_hand(self.name().key.as_ref()?, backend, self.level)?;
        Some(self.use_now(using))
    }

    fn obtain<'a>(&'a self, backend: &'a Arc<Backend>) -> Pending<'a, Result<Session, Error>> {
        Box::pin(self.obtained(backend))
    }

    fn renew<'a>(
        &'a self,
        backend: &'a Arc<Backend>,
        _lost: &'a Session,
    ) -> Pending<'a, Result<Session, Error>> {
        Box::pin(self.renewed(backend))
    }

    fn alias(&self) -> Option<&Alias> {
        Some(&self.name().alias)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(using) = state.used.take() else { return };
        let question = match std::mem::replace(&mut state.end, End::Answered) {
            End::Answered => return,
            End::Failed => return using.spoil(),
            End::Left => None,
            End::Asked(question) => Some(question),
        };
        using.spoil();
        let id = self.name().alias.id.clone();
        self.kept.background().spawn(async move {
            // The session may end with this use of it.
            cancel(using.backend(), using.session(), &id).await;
            // Not before: told that nobody answers, the call may be about to end by itself, and a
            // cancellation at that moment is the end of the whole session with widespread servers.
            if let Some(question) = question {
                refuse(using.backend(), using.session(), &question).await;
            }
        });
    }
}

/// Tells a backend that nobody will answer its question.
async fn refuse(backend: &Arc<Backend>, session: &Session, question: &Question) {
    if let Err(error) = backend.tell(session, question.refusal(REFUSAL)).await {
        tracing::debug!(backend = %backend.id(), %error, "could not decline what the backend asked");
    }
}

/// The parameters of `logging/setLevel`.
pub fn level_params(level: LogLevel) -> Vec<u8> {
    format!("{{\"level\":\"{level}\"}}").into_bytes()
}
