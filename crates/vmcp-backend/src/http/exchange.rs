//! What an HTTP backend's status and media type say about a message that was sent to it.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header::CONTENT_TYPE};
use vmcp_model::{Era, Method};
use vmcp_wire::{IdKey, Lines, Message, Shape, headers::MediaType};

use super::{Http, SAID, body::Body, challenge, readable, refusal, stream::Stream};
use crate::{
    backend::{Answer, Backend, REFUSAL_BYTES, Wire, within},
    discovery::{Refusal, is_doubtful},
    error::Error,
    events::Events,
    handshake::{Opening, Purpose, Unopened},
    health::Sign,
    secrets::{MASK, Secrets},
    session::{CLIENT_INFO, ClientView, Session},
    subject::Subject,
};

impl Backend {
    /// Whether a request to it can say something in headers.
    pub fn takes_headers(&self) -> bool {
        matches!(self.wire, Wire::Http(_))
    }

    /// Sends a message and gives what the backend does with it.
    pub(crate) async fn exchange_over_http(
        self: &Arc<Self>,
        http: &Http,
        session: &Session,
        text: Bytes,
        id: Option<&IdKey>,
        lines: Option<&Lines>,
    ) -> Result<Answer, Error> {
        if id.is_none() && is_notification(&text) {
            return Box::pin(self.notify_over_http(http, session, text))
                .await
                .map(|()| Answer::Accepted);
        }
        let is_call = id.is_some_and(|id| !self.own_ids.gave(id));
        let response = pin!(http.post(Some(session), text, is_call, lines)).await?;
        let answer = pin!(self.judge(session, response, id)).await;
        match &answer {
            Ok(Answer::Ready(_)) | Err(Error::Refused { .. }) if !session.is_stateless() => {
                Box::pin(self.doubt_refused(session, id, answer)).await
            }
            _ => answer,
        }
    }

    /// Sends a notification. Whatever the backend answers is of no importance, as it has no answer,
    /// unless that says that the session is gone.
    pub(crate) async fn notify_over_http(
        self: &Arc<Self>,
        http: &Http,
        session: &Session,
        text: Bytes,
    ) -> Result<(), Error> {
        let response = http.post(Some(session), text, false, None).await?;
        match self.judge(session, response, None).await {
            Err(error @ (Error::Refused { .. } | Error::Protocol(_) | Error::TooLarge { .. })) => {
                tracing::debug!(backend = %self.id(), %error, "the backend does not take a notification");
                Ok(())
            }
            told => told.map(|_answer| ()),
        }
    }

    /// Looks into it when a legacy backend refuses what belongs to no session of its own: it may have
    /// become a modern one, which did not run what it refused.
    async fn doubt_refused(
        self: &Arc<Self>,
        session: &Session,
        id: Option<&IdKey>,
        answer: Result<Answer, Error>,
    ) -> Result<Answer, Error> {
        let is_doubtful = session.id.is_none()
            && match (&answer, id) {
                (Ok(Answer::Ready(text)), Some(id)) => {
                    Refusal::read(text, id).era == Some(Era::Modern)
                }
                (Err(Error::Refused { status, .. }), _) => is_doubtful(*status),
                (Ok(_) | Err(_), _) => false,
            };
        if is_doubtful && self.doubt(Era::Legacy, session).await == Some(Era::Modern) {
            return Err(Error::SessionLost);
        }
        answer
    }

    /// Opens the session's GET stream, or goes on behind the event of this id. `None` if the
    /// backend has none to offer.
    pub(crate) async fn open_stream(
        self: &Arc<Self>,
        session: &Session,
        last_event_id: Option<&str>,
    ) -> Result<Option<Stream>, Error> {
        let Some(http) = self.http() else { return Ok(None) };
        let admitted = self.health.admit()?;
        let response = within(self.timeouts.idle, http.listen(session, last_event_id)).await;
        // What no backend says that is well and lets vmcp in. One that has no streams may say so.
        let response = response.and_then(|response| match response.status().as_u16() {
            status @ (401 | 403 | 500 | 502..=599) => Err(Error::refused(status)),
            _ => Ok(response),
        });
        admitted.note(Sign::Own, response.as_ref().err());
        let response = response?;
        match response.status() {
            StatusCode::OK if MediaType::of(response.headers()) == MediaType::EventStream => {
                Ok(Some(Stream::new(self, session, response.into_body(), None)))
            }
            StatusCode::METHOD_NOT_ALLOWED => Ok(None),
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST if session.id.is_some() => {
                Box::pin(self.confirm_lost(session)).await.map(|()| None)
            }
            StatusCode::OK => Err(Error::Protocol("offers a stream of an unknown type".to_owned())),
            status => Err(Error::refused(status.as_u16())),
        }
    }

