//! Opens a session on a backend: the legacy era's `initialize`, once the backend is known to need it.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use bytes::Bytes;
use http::HeaderValue;
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, timeout},
};
use vmcp_model::{
    Era, Method, ProtocolVersion,
    raw::{self, Members},
};
use vmcp_wire::{ServerHello, headers::SESSION_ID, reply};

use crate::{
    backend::{Backend, Wire, within},
    config::Timeouts,
    discovery::{INTERNAL_ERROR, Refusal, is_doubtful, is_unknown},
    error::Error,
    health::Sign,
    link::Link,
    secrets::Secrets,
    session::{CLIENT_INFO, ClientView, Facts, Session},
};

/// A session that the backend has given and that nobody holds yet. Dropped, it is ended, so that
/// none is left behind by a handshake that fails late or is given up.
pub(crate) struct Opening {
    given: Option<(Arc<Backend>, Session)>,
    /// The link that it is on.
    link: Option<Arc<Link>>,
    purpose: Purpose,
}

/// What a session is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Use,
    /// Its lists are read, and it is ended.
    Read,
    /// Its lists are read now and then.
    Watch,
}

impl Backend {
    /// Opens a session, within the time that configuration gives. A modern backend has none; what takes
    /// its place costs nothing once it is known that it is one.
    ///
    /// # Errors
    /// If the backend's era or the session cannot be had.
    pub async fn open(self: &Arc<Self>, view: &ClientView) -> Result<Session, Error> {
        self.open_for(view, CLIENT_INFO).await
    }

    /// The same for one client alone, which a legacy backend is told by its own name: `client_info` is
    /// its `Implementation` object. A program that all sessions share is told of no client.
    ///
    /// # Errors
    /// If the backend's era or the session cannot be had.
    pub async fn open_for(
        self: &Arc<Self>,
        view: &ClientView,
        client_info: &[u8],
    ) -> Result<Session, Error> {
        self.open_for_purpose(view, client_info, Purpose::Use).await
    }

    async fn open_for_purpose(
        self: &Arc<Self>,
        view: &ClientView,
        client_info: &[u8],
        purpose: Purpose,
    ) -> Result<Session, Error> {
        let admitted = self.health.admit()?;
        let opened = self.opened(view, client_info, purpose).await;
        admitted.note(Sign::Opening, opened.as_ref().err());
        opened
    }

    /// The same for one on which lists are read and nothing else: who could be asked anything is not
    /// there, so what the backend asks at once is declined.
    ///
    /// # Errors
    /// If the backend's era or the session cannot be had.
    pub async fn open_to_read(
        self: &Arc<Self>,
        view: &ClientView,
        client_info: &[u8],
    ) -> Result<Session, Error> {
        let opened = self.open_for_purpose(view, client_info, Purpose::Read).await;
        if let (Ok(session), Wire::Links(links)) = (&opened, &self.wire) {
            links.decline_early(session);
        }
        opened
    }

    /// Waits for what comes of an opening that somebody has begun.
    ///
    /// # Errors
    /// If it has failed, was given up, or takes too long.
    pub async fn until_opened<T: Clone>(
        &self,
        mut outcome: watch::Receiver<Option<Result<T, Error>>>,
    ) -> Result<T, Error> {
        // Each part of it has a deadline of its own; whoever waits does not rely on that.
        let Timeouts { initialize, idle, .. } = self.timeouts;
        let limit = initialize.saturating_mul(2).saturating_add(idle);
        match timeout(limit, outcome.wait_for(Option::is_some)).await {
            Ok(Ok(opened)) => opened.clone().unwrap_or(Err(Error::SessionLost)),
            Ok(Err(_closed)) => Err(Error::Broken("the opening was given up".to_owned())),
            Err(_elapsed) => Err(Error::Timeout(limit)),
        }
    }

    /// Opens a session to watch the backend with, which is a check of its health. A modern one is asked
    /// what it says about itself to such clients.
    ///
    /// # Errors
    /// If the backend's era or the session cannot be had, or a modern one does not say.
    pub async fn open_to_watch(self: &Arc<Self>, view: &ClientView) -> Result<Session, Error> {
        let admitted = self.health.admit()?;
        let began = Instant::now();
        let mut opened = match self.modern_side_to_watch(view).await {
            Some(session) => Ok(session),
            None => self.opened(view, CLIENT_INFO, Purpose::Watch).await,
        };
        if let (Ok(session), Wire::Links(links)) = (&opened, &self.wire) {
            links.decline_early(session);
        }
        if let Ok(session) = &opened
            && session.is_stateless()
        {
            opened = self.discovered(session, began).await;
        }
        admitted.note(Sign::Check, opened.as_ref().err());
        opened
    }

