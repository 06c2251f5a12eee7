//! Makes calls: sends what was resolved, again where that is safe, and begins to read the answer.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::Instant;
use vmcp_backend::{Answer, Backend, Body, Error, Session};
use vmcp_model::{Kind, Method, Mirror, trail::Target};
use vmcp_wire::{Fault, IdKey, Message};

use crate::{
    answering::{Answering, Whole},
    call_stream::{CallStream, Streamed},
    caller::Caller,
    calls::{Destination, Ticket},
    eras::{Finished, Written},
    lost::{code_in, error_in, may_be_lost},
    relay::{Read, Relay, Source},
    resolve::{Resolved, Routed},
    vmcp::Vmcp,
};

/// The code by which a modern backend refuses a request for its headers.
const HEADER_MISMATCH: i64 = -32020;

/// How a backend answers a request.
pub(crate) enum Reply {
    Whole(Whole),
    /// A large response under way.
    Relay(Box<Source>),
    /// A stream of events, the response at its end.
    Stream(Box<Streamed>),
}

impl Vmcp {
    /// Makes a call: the only way to a backend for what a client wants of it, and to a tool of vmcp's own.
    /// It is under way for as long as `ticket` is, which the answer keeps if it is not there as a whole.
    pub async fn call(
        &self,
        caller: &Caller<'_>,
        resolved: &Resolved<'_>,
        id: &IdKey,
        ticket: Ticket,
    ) -> Result<Answering, Fault> {
        let routed = match resolved {
            Resolved::Backend(routed) => routed,
            Resolved::Own { tool, message } => {
                ticket.goes_to(Destination::Own(Arc::clone(self.own_uses(*tool))));
                note_target(&ticket, message, None);
                let ran = self.run(*tool, caller, message);
                match &ran {
                    Ok(whole) => ticket.note_answer(false, || whole.end()),
                    Err(fault) => ticket.note_refusal(fault),
                }
                return ran.map(Answering::Whole);
            }
        };
        ticket.goes_to(Destination::Backend(Arc::clone(&routed.backend)));
        note_target(&ticket, &routed.message, Some(&routed.backend));
        let answered = {
            // In its place, as it is large.
            let mut sending = pin!(self.send(caller, routed, id));
            tokio::select! {
                biased;
                answered = &mut sending => answered,
                fault = ticket.call().fired() => Err(fault),
            }
        };
        if ticket.call().is_cancelled() {
            return Err(Fault::Cancelled);
        }
        match answered {
            Ok(Reply::Whole(whole)) => {
                ticket.note_answer(whole.error.is_some(), || whole.end());
                Ok(Answering::Whole(whole))
            }
            Ok(Reply::Relay(source)) => Ok(Answering::Relay(Relay::new(source, ticket))),
            Ok(Reply::Stream(streamed)) => Ok(Answering::Stream(CallStream::new(streamed, ticket))),
            Err(fault) => {
                ticket.note_failure(&fault);
                Err(fault)
            }
        }
    }