    /// Decides what an answer is.
    pub(crate) async fn judge(
        self: &Arc<Self>,
        session: &Session,
        response: Response<Body>,
        id: Option<&IdKey>,
    ) -> Result<Answer, Error> {
        let status = response.status();
        let media_type = MediaType::of(response.headers());
        let readable = readable(response.headers(), self.secrets());
        let odd_type = (media_type == MediaType::Other)
            .then(|| content_type(response.headers(), self.secrets()));
        let denial = match status.as_u16() {
            401 | 403 => challenge::denial(response.headers()).map(Box::new),
            _ => None,
        };
        let body = response.into_body();
        if status.is_success() {
            if id.is_none() {
                body.collect(REFUSAL_BYTES).await?;
                return Ok(Answer::Accepted);
            }
            readable?;
            return match media_type {
                MediaType::Json if body.is_announced_too_large() => Err(body.too_large()),
                MediaType::Json => Ok(Answer::Whole(body)),
                MediaType::EventStream => {
                    let stream = Box::new(Stream::new(self, session, body, id));
                    Ok(Answer::Events(Events::of_stream(stream)))
                }
                MediaType::Other => Err(Error::Protocol(format!(
                    "answered a request with HTTP status {status} and {}, neither JSON nor a stream; is its URL that of an MCP endpoint?",
                    odd_type.unwrap_or_default()
                ))),
            };
        }
        let text = match body.collect(REFUSAL_BYTES).await {
            // However much it has to say, it refuses.
            Err(Error::TooLarge { .. }) => Bytes::new(),
            Ok(_) if readable.is_err() => Bytes::new(),
            text => text?,
        };
        let status = status.as_u16();
        // A refusal may still be a proper answer to this very request.
        let answers = id.is_some_and(|id| refusal::answers(&text, id));
        if session.id.is_some() && refusal::may_be_of_session(status, &text) {
            if status == 404 && !answers {
                self.leave_connections();
                return Err(Error::SessionLost);
            }
            match Box::pin(self.confirm_lost(session)).await {
                // What stands before a server may say so when the server ends in mid-call.
                Err(Error::SessionLost) if status >= 500 && id.is_some() => {
                    return Err(Error::SessionGone { status });
                }
                confirmed => confirmed?,
            }
        }
        if let (true, Some(id)) = (session.is_stateless(), id)
            && Refusal::read(&text, id).casts_doubt(status)
            && self.doubt(Era::Modern, session).await == Some(Era::Legacy)
        {
            // Without a session, a legacy backend has run nothing.
            return Err(Error::SessionLost);
        }
        // What its credential lacks is told in the headers only.
        if answers && denial.is_none() && refusal::is_readable(&text) {
            return Ok(Answer::Ready(text));
        }
        let said = refusal::said(&without_id(text, session), self.secrets());
        let shows = |text: &str| self.secrets().are_in(text);
        let denial = denial.filter(|denial| {
            !shows(&denial.error) && denial.scope.as_deref().is_none_or(|scope| !shows(scope))
        });
        Err(Error::Refused { status, said, denial })
    }

    /// Finds out whether a refusal means that the session is gone. The error says that it is.
    async fn confirm_lost(self: &Arc<Self>, session: &Session) -> Result<(), Error> {
        let Some(http) = self.http() else { return Ok(()) };
        let (id, text) = self.own_request(Method::Ping, None);
        let ping = within(self.timeouts.idle, async {
            let response = http.post(Some(session), text, false, None).await?;
            let status = response.status();
            Ok((status, response.into_body().collect(REFUSAL_BYTES).await?))
        });
        // Where it cannot be asked, nothing is known.
        let Ok((status, text)) = ping.await else { return Ok(()) };
        let is_lost = match status.as_u16() {
            // It may refuse everybody. Whoever is given a session now would be heard.
            401 | 403 | 409 | 500 | 502..=504 => self.gives_sessions(http, session.subject()).await,
            status => refusal::ping_says_lost(status, &text, &id),
        };
        if is_lost {
            self.leave_connections();
            return Err(Error::SessionLost);
        }
        Ok(())
    }

    /// Whoever does not know a session may not be who gave it.
    fn leave_connections(&self) {
        if let Some(http) = self.http() {
            http.leave_connections();
        }
    }

    /// Whether the backend gives a session to who asks for one now, and knows it. Of one that does not,
    /// this is not asked again for some seconds.
    async fn gives_sessions(self: &Arc<Self>, http: &Http, subject: Option<&Subject>) -> bool {
        if !http.may_look_aside() {
            return false;
        }
        let opened = within(self.timeouts.initialize, async {
            let mut opening = Opening::to(Purpose::Use);
            let nobody = ClientView::nobody().shown(subject.cloned());
            let session = self.handshake(&nobody, CLIENT_INFO, &mut opening).await;
            let session = session.map_err(Unopened::into_error)?;
            let (_id, text) = self.own_request(Method::Ping, None);
            let response = http.post(Some(&session), text, false, None).await?;
            let knows = response.status().is_success();
            response.into_body().collect(REFUSAL_BYTES).await?;
            Ok(knows)
        });
        let gives = matches!(opened.await, Ok(true));
        if !gives {
            http.looked_aside_in_vain();
        }
        gives
    }
}

/// Whether a message is one that has no answer and is none.
fn is_notification(text: &Bytes) -> bool {
    Message::parse(text.clone()).is_ok_and(|message| message.shape() == Shape::Notification)
}

/// A body without the id of its session, which is a secret, too: a server may repeat it where it refuses it.
fn without_id(body: Bytes, session: &Session) -> Bytes {
    let id = session.id.as_ref().and_then(|id| id.to_str().ok());
    // Less is no secret, and may stand anywhere.
    match id.filter(|id| id.len() >= 8) {
        Some(id) => String::from_utf8_lossy(&body).replace(id, MASK).into(),
        None => body,
    }
}

/// What a body is by its own word, as a person is told.
fn content_type(headers: &HeaderMap, secrets: &Secrets) -> String {
    match headers.get(CONTENT_TYPE) {
        Some(said) => format!("Content-Type {}", secrets.told(said.as_bytes(), SAID)),
        None => "no Content-Type".to_owned(),
    }
}

#[cfg(test)]
mod tests;