    /// Before a client of the legacy era has asked for that side, a modern one is watched on its own: who
    /// speaks for nobody need not open a session to find out whether it has both.
    async fn modern_side_to_watch(self: &Arc<Self>, view: &ClientView) -> Option<Session> {
        if self.http().is_none() || self.era_for(Era::Legacy).is_some() {
            return None;
        }
        self.find_modern_side(view).await.ok()?;
        (self.era_for(Era::Modern) == Some(Era::Modern) && self.era_for(Era::Legacy).is_none())
            .then(|| Session::stateless(view, Arc::default()))
    }

    async fn opened(
        self: &Arc<Self>,
        view: &ClientView,
        client_info: &[u8],
        purpose: Purpose,
    ) -> Result<Session, Error> {
        let mut opening = Opening::to(purpose);
        let opened = within(self.timeouts.initialize, async {
            match &self.wire {
                Wire::Links(links) if links.is_shared() => links.join(self, &mut opening).await,
                Wire::Links(_) => {
                    let opened = self.handshake(view, client_info, &mut opening).await;
                    opened.map_err(Unopened::into_error)
                }
                Wire::Http(_) => self.opened_over_http(view, client_info, &mut opening).await,
            }
        });
        let opened = opened.await.map_err(|error| with_reason(error, &opening));
        if opened.is_ok() {
            opening.take();
        }
        match &opened {
            Ok(session) if session.is_stateless() => {}
            Ok(_) => _ = self.stats.sessions_opened.fetch_add(1, Ordering::Relaxed),
            Err(_) => _ = self.stats.failures.fetch_add(1, Ordering::Relaxed),
        }
        opened
    }

    /// A session of a legacy backend, or what takes its place on a modern one.
    async fn opened_over_http(
        self: &Arc<Self>,
        view: &ClientView,
        client_info: &[u8],
        opening: &mut Opening,
    ) -> Result<Session, Error> {
        if view.version().era() == Era::Modern {
            self.find_modern_side(view).await?;
        }
        // Whether a modern one answers `initialize` too is found out once, however many want to know.
        let _finding = match self.era_for(view.version().era()) {
            Some(_) => None,
            None if self.era_for(Era::Modern).is_some() => Some(self.eras.finding.lock().await),
            // Whoever comes before anything is known waits for nobody, and is waited for.
            None => self.eras.finding.try_lock().ok(),
        };
        if let Some(session) = self.stateless(view) {
            return Ok(session);
        }
        // A client of the legacy era would begin in the same way.
        match self.handshake(view, client_info, opening).await {
            Ok(session) => {
                self.note_legacy_side();
                Ok(session)
            }
            Err(Unopened::Refused(error)) => {
                self.look_for_modern_side(view).await;
                self.note_no_legacy_side();
                self.stateless(view).ok_or(error)
            }
            Err(Unopened::Failed(error)) => {
                self.note_no_legacy_side();
                Err(error)
            }
        }
    }

    /// Opens a session and ends it again. `false` if the backend does not take `initialize`.
    pub(crate) async fn try_handshake(self: &Arc<Self>, view: &ClientView) -> Result<bool, Error> {
        // Dropped, it ends the session.
        let mut opening = Opening::to(Purpose::Use);
        match self.handshake(view, CLIENT_INFO, &mut opening).await {
            Ok(_session) => Ok(true),
            Err(Unopened::Refused(_)) => Ok(false),
            Err(Unopened::Failed(error)) => Err(error),
        }
    }

    /// Opens a session of the legacy era. One that is lost at once over HTTP is opened once more: what was behind the
    /// backend's name may have been exchanged between two of its messages.
    pub(crate) async fn handshake(
        self: &Arc<Self>,
        view: &ClientView,
        client_info: &[u8],
        opening: &mut Opening,
    ) -> Result<Session, Unopened> {
        let mut opened = self.shake_hands(view, client_info, opening).await;
        if matches!(opened, Err(Unopened::Failed(Error::SessionLost))) && self.http().is_some() {
            opened = self.shake_hands(view, client_info, opening).await;
        }
        match opened {
            Err(Unopened::Failed(error)) => Err(lost_at_once(error, opening).await.into()),
            opened => opened,
        }
    }

