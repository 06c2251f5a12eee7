//! The use that one call makes of a kept session.

use std::sync::Arc;

use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use vmcp_backend::{Backend, Error, Session};
use vmcp_model::LogLevel;

use super::{
    Reuse,
    session::{KeptSession, Open},
};

/// Somebody who uses a kept session, or waits to.
#[derive(Debug)]
pub(super) struct Member(pub(super) Arc<KeptSession>);

/// The use that one call makes of a kept session.
#[derive(Debug)]
pub(crate) struct Using {
    /// Given back before the member is.
    _place: Option<OwnedSemaphorePermit>,
    member: Member,
    open: Open,
}

impl Member {
    /// A use of the session, which is opened if need be, when there is a place.
    pub(super) async fn used(
        self,
        backend: &Arc<Backend>,
        level: Option<LogLevel>,
        until: Instant,
    ) -> Result<Using, Error> {
        let place = self.0.place(until).await?;
        let open = self.0.session(backend, None).await?;
        self.0.raise(&open, level).await;
        Ok(Using::new(place, self, open))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl Using {
    pub(super) fn new(place: Option<OwnedSemaphorePermit>, member: Member, open: Open) -> Self {
        Self { _place: place, member, open }
    }

    /// The backend that the session was opened on.
    pub(crate) fn backend(&self) -> &Arc<Backend> {
        &self.open.backend
    }

    pub(crate) fn session(&self) -> &Session {
        &self.open.session
    }

    /// Takes in that the backend has said, in the call, that its lists have changed.
    pub(crate) fn note_lists_changed(&self) {
        self.member.0.note_lists_changed(&self.open);
    }

    /// Whether nobody else uses the session, or waits to.
    pub(crate) fn is_alone(&self) -> bool {
        self.member.0.uses() == 1
    }

    /// Goes on with another backend session: the backend has lost this one. Opened once however many
    /// ask.
    pub(crate) async fn renewed(
        self,
        backend: &Arc<Backend>,
        level: Option<LogLevel>,
    ) -> Result<Self, Error> {
        let kept = &self.member.0;
        let open = kept.session(backend, Some(self.open.generation)).await?;
        kept.raise(&open, level).await;
        Ok(Self { open, ..self })
    }

    /// Notes that the call has not come to a good end. Where others than its caller use the session,
    /// they are not to find what it has left.
    pub(crate) fn spoil(&self) {
        let kept = &self.member.0;
        match kept.shared.bridge.reuse {
            Reuse::All => kept.leave(),
            Reuse::Principal | Reuse::Never => {}
        }
    }
}
