//! The backend sessions for one request of a client that has none of its own.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use vmcp_backend::{Backend, Error, Session};
use vmcp_model::LogLevel;
use vmcp_wire::IdKey;

use crate::{
    background::Background,
    caller::{BackendSessions, Pending},
    send::cancel,
    view::View,
};

/// Backend sessions that are there for one request. A modern backend needs none; on a legacy one a new
/// one is opened, which ends with the request, and the request with it if nobody waits any more.
pub struct Lent {
    view: Arc<View>,
    request: IdKey,
    /// The least severe log message that the client wants.
    level: Option<LogLevel>,
    background: Background,
    open: Mutex<Vec<(Arc<Backend>, Session)>>,
    answered: AtomicBool,
}

/// A session that is being opened. If nobody waits for it any more the opening is gone through with all
/// the same and the session ended: the backend may have made it, and only its answer says which it is.
struct Opening {
    backend: Arc<Backend>,
    /// `None` once it is done.
    work: Option<Pending<'static, Result<Session, Error>>>,
    background: Background,
}

impl Lent {
    pub(crate) fn new(
        view: Arc<View>,
        request: IdKey,
        level: Option<LogLevel>,
        background: Background,
    ) -> Self {
        let (open, answered) = (Mutex::default(), AtomicBool::new(false));
        Self { view, request, level, background, open, answered }
    }

    /// Notes that the request has been answered: nothing is to be cancelled when this is dropped.
    pub fn answered(&self) {
        self.answered.store(true, Ordering::Relaxed);
    }

    async fn opened(&self, backend: &Arc<Backend>) -> Result<Session, Error> {
        let session = self.begin(backend).await?;
        if session.is_stateless() {
            return Ok(session);
        }
        self.sessions().push((Arc::clone(backend), session.clone()));
        if let Some(level) = self.level.filter(|_| session.facts().has.logging) {
            let params = level_params(level);
            if let Err(error) = backend.ask(&session, "logging/setLevel", Some(&params)).await {
                tracing::debug!(backend = %backend.id(), %error, "could not pass the log level on");
            }
        }
        Ok(session)
    }

    fn begin(&self, backend: &Arc<Backend>) -> Opening {
        let (backend, client) = (Arc::clone(backend), self.view.client().clone());
        let opening = Arc::clone(&backend);
        let work: Pending<'static, _> = Box::pin(async move { opening.open(&client).await });
        Opening { backend, work: Some(work), background: self.background.clone() }
    }

    fn sessions(&self) -> MutexGuard<'_, Vec<(Arc<Backend>, Session)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BackendSessions for Lent {
    fn open(&self, backend: &Backend) -> Option<Session> {
        backend.stateless(self.view.client()).or_else(|| {
            let open = self.sessions();
            let found = open.iter().find(|(other, _)| other.lineage() == backend.lineage());
            found.map(|(_, session)| session.clone())
        })
    }

    fn obtain<'a>(&'a self, backend: &'a Arc<Backend>) -> Pending<'a, Result<Session, Error>> {
        Box::pin(self.opened(backend))
    }

    fn renew<'a>(
        &'a self,
        backend: &'a Arc<Backend>,
        lost: &'a Session,
    ) -> Pending<'a, Result<Session, Error>> {
        self.sessions().retain(|(_, open)| open.id() != lost.id());
        Box::pin(self.opened(backend))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let open = std::mem::take(&mut *self.sessions());
        let answered = self.answered.load(Ordering::Relaxed);
        for (backend, session) in open {
            let request = self.request.clone();
            self.background.spawn(async move {
                if !answered {
                    cancel(&backend, &session, &request).await;
                }
                if let Err(error) = backend.close(&session).await {
                    tracing::debug!(backend = %backend.id(), %error, "a session for one request could not be ended");
                }
            });
        }
    }
}

impl Future for Opening {
    type Output = Result<Session, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let opened = work.as_mut().poll(context);
        if opened.is_ready() {
            self.work = None;
        }
        opened
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        let backend = Arc::clone(&self.backend);
        self.background.spawn_until_stop(async move {
            if let Ok(unwanted) = work.await
                && let Err(error) = backend.close(&unwanted).await
            {
                tracing::debug!(backend = %backend.id(), %error, "a session that nobody waits for could not be ended");
            }
        });
    }
}

/// The parameters of `logging/setLevel`.
pub fn level_params(level: LogLevel) -> Vec<u8> {
    format!("{{\"level\":\"{level}\"}}").into_bytes()
}
