//! The messages of a session: over its link, or to the replica that holds it.

use bytes::Bytes;
use vmcp_wire::IdKey;

use super::Links;
use crate::{backend::Answer, error::Error, events::Events, far, session::Session};

impl Links {
    /// Sends a message of a session, wherever its link is, and gives what the backend does with it.
    pub(crate) async fn exchange(
        &self,
        session: &Session,
        text: Bytes,
        id: Option<&IdKey>,
    ) -> Result<Answer, Error> {
        let request = id.map(|id| (id, self.is_own(id)));
        match &session.far {
            Some(carrier) => far::exchange(carrier, text, request.map(|(_, is_own)| is_own)).await,
            None => self.exchange_here(session, text, request).await,
        }
    }

    /// The same on a link that is held here. A request comes with its id, and whether it is vmcp's own.
    pub(crate) async fn exchange_here(
        &self,
        session: &Session,
        text: Bytes,
        request: Option<(&IdKey, bool)>,
    ) -> Result<Answer, Error> {
        let Some((_, is_own)) = request else {
            return self.tell_here(session, text).await.map(|()| Answer::Accepted);
        };
        let (link, member) = self.find(session)?;
        let permit = if is_own { self.errands.enter()? } else { self.calls.enter()? };
        link.call(member, text, is_own, permit).await
    }

    /// Sends a message that has no answer.
    pub(crate) async fn tell(&self, session: &Session, text: Bytes) -> Result<(), Error> {
        match &session.far {
            Some(carrier) => far::tell(carrier, text).await,
            None => self.tell_here(session, text).await,
        }
    }

    /// The same on a link that is held here.
    pub(crate) async fn tell_here(&self, session: &Session, text: Bytes) -> Result<(), Error> {
        let (link, member) = self.find(session)?;
        link.tell(member, text).await
    }

    /// Listens to what belongs to no call; see [`Link::listen`].
    pub(crate) async fn listen(&self, session: &Session, overhears: bool) -> Result<Events, Error> {
        match &session.far {
            Some(carrier) => far::listen(carrier, overhears).await,
            None => self.listen_here(session, overhears),
        }
    }

    /// The same on a link that is held here.
    pub(crate) fn listen_here(&self, session: &Session, overhears: bool) -> Result<Events, Error> {
        self.find(session)?.0.listen(overhears)
    }
}
