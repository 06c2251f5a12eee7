//! What vmcp sends on its own account: its requests and their answers, and what it tells a backend.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use vmcp_model::{Method, raw};
use vmcp_wire::{Fault, Id, IdKey, Lines, Message, Shape, lines, reply};

use crate::{
    backend::{Answer, Backend, REFUSAL_BYTES, Wire, within},
    error::Error,
    health::Sign,
    session::Session,
};

/// Bytes of an answer that vmcp reads whole for itself.
pub(crate) const OWN_ANSWER_BYTES: usize = 16 << 20;

/// Gives ids to vmcp's own requests. A backend shares it with those whose place it has taken, as it
/// shares their sessions.
#[derive(Debug)]
pub(crate) struct OwnIds {
    /// Random, so that the id of a request of vmcp's own is never that of a client's, which travels
    /// on the same session. A client may well be another vmcp.
    prefix: Box<str>,
    next: AtomicU64,
}

/// A request of vmcp's own, as a session has it.
pub(crate) struct OwnRequest {
    pub(crate) id: IdKey,
    pub(crate) text: Bytes,
    /// What a modern backend is told in headers.
    pub(crate) lines: Option<Lines>,
}

impl OwnIds {
    pub(crate) fn new(nonce: u64) -> Self {
        Self { prefix: format!("vmcp-{nonce:016x}-").into(), next: AtomicU64::new(0) }
    }

    /// Whether a request of this id is vmcp's own.
    pub(crate) fn gave(&self, id: &IdKey) -> bool {
        id.begins_with(&self.prefix)
    }
}

impl Backend {
    /// Sends a request of vmcp's own and waits for the response. Questions that the backend asks
    /// meanwhile are declined. `params` is JSON text.
    pub async fn ask(
        self: &Arc<Self>,
        session: &Session,
        method: Method,
        params: Option<&[u8]>,
    ) -> Result<Message, Error> {
        self.ask_as(session, method, params, Some(Sign::Own)).await
    }

    /// The same, for whoever wants to hear the notifications that come before the response.
    pub async fn ask_hearing(
        self: &Arc<Self>,
        session: &Session,
        method: Method,
        params: Option<&[u8]>,
        hear: &mut (dyn FnMut(&Message) + Send),
    ) -> Result<Message, Error> {
        self.asked(session, method, params, Some(Sign::Own), hear).await
    }

    /// The same; `sign` is what comes of it for the backend's health.
    pub(crate) async fn ask_as(
        self: &Arc<Self>,
        session: &Session,
        method: Method,
        params: Option<&[u8]>,
        sign: Option<Sign>,
    ) -> Result<Message, Error> {
        self.asked(session, method, params, sign, &mut |_notification| {}).await
    }

    async fn asked(
        self: &Arc<Self>,
        session: &Session,
        method: Method,
        params: Option<&[u8]>,
        sign: Option<Sign>,
        hear: &mut (dyn FnMut(&Message) + Send),
    ) -> Result<Message, Error> {
        let OwnRequest { id, text, lines } = self.own_request_on(session, method, params);
        let admitted = self.health.admit()?;
        let answer = within(self.timeouts.idle, async {
            let answer = self.exchange(session, text, Some(&id), lines.as_ref()).await?;
            self.own_answer_hearing(session, answer, &id, hear).await
        });
        let answer = answer.await;
        if let Some(sign) = sign {
            admitted.note(sign, answer.as_ref().err());
        }
        answer
    }

    /// Sends a message that has no answer. A modern backend is told nothing in this way.
    pub async fn tell(self: &Arc<Self>, session: &Session, text: Bytes) -> Result<(), Error> {
        within(self.timeouts.idle, async {
            match self.post(session, text, None, None).await? {
                Answer::Accepted | Answer::Ready(_) | Answer::Events(_) => Ok(()),
                // Read to its end, so that the connection can be used again.
                Answer::Whole(body) => body.collect(REFUSAL_BYTES).await.map(|_body| ()),
            }
        })
        .await
    }

    /// Waits for the response to a request of vmcp's own.
    pub(crate) async fn own_answer(
        self: &Arc<Self>,
        session: &Session,
        answer: Answer,
        id: &IdKey,
    ) -> Result<Message, Error> {
        self.own_answer_hearing(session, answer, id, &mut |_notification| {}).await
    }

