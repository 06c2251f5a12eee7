//! Sends a routed request, again where that is safe, and begins to read the answer.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use vmcp_backend::{Answer, Backend, Body, Error, Session};
use vmcp_model::Mirror;
use vmcp_wire::{Fault, IdKey, error::URL_REQUIRED};

use crate::{
    call::CallStream,
    caller::Caller,
    eras::{Finished, Written},
    lost::{error_of, may_be_lost, requires_url},
    relay::{Read, Relay},
    route::Routed,
    vmcp::{Reply, Vmcp},
};

/// The code by which a modern backend refuses a request for its headers.
const HEADER_MISMATCH: i64 = -32020;

impl Vmcp {
    /// Sends a routed request. If the backend has lost the caller's session, a new one is opened
    /// and the request sent again, once: the loss proves that it did not run.
    pub async fn send(
        &self,
        caller: &Caller<'_>,
        routed: Routed<'_>,
        id: &IdKey,
    ) -> Result<Reply, Fault> {
        let backend = &routed.backend;
        let told = |error: Error| error.fault(backend.id());
        let mut session = match caller.sessions.open(backend) {
            Some(session) => session,
            None => caller.sessions.obtain(backend).await.map_err(told)?,
        };
        let mut lost = false;
        let mut sent;
        let answer = loop {
            let written = routed.written(caller, &session)?;
            sent = Instant::now();
            let id = known_by(caller, &session, id);
            let answer = post(backend, &session, written, id).await;
            if matches!(answer, Err(Error::SessionGone { .. })) {
                // The next call finds another session; this one is not sent again.
                let _renewed = Box::pin(caller.sessions.renew(backend, &session)).await;
                self.refresh(backend.id());
                break answer;
            }
            if lost || !matches!(answer, Err(Error::SessionLost)) {
                break answer;
            }
            // Some servers answer a method that they do not know as if they did not know the session.
            if routed.is_foreign && Box::pin(backend.check(&session)).await.is_ok() {
                return Err(routed.unknown_method());
            }
            lost = true;
            session = caller.sessions.renew(backend, &session).await.map_err(told)?;
            self.refresh(backend.id());
        };
        let known = known_by(caller, &session, id);
        let reply = self.reply(caller, &routed, &session, (answer, sent), known).await?;
        if matches!(reply, Reply::Refused { code: HEADER_MISMATCH, .. }) && session.is_stateless() {
            return Box::pin(self.send_anew(caller, &routed, &session, id)).await;
        }
        let Some(error) = error_of(&reply, &session) else { return Ok(reply) };
        if !lost
            && may_be_lost(error)
            && let Some(healed) = Box::pin(self.heal(caller, &routed, &session, id)).await?
        {
            return Ok(healed);
        }
        let requires_url = requires_url(error);
        Ok(match reply {
            Reply::Ready(text) if requires_url => Reply::Refused { text, code: URL_REQUIRED },
            reply => reply,
        })
    }

    /// Sends a request on this session, whatever comes of it.
    pub(crate) async fn send_once(
        &self,
        caller: &Caller<'_>,
        routed: &Routed<'_>,
        session: &Session,
        id: &IdKey,
    ) -> Result<Reply, Fault> {
        let (written, sent) = (routed.written(caller, session)?, Instant::now());
        let known = known_by(caller, session, id);
        let answer = post(&routed.backend, session, written, known).await;
        self.reply(caller, routed, session, (answer, sent), known).await
    }

    /// Sends a request again that a modern backend has refused for its headers, with those that the
    /// tool asks for now. Without such, or if it is refused again, something is wrong between vmcp
    /// and the backend.
    async fn send_anew(
        &self,
        caller: &Caller<'_>,
        routed: &Routed<'_>,
        session: &Session,
        id: &IdKey,
    ) -> Result<Reply, Fault> {
        let backend = &routed.backend;
        let told = |error: Error| error.fault(backend.id());
        let wrong = || {
            let why = "refuses the headers that go with the request; see whether it lists what it asks for";
            told(Error::Protocol(why.to_owned()))
        };
        self.refresh(backend.id());
        let offer = backend.offer(session).await.map_err(told)?.offer;
        let name = routed.target.as_deref().unwrap_or_default();
        let tool = offer.tools.iter().find(|tool| tool.key() == name).ok_or_else(wrong)?;
        let mirrors = Mirror::of_tool(tool.json()).map_err(|_invalid| wrong())?;
        let mut written = routed.written(caller, session)?;
        if let Some(lines) = &mut written.lines {
            routed.mirror(&mirrors, lines);
        }
        let sent = Instant::now();
        let answer = post(backend, session, written, id).await;
        match self.reply(caller, routed, session, (answer, sent), id).await? {
            Reply::Refused { code: HEADER_MISMATCH, .. } => Err(wrong()),
            reply => Ok(reply),
        }
    }

