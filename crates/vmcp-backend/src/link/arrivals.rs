//! What comes in on a link for one call, or for one listener.

use std::sync::Arc;

use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
};
use vmcp_wire::Message;

use super::{Link, PATIENCE, REFUSAL, inbox::Arrival};
use crate::{error::Error, gauge::Permit};

/// What comes in for one call, or for one listener.
#[derive(Debug)]
pub(crate) struct Arrivals {
    pub(super) link: Arc<Link>,
    pub(super) receiver: mpsc::Receiver<Arrival>,
    pub(super) first: Option<Message>,
    /// Says that the request could not be sent; closed without a word when it has been.
    pub(super) failure: Option<oneshot::Receiver<Error>>,
    /// A listener has none.
    pub(super) call: Option<Call>,
}

/// A call under way. Dropped without an answer, it is forgotten: it is not sent if it has not been
/// yet, and what comes for it later is nobody's.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) link: Arc<Link>,
    pub(super) number: u64,
    /// It is vmcp's, not a client's.
    pub(super) own: bool,
    pub(super) sending: AbortHandle,
    pub(super) _permit: Permit,
}

impl Arrivals {
    /// The next message; `None` after the answer. When the link has ended, a call is broken off and
    /// a listener has lost its session.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, Error> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        match self.arrival().await {
            Ok(Some(message)) => Ok(Some(message)),
            Ok(None) if !self.link.is_over() => Ok(None),
            Ok(None) => Err(match &self.call {
                Some(call) => self.link.ended_in_call(call.own),
                None => Error::SessionLost,
            }),
            Err(error) => Err(error),
        }
    }

    /// Whether something has come that nobody has taken yet.
    pub(crate) fn has_begun(&self) -> bool {
        self.first.is_some()
    }

    /// See [`Link::has_asked`].
    pub(crate) fn has_asked(&self) -> bool {
        self.link.has_asked()
    }

    /// What comes next. The error says that the request could not be sent.
    pub(super) async fn arrival(&mut self) -> Result<Option<Message>, Error> {
        while let Some(failure) = &mut self.failure {
            tokio::select! {
                // What has come proves that the request was sent.
                biased;
                arrival = received(&mut self.receiver) => {
                    // The link has ended: whether the request was refused decides what may be done.
                    if arrival.is_none()
                        && let Ok(Ok(error)) = tokio::time::timeout(PATIENCE, &mut *failure).await
                    {
                        return Err(error);
                    }
                    return Ok(arrival);
                }
                failed = &mut *failure => {
                    self.failure = None;
                    if let Ok(error) = failed {
                        return Err(error);
                    }
                }
            }
        }
        Ok(received(&mut self.receiver).await)
    }
}

/// The next message.
async fn received(receiver: &mut mpsc::Receiver<Arrival>) -> Option<Message> {
    loop {
        match receiver.recv().await? {
            Arrival::Message(message, _room) => return Some(message),
            Arrival::Mark(_passed) => {}
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let forgotten = self.link.inbox().forget(self.number);
        let Some(id) = forgotten else { return };
        self.sending.abort();
        // Nobody else knows the id.
        if self.link.shared {
            let (outbox, closing) = (self.link.outbox.clone(), self.link.closing.clone());
            self.link.tasks.spawn(async move {
                let cancelling = outbox.send(id.cancellation("nobody waits for it"));
                let cancelling = tokio::time::timeout(REFUSAL, cancelling);
                // The backend may have ended.
                let _told = closing.run_until_cancelled(cancelling).await;
            });
        }
    }
}
