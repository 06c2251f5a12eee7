//! What an HTTP backend's status and media type say about a message that was sent to it.

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use vmcp_model::Era;
use vmcp_wire::{IdKey, Lines, Message, Shape, headers::MediaType};

use super::{Http, body::Body, stream::Stream};
use crate::{
    backend::{Answer, Backend, REFUSAL_BYTES, within},
    discovery::{Refusal, is_doubtful},
    error::Error,
    events::Events,
    health::Sign,
    session::Session,
};

/// The capabilities of a client that can do nothing.
const NOTHING: Bytes = Bytes::from_static(b"{}");

impl Backend {
    /// Sends a message and gives what the backend does with it.
    pub(crate) async fn exchange_over_http(
        self: &Arc<Self>,
        http: &Http,
        session: &Session,
        text: Bytes,
        id: Option<&IdKey>,
        lines: Option<&Lines>,
    ) -> Result<Answer, Error> {
        let response = http.post(Some(session), text, id.is_some(), lines).await?;
        let answer = self.judge(session, response, id).await;
        match &answer {
            Ok(Answer::Ready(_)) | Err(Error::Refused { .. }) if !session.is_stateless() => {
                Box::pin(self.doubt_refused(session, id, answer)).await
            }
            _ => answer,
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
                (Err(Error::Refused { status }), _) => is_doubtful(*status),
                (Ok(_) | Err(_), _) => false,
            };
        // What its client can do is not known here, and does not matter for this.
        if is_doubtful && self.doubt(Era::Legacy, &NOTHING).await == Some(Era::Modern) {
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
        let response = within(self.timeouts.idle, http.listen(Some(session), last_event_id)).await;
        // What no backend says that is well and lets vmcp in. One that has no streams may say so.
        let response = response.and_then(|response| match response.status().as_u16() {
            status @ (401 | 403 | 500 | 502..=599) => Err(Error::Refused { status }),
            _ => Ok(response),
        });
        admitted.note(Sign::Own, response.as_ref().err());
        let response = response?;
        match response.status() {
            StatusCode::OK if MediaType::of(response.headers()) == MediaType::EventStream => {
                Ok(Some(Stream::new(self, session, response.into_body())))
            }
            StatusCode::METHOD_NOT_ALLOWED => Ok(None),
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST if session.id.is_some() => {
                Box::pin(self.confirm_lost(session)).await.map(|()| None)
            }
            StatusCode::OK => Err(Error::Protocol("offers a stream of an unknown type".to_owned())),
            status => Err(Error::Refused { status: status.as_u16() }),
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
        let body = response.into_body();
        if status.is_success() {
            return match media_type {
                _ if id.is_none() => {
                    body.collect(REFUSAL_BYTES).await?;
                    Ok(Answer::Accepted)
                }
                MediaType::Json => Ok(Answer::Whole(body)),
                MediaType::EventStream => {
                    let stream = Box::new(Stream::new(self, session, body));
                    Ok(Answer::Events(Events::of_stream(stream)))
                }
                MediaType::Other => Err(Error::Protocol(format!(
                    "answered a request with HTTP status {status} and neither JSON nor a stream"
                ))),
            };
        }
        if status == StatusCode::NOT_FOUND && session.id.is_some() {
            // Read to its end, so that the connection can be used again.
            let _ended = body.collect(REFUSAL_BYTES).await;
            return Err(Error::SessionLost);
        }
        let text = match body.collect(REFUSAL_BYTES).await {
            // However much it has to say, it refuses.
            Err(Error::TooLarge { .. }) => Bytes::new(),
            text => text?,
        };
        if status == StatusCode::BAD_REQUEST && session.id.is_some() {
            Box::pin(self.confirm_lost(session)).await?;
        }
        if let (true, Some(id)) = (session.is_stateless(), id)
            && Refusal::read(&text, id).casts_doubt(status.as_u16())
            && Box::pin(self.doubt(Era::Modern, &session.capabilities)).await == Some(Era::Legacy)
        {
            // Without a session, a legacy backend has run nothing.
            return Err(Error::SessionLost);
        }
        // A refusal may still be a proper answer to this very request.
        let answers = |message: &Message| {
            message.shape() == Shape::Response
                && message.id().zip(id).is_some_and(|(answered, asked)| answered.is(asked))
        };
        match Message::parse(text.clone()) {
            Ok(message) if answers(&message) => Ok(Answer::Ready(text)),
            Ok(_) | Err(_) => Err(Error::Refused { status: status.as_u16() }),
        }
    }

    /// Finds out by a ping whether a refusal means that the session is gone: some published servers
    /// say so with 400. The error says that it is.
    async fn confirm_lost(&self, session: &Session) -> Result<(), Error> {
        let Some(http) = self.http() else { return Ok(()) };
        let (_id, text) = self.own_request("ping", None);
        let status = within(self.timeouts.idle, async {
            let response = http.post(Some(session), text, false, None).await?;
            let status = response.status();
            let _ended = response.into_body().collect(REFUSAL_BYTES).await;
            Ok(status)
        });
        let status = status.await?;
        if matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) {
            return Err(Error::SessionLost);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