    /// The reply to the client out of the beginning of an answer to what was sent at this time.
    async fn reply(
        &self,
        caller: &Caller<'_>,
        routed: &Routed<'_>,
        session: &Session,
        (answer, sent): (Result<Answer, Error>, Instant),
        id: &IdKey,
    ) -> Result<Reply, Fault> {
        let backend = &routed.backend;
        let told = |error: Error| error.fault(backend.id());
        let finish = routed.finish(caller, session, &self.states, self.server_info());
        let text = match answer {
            Ok(Answer::Whole(body)) => {
                match begin(backend, session, body, id).await.map_err(told)? {
                    Read::Whole(text) => text,
                    Read::Under(relay) if finish.is_relay() => return Ok(Reply::Relay(relay)),
                    Read::Under(relay) => {
                        relay.collect(backend.limits().event_bytes, self.budget()).await?
                    }
                }
            }
            Ok(Answer::Ready(text)) => text,
            Ok(Answer::Events(events)) => {
                return Ok(Reply::Stream(Box::new(CallStream::new(
                    Arc::clone(backend),
                    session.clone(),
                    events,
                    (id.clone(), routed.message.requested_token()),
                    finish,
                    caller.capabilities,
                    sent,
                ))));
            }
            Ok(Answer::Accepted) => {
                return Err(told(Error::Protocol("did not answer a request".to_owned())));
            }
            // Said outside the protocol, by a server that does not know the method.
            Err(Error::Refused { status: 400 | 404 | 405 | 501, .. }) if routed.is_foreign => {
                return Err(routed.unknown_method());
            }
            Err(error) => {
                if matches!(error, Error::Timeout(_)) {
                    Box::pin(cancel(backend, session, id)).await;
                }
                return Err(told(error));
            }
        };
        Ok(match finish.apply(text, backend)? {
            Finished::Ready(text) => Reply::Ready(text),
            Finished::Refused(text, code) => Reply::Refused { text, code },
        })
    }
}

impl Routed<'_> {
    fn unknown_method(&self) -> Fault {
        Fault::MethodNotFound(self.message.method().into_owned())
    }
}

/// The id under which a backend knows a request on this session.
fn known_by<'a>(caller: &Caller<'a>, session: &Session, id: &'a IdKey) -> &'a IdKey {
    caller.alias(session).map_or(id, |alias| &alias.id)
}

/// Sends a request and waits for the beginning of its answer, for as long as a backend may be idle.
async fn post(
    backend: &Arc<Backend>,
    session: &Session,
    written: Written,
    id: &IdKey,
) -> Result<Answer, Error> {
    let Written { text, lines } = written;
    let idle = backend.timeouts().idle;
    let answer = tokio::time::timeout(idle, backend.post(session, text, Some(id), lines.as_ref()));
    answer.await.unwrap_or_else(|_elapsed| {
        let error = Error::Timeout(idle);
        backend.note_given_up(&error);
        Err(error)
    })
}

/// Reads the beginning of a result. A backend that does not get on with it is told to stop.
async fn begin(
    backend: &Arc<Backend>,
    session: &Session,
    body: Body,
    id: &IdKey,
) -> Result<Read, Error> {
    let read = Relay::begin(backend, body, id).await;
    if let Err(error) = &read {
        backend.note_spoiled(error);
    }
    if matches!(read, Err(Error::Timeout(_))) {
        Box::pin(cancel(backend, session, id)).await;
    }
    read
}

/// Tells a backend that nobody waits for a request any more.
pub(crate) async fn cancel(backend: &Arc<Backend>, session: &Session, id: &IdKey) {
    let text = id.cancellation("the request took too long");
    let told = tokio::time::timeout(Duration::from_secs(1), backend.tell(session, text)).await;
    if !matches!(told, Ok(Ok(()))) {
        tracing::debug!(backend = %backend.id(), "could not tell of a cancellation");
    }
}