    async fn shake_hands(
        self: &Arc<Self>,
        view: &ClientView,
        client_info: &[u8],
        opening: &mut Opening,
    ) -> Result<Session, Unopened> {
        let params = [
            br#"{"protocolVersion":""#,
            view.legacy_version().name().as_bytes(),
            br#"","clientInfo":"#,
            client_info,
            br#","capabilities":"#,
            view.capabilities_for(Era::Legacy),
            b"}",
        ]
        .concat();
        let (id, text) = self.own_request(Method::Initialize, Some(&params));
        let mut session = Session {
            id: None,
            version: view.legacy_version(),
            facts: Arc::default(),
            capabilities: Bytes::new(),
            opened: Some(Instant::now()),
            subject: view.subject().cloned(),
            far: None,
        };
        let answer = match &self.wire {
            Wire::Http(http) => {
                let response = http.post_first(&session, text).await?;
                // Copied: a header's value would keep the whole buffer alive that it came in.
                let session_id = response.headers().get(SESSION_ID);
                let session_id =
                    session_id.and_then(|id| HeaderValue::from_bytes(id.as_bytes()).ok());
                if session_id.is_some() {
                    let given = Session { id: session_id.clone(), ..session.clone() };
                    opening.given = Some((Arc::clone(self), given));
                }
                // Without the id: a refusal of initialize says nothing about a session.
                let answer = self.judge(&session, response, Some(&id)).await;
                let answer = answer.map_err(|error| match error {
                    Error::Refused { status, .. } if is_doubtful(status) || is_unknown(status) => {
                        Unopened::Refused(error)
                    }
                    error => Unopened::Failed(error),
                })?;
                session.id = session_id;
                answer
            }
            Wire::Links(links) => {
                let (id_of_link, link) = links.connect(opening.purpose, view.subject()).await?;
                session.id = Some(id_of_link);
                opening.given = Some((Arc::clone(self), session.clone()));
                opening.link = Some(link);
                if view.has_roots() {
                    // Asked as soon as it is told that all is set, before a call can be there.
                    links.hold_early(&session);
                }
                links.exchange(&session, text, Some(&id)).await?
            }
        };
        let message = self.own_answer(&session, answer, &id).await?;
        if message.result().is_none() {
            let said = said(self.secrets(), message.text());
            let said = said.unwrap_or_else(|| self.secrets().excerpt(message.text()));
            let error = Error::Protocol(format!("refused initialize: {said}"));
            return Err(match Refusal::read(message.text(), &id).code {
                // It would take it at another time.
                Some(INTERNAL_ERROR) => Unopened::Failed(error),
                Some(_) | None => Unopened::Refused(error),
            });
        }
        let hello = ServerHello::parse(&message).map_err(|why| Error::Protocol(why.to_owned()))?;
        session.version =
            ProtocolVersion::legacy_from_name(&hello.protocol_version).ok_or_else(|| {
                Error::Protocol(format!(
                    "speaks revision {:?}, which vmcp does not",
                    self.secrets().excerpt(hello.protocol_version.as_bytes())
                ))
            })?;
        *self.stats.agreed.lock().unwrap_or_else(PoisonError::into_inner) = Some(session.version);
        session.facts = self.share(Facts::new(hello));
        let initialized = reply::notification(Method::Initialized, None);
        let told = match &self.wire {
            Wire::Http(http) => self.notify_over_http(http, &session, initialized).await,
            Wire::Links(links) => links.tell(&session, initialized).await,
        };
        told?;
        Ok(session)
    }
}

/// Why a handshake came to nothing.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// The backend does not take `initialize`.
    Refused(Error),
    Failed(Error),
}

impl Unopened {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Refused(error) | Self::Failed(error) => error,
        }
    }
}

impl From<Error> for Unopened {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// The message of a JSON-RPC error, and no more of it than is of use.
fn said(secrets: &Secrets, answer: &[u8]) -> Option<String> {
    let error = Members::parse(answer)?.value(answer, "error")?;
    let message = Members::parse(error)?.value(error, "message").and_then(raw::as_string)?;
    Some(secrets.excerpt(message.as_bytes())).filter(|message| !message.is_empty())
}

/// A session that is lost before it has begun is no session that was lost.
async fn lost_at_once(error: Error, opening: &Opening) -> Error {
    if !matches!(error, Error::SessionLost) {
        return error;
    }
    let ended = match &opening.link {
        Some(link) => link.ended_at_once().await,
        None => None,
    };
    let gave_up = || Error::Protocol("gave up the session that had just been opened".to_owned());
    ended.unwrap_or_else(gave_up)
}

/// A program that takes too long has often said why.
fn with_reason(error: Error, opening: &Opening) -> Error {
    let Error::Timeout(after) = error else { return error };
    match opening.link.as_ref().and_then(|link| link.said()) {
        Some(said) => Error::NotReady { after, said },
        None => error,
    }
}

impl Opening {
    /// Of which there is nothing to end yet.
    pub(crate) fn to(purpose: Purpose) -> Self {
        Self { given: None, link: None, purpose }
    }

    /// Notes that somebody holds the session.
    pub(crate) fn take(&mut self) {
        self.given = None;
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        let (Some((backend, session)), Ok(runtime)) = (self.given.take(), Handle::try_current())
        else {
            return;
        };
        let tasks = backend.tasks.clone();
        tasks.spawn_on(
            async move {
                if let Err(error) = backend.close(&session).await {
                    tracing::debug!(backend = %backend.id(), %error, "could not end a session that was not taken");
                }
            },
            &runtime,
        );
    }
}
