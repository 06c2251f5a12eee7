//! Listens to the backends' own streams while the client wants to hear from them.

use std::sync::{Arc, Weak};

use vmcp_backend::{Backend, Error, Session as BackendSession};
use vmcp_core::{BackendSessions as _, Inbound, NoticeKind, Question};
use vmcp_wire::Message;

use crate::{activity::Asked, session::Session};

/// How long to wait before a stream that ended is opened again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(1);

impl Session {
    /// Begins to listen to every backend session that is open, unless that is done already.
    pub(crate) fn listen_to_backends(&self) {
        let begun = self.with_activity(|activity| {
            let begin = activity.listening.is_none();
            activity.listening.get_or_insert_with(|| self.shared.background.stop().child_token());
            begin
        });
        if !begun {
            return;
        }
        let open = self.slots().open();
        for (id, _session) in open {
            if let Some(backend) = self.shared.vmcp.backend(id.as_str()) {
                self.listen_if_wanted(&backend);
            }
        }
    }

    /// Stops listening, unless the client has a subscription.
    pub(crate) fn stop_listening(&self) {
        if self.is_ended() || self.subscriptions().is_empty() {
            let listening = self.with_activity(|activity| activity.listening.take());
            if let Some(listening) = listening {
                listening.cancel();
            }
        }
    }

    /// Listens to a backend whose session has just been opened, if the session listens at all.
    pub(crate) fn listen_if_wanted(&self, backend: &Arc<Backend>) {
        let Some(stop) = self.with_activity(|activity| activity.listening.clone()) else { return };
        let Some(open) = self.open(backend) else { return };
        let (me, backend) = (self.me.clone(), Arc::clone(backend));
        self.shared.background.spawn(async move {
            stop.run_until_cancelled(keep_following(me, &backend, &open)).await;
        });
    }

    /// Follows one stream to its end. `false` if the backend offers none.
    async fn follow(&self, backend: &Arc<Backend>, open: &BackendSession) -> Result<bool, Error> {
        let Some(mut stream) = backend.listen(open, None).await? else { return Ok(false) };
        while let Some(message) = stream.next().await? {
            self.receive(backend, open, message).await?;
        }
        Ok(true)
    }

    /// Hands a message of a backend's own stream to the client.
    async fn receive(
        &self,
        backend: &Arc<Backend>,
        open: &BackendSession,
        message: Message,
    ) -> Result<(), Error> {
        let Some(inbound) = vmcp_core::receive(backend, open, self.capabilities, message).await?
        else {
            return Ok(());
        };
        match inbound {
            Inbound::Notice(notice) => {
                let wanted = match &notice.kind {
                    NoticeKind::ResourceUpdated(uri) => self.is_subscribed(uri),
                    NoticeKind::Log(_) | NoticeKind::Other => notice.passes(self.log_level()),
                };
                if wanted {
                    self.announce(&notice.text);
                }
            }
            Inbound::Asks(question) => self.put(question),
            Inbound::ListChanged(_) => self.shared.vmcp.refresh(backend.id()),
            Inbound::Response(_) => {}
        }
        Ok(())
    }

    /// Puts a question to the client on its GET stream.
    fn put(&self, question: Question) {
        let Question { backend, id, text, progress_token, .. } = question;
        let asked = Asked { backend, progress_token, _rest: None };
        if self.with_activity(|activity| activity.ask(id, asked)) {
            self.announce(&text);
        }
    }
}

/// Follows a backend's stream for as long as the session is there, again and again.
async fn keep_following(me: Weak<Session>, backend: &Arc<Backend>, open: &BackendSession) {
    while let Some(session) = me.upgrade() {
        match session.follow(backend, open).await {
            Ok(true) => {}
            // There is none to follow.
            Ok(false) => return,
            // The next call heals the session, and listens again.
            Err(Error::SessionLost) => return,
            Err(error) => {
                tracing::debug!(backend = %backend.id(), %error, "a backend's stream ended");
            }
        }
        drop(session);
        tokio::time::sleep(AGAIN).await;
    }
}