    /// Sends a routed request. If the backend has lost the caller's session, a new one is opened
    /// and the request sent again, once: the loss proves that it did not run.
    async fn send(
        &self,
        caller: &Caller<'_>,
        routed: &Routed<'_>,
        id: &IdKey,
    ) -> Result<Reply, Fault> {
        let backend = &routed.backend;
        let told = |error: Error| error.fault(backend.id());
        let mut session = match caller.sessions.open(backend) {
            Some(session) => session,
            None => caller.sessions.obtain(backend).await.map_err(told)?,
        }
        .on_behalf_of(backend, caller.identity)
        .map_err(told)?;
        let mut lost = false;
        let mut sent;
        let answer = loop {
            let written = routed.written(caller, &session)?;
            sent = Instant::now();
            let id = known_by(caller, &session, id);
            let answer = post(routed, &session, written, id).await;
            note_answered(routed, &answer);
            if matches!(answer, Err(Error::SessionGone { .. })) {
                // The next call finds another session; this one is not sent again.
                let _renewed = Box::pin(caller.sessions.renew(backend, &session)).await;
                self.refresh(backend.id(), session.subject());
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
            let renewed = caller.sessions.renew(backend, &session).await.map_err(told)?;
            session = renewed.on_behalf_of(backend, caller.identity).map_err(told)?;
            self.refresh(backend.id(), session.subject());
        };
        let known = known_by(caller, &session, id);
        let reply = self.reply(caller, routed, &session, (answer, sent), known).await?;
        let Reply::Whole(Whole { text, error: Some(code) }) = &reply else { return Ok(reply) };
        if *code == HEADER_MISMATCH && session.is_stateless() {
            return Box::pin(self.send_anew(caller, routed, &session, id)).await;
        }
        if !lost
            && session.id().is_some()
            && error_in(text).is_some_and(may_be_lost)
            && let Some(healed) = Box::pin(self.heal(caller, routed, &session, id)).await?
        {
            return Ok(healed);
        }
        Ok(reply)
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
        let answer = post(routed, session, written, known).await;
        note_answered(routed, &answer);
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
        self.refresh(backend.id(), session.subject());
        let offer = backend.offer(session).await.map_err(told)?.offer;
        let name = routed.target.as_deref().unwrap_or_default();
        let tool = offer.tools.iter().find(|tool| tool.key() == name).ok_or_else(wrong)?;
        let mirrors = Mirror::of_tool(tool.json()).map_err(|_invalid| wrong())?;
        let mut written = routed.written(caller, session)?;
        if let Some(lines) = &mut written.lines {
            routed.mirror(&mirrors, lines);
        }
        let sent = Instant::now();
        let answer = post(routed, session, written, id).await;
        note_answered(routed, &answer);
        match self.reply(caller, routed, session, (answer, sent), id).await? {
            Reply::Whole(Whole { error: Some(HEADER_MISMATCH), .. }) => Err(wrong()),
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
                    Read::Under(source) if finish.is_relay() => return Ok(Reply::Relay(source)),
                    Read::Under(source) => {
                        source.collect(backend.limits().event_bytes, self.budget()).await?
                    }
                }
            }
            Ok(Answer::Ready(text)) => text,
            Ok(Answer::Events(events)) => {
                return Ok(Reply::Stream(Box::new(Streamed::new(
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
        let is_told = finish.tells_errors();
        Ok(Reply::Whole(match finish.apply(text, backend)? {
            Finished::Ready(text) => {
                let error = if is_told { None } else { error_in(&text).map(code_in) };
                Whole { text, error }
            }
            Finished::Refused(text, code) => Whole { text, error: Some(code) },
        }))
    }
}

impl Routed<'_> {
    fn unknown_method(&self) -> Fault {
        Fault::MethodNotFound(self.message.method_name().into_owned())
    }
}

/// Notes what a call leads to: its backend, or what is vmcp's own. Tools and prompts are named, as there are so
/// many of them.
fn note_target(ticket: &Ticket, message: &Message, backend: Option<&Arc<Backend>>) {
    let Some(trail) = ticket.trail() else { return };
    trail.note_target(|| {
        let kind = match message.method() {
            Some(Method::ToolsCall) => Some(Kind::Tool),
            Some(Method::PromptsGet) => Some(Kind::Prompt),
            _ => None,
        };
        let named = kind.zip(message.string(message.params().name.as_ref()));
        let capability = named.map(|(kind, name)| (kind, name.into()));
        Target { backend: backend.map(|backend| backend.id().clone()), capability }
    });
}

/// The id under which a backend knows a request on this session.
fn known_by<'a>(caller: &Caller<'a>, session: &Session, id: &'a IdKey) -> &'a IdKey {
    caller.alias(session).map_or(id, |alias| &alias.id)
}

/// Sends a request and waits for the beginning of its answer, for as long as a backend may be idle.
async fn post(
    routed: &Routed<'_>,
    session: &Session,
    written: Written,
    id: &IdKey,
) -> Result<Answer, Error> {
    let (backend, Written { text, lines }) = (&routed.backend, written);
    let idle = backend.timeouts().idle;
    if let Some(trail) = routed.trail {
        trail.note_sent();
    }
    let answer = tokio::time::timeout(idle, backend.post(session, text, Some(id), lines.as_ref()));
    answer.await.unwrap_or_else(|_elapsed| {
        let error = Error::Timeout(idle);
        backend.note_given_up(&error);
        Err(error)
    })
}

/// Notes when an answer has begun, or that nothing was sent.
fn note_answered(routed: &Routed<'_>, answer: &Result<Answer, Error>) {
    let Some(trail) = routed.trail else { return };
    match answer {
        Ok(_) => trail.note_answered(),
        Err(error) if error.tried_nothing() => trail.note_unsent(),
        // Whether something came is not known.
        Err(_) => {}
    }
}

/// Reads the beginning of a result. A backend that does not get on with it is told to stop.
async fn begin(
    backend: &Arc<Backend>,
    session: &Session,
    body: Body,
    id: &IdKey,
) -> Result<Read, Error> {
    let read = Source::begin(backend, body, id).await;
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
