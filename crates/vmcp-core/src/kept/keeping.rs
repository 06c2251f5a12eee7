//! What keeps a backend session: one task opens it, hears what the backend says outside of calls, and
//! ends it.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use vmcp_backend::{Backend, Declined, Error, Events, Reopening, Session};
use vmcp_wire::Shape;

use super::session::{KeptSession, Open, Opened, tell_level};
use crate::inbound::Inbound;

/// How long the first call waits for the stream to open, so that nothing is asked before somebody is
/// there to decline it.
const BEGIN: Duration = Duration::from_millis(500);

/// The keeping of one backend session.
struct Keeping {
    kept: Arc<KeptSession>,
    backend: Arc<Backend>,
    generation: u64,
    /// The kept session has ended, or goes on with another.
    over: CancellationToken,
}

/// How the keeping ends.
enum End {
    /// The session is to be ended.
    Over,
    /// The backend does not know it any more.
    Lost,
}

impl KeptSession {
    /// Begins to open a backend session and to keep it. It goes on even if whoever asked for it goes
    /// away: the backend may have made one, and only its answer says which it is.
    pub(super) fn begin_keeping(
        self: &Arc<Self>,
        backend: &Arc<Backend>,
        generation: u64,
        over: CancellationToken,
    ) -> watch::Receiver<Option<Opened>> {
        let (sender, outcome) = watch::channel(None);
        let keeping =
            Keeping { kept: Arc::clone(self), backend: Arc::clone(backend), generation, over };
        self.shared.background.spawn(keeping.run(sender));
        outcome
    }
}

impl Keeping {
    async fn run(self, outcome: watch::Sender<Option<Opened>>) {
        let stop = self.kept.shared.background.stop();
        let opening = self.backend.open(&self.kept.client);
        let Some(opened) = stop.run_until_cancelled(opening).await else { return };
        let session = match &opened {
            Ok(session) if !session.is_stateless() => session.clone(),
            Ok(_) | Err(_) => return self.tell(&outcome, opened),
        };
        let (begins, begun) = oneshot::channel();
        let listening = self.listen(&session, begins);
        tokio::pin!(listening);
        let ready = async {
            if let Some(level) = self.kept.level().filter(|_| session.facts().has.logging) {
                tell_level(&self.backend, &session, level).await;
            }
            // A stream that does not open in time opens later.
            let _late = tokio::time::timeout(BEGIN, begun).await;
        };
        let ended = tokio::select! {
            () = &mut listening => Some(End::Lost),
            () = ready => None,
        };
        self.tell(&outcome, opened);
        let end = match ended {
            Some(end) => end,
            None => tokio::select! {
                () = &mut listening => End::Lost,
                // It goes on with another where the backend did not know this one any more.
                () = self.over.cancelled() => {
                    if self.kept.has(self.generation) { End::Over } else { End::Lost }
                }
                () = self.idle() => End::Over,
                () = stop.cancelled() => End::Over,
            },
        };
        if matches!(end, End::Lost) {
            self.kept.note_lost(self.generation);
        }
        if let Some(key) = self.kept.key() {
            let open = Open::new(&self.backend, session.clone(), self.generation);
            self.kept.shared.lists.forget(key, &open);
        }
        match end {
            End::Lost => {}
            End::Over => {
                if let Err(error) = self.backend.close(&session).await {
                    tracing::debug!(backend = %self.backend.id(), %error, "a kept session could not be ended");
                }
            }
        }
    }

    fn tell(&self, outcome: &watch::Sender<Option<Opened>>, opened: Result<Session, Error>) {
        if let Err(error) = &opened {
            tracing::warn!(backend = %self.backend.id(), %error, "could not open a backend session");
        }
        let opened = opened.map(|session| Open::new(&self.backend, session, self.generation));
        self.kept.note_opened(&opened);
        if let Ok(open) = &opened {
            self.kept.attend(open);
        }
        // Nobody may be left to hear of it.
        outcome.send_replace(Some(opened));
    }

    /// Waits until nobody has used the session for as long as it is kept.
    async fn idle(&self) {
        loop {
            tokio::time::sleep_until(self.kept.ends_at()).await;
            if self.kept.leave_if_unused(self.kept.shared.bridge.idle) {
                return self.kept.forget();
            }
        }
    }

    /// Hears what the backend says outside of calls, until it has lost the session. `begins` hears
    /// when it is listened to, or cannot be.
    async fn listen(&self, session: &Session, begins: oneshot::Sender<()>) {
        let mut begins = Some(begins);
        let mut reopening = Reopening::default();
        loop {
            let (began, mut has_brought) = (Instant::now(), false);
            let stream = self.backend.overhear(session).await;
            if begins.take().is_none() && matches!(stream, Ok(Some(_))) {
                // What has changed while nobody listened is found by asking.
                let open = Open::new(&self.backend, session.clone(), self.generation);
                self.kept.read_lists_soon(&open);
            }
            let ended = match stream {
                Ok(Some(stream)) => self.hear(session, stream, &mut has_brought).await,
                // It has none to offer.
                Ok(None) | Err(Error::Refused { .. } | Error::Protocol(_)) => {
                    return std::future::pending().await;
                }
                Err(error) => error,
            };
            if matches!(ended, Error::SessionLost) {
                return;
            }
            tracing::debug!(backend = %self.backend.id(), error = %ended, "a kept session is not listened to");
            let wait = match ended {
                Error::Broken(_) | Error::LinkEnded { .. } => {
                    reopening.ended(began.elapsed(), has_brought)
                }
                _ => reopening.failed(began.elapsed(), has_brought),
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Declines what is asked, since nobody can tell which call it belongs to, and lets the lists be
    /// read again that have changed. Gives what ended the stream.
    async fn hear(&self, session: &Session, mut stream: Events, has_brought: &mut bool) -> Error {
        loop {
            let message = match stream.next().await {
                Ok(Some(message)) => message,
                Ok(None) => return Error::Broken("the stream ended".to_owned()),
                Err(error) => return error,
            };
            *has_brought = true;
            match message.shape() {
                Shape::Request => {
                    if let Err(error) =
                        self.backend.decline(session, &message, Declined::Incapable).await
                    {
                        tracing::debug!(backend = %self.backend.id(), %error, "could not decline what the backend asked");
                    }
                }
                Shape::Notification => {
                    if let Some(Inbound::ListChanged) = Inbound::of(message, self.backend.id()) {
                        let open = Open::new(&self.backend, session.clone(), self.generation);
                        self.kept.note_lists_changed(&open);
                    }
                }
                Shape::Response => {}
            }
        }
    }
}
