//! Answers what other replicas ask of links that are held here.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::sleep;
use vmcp_model::ProtocolVersion;
use vmcp_wire::Message;

use super::wire::{Asked, Frame};
use crate::{
    backend::{Answer, Backend, Wire},
    error::Error,
    events::Events,
    links::Links,
    session::Session,
};

/// How often it is looked whether the client has been asked something.
const LOOK: Duration = Duration::from_millis(250);

/// What comes of a request of another replica. Dropped, a call that is under way is forgotten, as any that nobody
/// waits for.
#[derive(Debug)]
pub struct Carried {
    first: Option<Frame>,
    events: Option<Events>,
    has_asked: bool,
    /// What has come, and is told when it has been told whether the client was asked.
    waiting: Option<Frame>,
}

impl Backend {
    /// Does what another replica asks of a session, by its id, on a link that is held here. Its stats and health are
    /// kept where the client is.
    pub async fn carry(
        self: &Arc<Self>,
        id: &str,
        version: ProtocolVersion,
        request: Bytes,
    ) -> Carried {
        let begun = match (&self.wire, Session::resumed(Some(id), version, self.facts())) {
            (Wire::Links(links), Some(session)) => begin(links, &session, request).await,
            (Wire::Http(_) | Wire::Links(_), _) => Err(Error::SessionLost),
        };
        let (first, events) = match begun {
            Ok(begun) => begun,
            Err(error) => (Frame::Failed(error), None),
        };
        Carried { first: Some(first), events, has_asked: false, waiting: None }
    }

    /// Waits until no call is under way on a link that is held here, whoever has it: other replicas may.
    pub async fn until_no_call(&self, session: &Session) {
        let Wire::Links(links) = &self.wire else { return };
        while links.has_calls(session) {
            sleep(LOOK).await;
        }
    }
}

async fn begin(
    links: &Links,
    session: &Session,
    request: Bytes,
) -> Result<(Frame, Option<Events>), Error> {
    let begun = |events: Events| (Frame::Stream { has_begun: events.has_begun() }, Some(events));
    match Asked::read(request)? {
        Asked::Call { text, is_own } => {
            let message = Message::parse(text.clone());
            let id = message.ok().and_then(|message| message.id().map(|id| id.key()));
            let id = id.ok_or_else(|| Error::Protocol("was sent no request".to_owned()))?;
            Ok(match links.exchange_here(session, text, Some((&id, is_own))).await? {
                Answer::Accepted | Answer::Whole(_) => (Frame::Accepted, None),
                Answer::Ready(text) => (Frame::Ready(text), None),
                Answer::Events(events) => begun(events),
            })
        }
        Asked::Tell(text) => {
            links.tell_here(session, text).await?;
            Ok((Frame::Accepted, None))
        }
        Asked::Listen { overhears } => links.listen_here(session, overhears).map(begun),
    }
}

impl Carried {
    /// The next frame; `None` when there is no other.
    pub async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take().or_else(|| self.waiting.take()) {
            return Some(first.written());
        }
        loop {
            let events = self.events.as_mut()?;
            let come = tokio::select! {
                biased;
                message = events.next() => Some(match message {
                    Ok(Some(message)) => Frame::Message(message.into_text()),
                    Ok(None) => {
                        self.events = None;
                        return None;
                    }
                    Err(error) => {
                        self.events = None;
                        return Some(Frame::Failed(error).written());
                    }
                }),
                () = sleep(LOOK) => None,
            };
            let has_asked = events.has_asked();
            if has_asked != self.has_asked {
                self.has_asked = has_asked;
                self.waiting = come;
                return Some(Frame::HasAsked(has_asked).written());
            }
            if let Some(frame) = come {
                return Some(frame.written());
            }
        }
    }
}