    async fn own_answer_hearing(
        self: &Arc<Self>,
        session: &Session,
        answer: Answer,
        id: &IdKey,
        hear: &mut (dyn FnMut(&Message) + Send),
    ) -> Result<Message, Error> {
        let text = match answer {
            Answer::Ready(text) => text,
            Answer::Whole(body) => body.collect(OWN_ANSWER_BYTES).await?,
            Answer::Accepted => return Err(Error::Protocol("did not answer a request".to_owned())),
            Answer::Events(mut events) => loop {
                let Some(message) = events.next().await? else {
                    return Err(Error::Broken("the stream ended before the answer".to_owned()));
                };
                match message.shape() {
                    Shape::Response if message.id().is_some_and(|found| found.is(id)) => {
                        break message.into_text();
                    }
                    Shape::Request => {
                        Box::pin(self.decline(session, &message, Declined::NoClient)).await?;
                    }
                    Shape::Notification => hear(&message),
                    Shape::Response => {}
                }
            },
        };
        let message = Message::parse(text)
            .map_err(|why| Error::Protocol(format!("answered badly: {why}")))?;
        let message = self.conduct.retyped(self.id(), message, id);
        if message.shape() != Shape::Response || !message.id().is_some_and(|found| found.is(id)) {
            return Err(Error::Protocol(
                "answered another request than the one it was asked".to_owned(),
            ));
        }
        Ok(message)
    }

    /// Answers a backend's request that nobody is there to answer.
    pub async fn decline(
        self: &Arc<Self>,
        session: &Session,
        request: &Message,
        why: Declined,
    ) -> Result<(), Error> {
        if session.is_stateless() {
            // It must not ask in this way, and there is none in which to answer.
            tracing::debug!(backend = %self.id(), method = %request.method_name(), "a modern backend has sent a request, which is left unanswered");
            return Ok(());
        }
        let Some(text) = refusal(request, why) else { return Ok(()) };
        within(self.timeouts.idle, async {
            match &self.wire {
                Wire::Http(http) => {
                    let response = http.post(Some(session), text, false, None).await?;
                    response.into_body().collect(REFUSAL_BYTES).await.map(|_body| ())
                }
                Wire::Links(links) => links.tell(session, text).await,
            }
        })
        .await
    }

    /// A request of vmcp's own on a session. A modern backend is told with it who asks.
    pub(crate) fn own_request_on(
        &self,
        session: &Session,
        method: Method,
        params: Option<&[u8]>,
    ) -> OwnRequest {
        if !session.is_stateless() {
            let (id, text) = self.own_request(method, params);
            return OwnRequest { id, text, lines: None };
        }
        let params = session.introduction().introduce_params(params);
        let (id, text) = self.own_request(method, Some(&params));
        let name = Message::parse(text.clone())
            .ok()
            .and_then(|message| lines::named_by(&message).flatten().map(|name| name.into_owned()));
        OwnRequest { id, text, lines: Some(Lines::new(method.name(), name.as_deref())) }
    }

    pub(crate) fn own_request(&self, method: Method, params: Option<&[u8]>) -> (IdKey, Bytes) {
        let number = self.own_ids.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}{number}", self.own_ids.prefix);
        let text = reply::request(&id, method, params);
        let quoted = raw::string(&id);
        (Id::parse(&quoted).expect("a short string is an id").key(), text)
    }
}

/// Why nobody answers a backend's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declined {
    /// It came on a session that no client stands behind.
    NoClient,
    /// The client has not declared that it can be asked this.
    Incapable,
}

/// The answer to a backend's request that nobody is there to answer.
pub(crate) fn refusal(request: &Message, why: Declined) -> Option<Bytes> {
    if request.method() == Some(Method::Ping) {
        return request.id().map(|id| reply::result(id, b"{}"));
    }
    let why = match why {
        Declined::NoClient => "no client is attached",
        Declined::Incapable => "the client cannot be asked this",
    };
    let fault = Fault::MethodNotFound(format!("{} ({why})", request.method_name()));
    Some(reply::error(request.id(), &fault))
}
