//! Gets one backend's offer for one view, and keeps it true.
//!
//! One task for each backend and view, not for each session: it has a backend session of its own,
//! whose stream tells it of list changes.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use vmcp_backend::{Backend, Error, Events, Session};
use vmcp_model::BackendId;
use vmcp_wire::Shape;

use super::View;
use crate::inbound::Inbound;

/// Changes that come within this time are one change.
const COALESCE: Duration = Duration::from_millis(50);

/// The first and the longest wait before a failed backend is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// How long an attempt may hold its place in the queue: a slow backend must not keep others from
/// being asked.
const PLACE: Duration = Duration::from_secs(1);

/// Watches one backend for one view.
pub(crate) struct Watch {
    pub(crate) backend: Arc<Backend>,
    pub(crate) view: Weak<View>,
    pub(crate) stop: CancellationToken,
    /// Bounds the attempts that are made at once.
    pub(crate) places: Arc<Semaphore>,
    pub(crate) wanted: Arc<Wanted>,
    pub(crate) max_age: Duration,
}

/// How somebody asks for an offer.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// A client is about to be shown it; an old one will do for now.
    pub(crate) used: Notify,
    /// The backend has changed or restarted.
    pub(crate) fresh: Notify,
}

/// Why the watching of a session ended.
enum End {
    /// The offer is to be asked for again on the same session.
    Changed,
    /// The session is no good any more.
    Failed(Error),
}

impl Watch {
    /// Watches until the view ends.
    pub(crate) async fn run(self) {
        let stop = self.stop.clone();
        let mut session = None;
        stop.run_until_cancelled(self.watch(&mut session)).await;
        if let Some(session) = session
            && let Err(error) = self.backend.close(&session).await
        {
            tracing::debug!(backend = %self.id(), %error, "could not end the watch session");
        }
    }

    async fn watch(&self, current: &mut Option<Session>) {
        let mut failures = 0_u32;
        loop {
            let refreshed = match Box::pin(self.attempt(current)).await {
                Ok(session) => {
                    failures = 0;
                    self.follow(&session).await
                }
                Err(error) => Err(error),
            };
            match refreshed {
                Ok(()) => {}
                Err(error) => {
                    failures += 1;
                    if let Some(lost) = current.take() {
                        let _gone = self.backend.close(&lost).await;
                    }
                    self.rest(&error, failures).await;
                }
            }
        }
    }

    /// Waits before the next attempt. A session that was lost once needs no wait to speak of.
    async fn rest(&self, error: &Error, failures: u32) {
        if matches!(error, Error::SessionLost) && failures == 1 {
            tokio::time::sleep(COALESCE).await;
            return;
        }
        self.report(error, failures);
        tokio::select! {
            () = tokio::time::sleep(backoff(failures, self.id())) => {}
            () = self.wanted.fresh.notified() => {}
            () = self.wanted.used.notified() => {}
        }
    }

    /// Opens a session if there is none, and gets the offer.
    async fn attempt(&self, current: &mut Option<Session>) -> Result<Session, Error> {
        let Some(client) = self.view.upgrade().map(|view| view.client().clone()) else {
            return std::future::pending().await;
        };
        let work = async {
            let session = match &*current {
                Some(session) => session.clone(),
                None => self.backend.open(&client).await?,
            };
            *current = Some(session.clone());
            let offer = self.backend.offer(&session).await?;
            if let Some(view) = self.view.upgrade() {
                view.enter(self.id(), Ok(offer));
            }
            Ok(session)
        };
        tokio::pin!(work);
        let place = self.places.acquire().await;
        if let Ok(done) = tokio::time::timeout(PLACE, &mut work).await {
            return done;
        }
        drop(place);
        work.await
    }

    /// Waits until the offer is to be asked for again. The error says that the session is no good.
    async fn follow(&self, session: &Session) -> Result<(), Error> {
        if !session.facts().has.list_changes {
            return self.wait_for_demand().await;
        }
        let mut attempts = 0_u32;
        loop {
            let Some(mut stream) = self.backend.listen(session, None).await? else {
                return self.wait_for_demand().await;
            };
            if attempts > 0 {
                // Something may have changed while nobody listened.
                return Ok(());
            }
            match self.listen(session, &mut stream).await {
                End::Changed => return Ok(()),
                End::Failed(Error::Broken(_)) => {
                    attempts += 1;
                    tokio::time::sleep(backoff(attempts, self.id())).await;
                }
                End::Failed(error) => return Err(error),
            }
        }
    }

    /// Listens until a list changes.
    async fn listen(&self, session: &Session, stream: &mut Events) -> End {
        loop {
            let message = tokio::select! {
                message = stream.next() => message,
                () = self.wanted.fresh.notified() => return End::Changed,
            };
            match message {
                Ok(Some(message)) if message.shape() == Shape::Request => {
                    if let Err(error) = self.backend.decline(session, &message).await {
                        return End::Failed(error);
                    }
                }
                Ok(Some(message)) => {
                    if let Some(Inbound::ListChanged(_)) = Inbound::of(message, self.id()) {
                        tokio::time::sleep(COALESCE).await;
                        return End::Changed;
                    }
                }
                Ok(None) => return End::Failed(Error::Broken("the stream ended".to_owned())),
                Err(error) => return End::Failed(error),
            }
        }
    }

    /// A backend that announces nothing is asked again when somebody needs its offer and it is old.
    async fn wait_for_demand(&self) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            tokio::select! {
                () = self.wanted.fresh.notified() => return Ok(()),
                () = self.wanted.used.notified() => {
                    if began.elapsed() >= self.max_age {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn report(&self, error: &Error, failures: u32) {
        if failures == 1 {
            tracing::warn!(backend = %self.id(), %error, "the backend's offer could not be read; it is tried again");
        }
        if let Some(view) = self.view.upgrade() {
            view.enter(self.id(), Err(error.to_string()));
        }
    }

    fn id(&self) -> &BackendId {
        self.backend.id()
    }
}

/// How long to wait before the next attempt: longer each time, and not the same for all backends.
fn backoff(failures: u32, id: &BackendId) -> Duration {
    let (first, longest) = BACKOFF;
    let wait = first.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(longest);
    let spread = id
        .as_str()
        .bytes()
        .fold(failures, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    wait.mul_f64(0.75 + f64::from(spread % 256) / 512.0)
}
