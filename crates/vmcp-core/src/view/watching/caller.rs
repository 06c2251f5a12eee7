//! Reads what a backend lists to one caller, which it is shown the credential or headers of.
//!
//! There may be very many callers, so none has a session at the backend that is there for nothing but this:
//! one is opened to read the lists, and ended when they are read. They are read again when the caller is
//! shown lists that are over, or the backend has said that they have changed. What changes on the caller's
//! own session is heard there.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use vmcp_backend::{Error, Session, Unavailable};

use super::{PAUSE, Watch};
use crate::view::watching::following::ReadTerms;

/// How long after it was shown its lists a caller is taken to wait for those that could not be read.
const WAITS: Duration = Duration::from_secs(60);

impl Watch {
    /// Reads the lists now and then until the view ends.
    pub(crate) async fn run_for_caller(self) {
        let stop = self.stop.clone();
        let mut open = None;
        stop.run_until_cancelled(self.read_for_caller(&mut open)).await;
        Box::pin(self.end_reading(&mut open)).await;
    }

    async fn read_for_caller(&self, open: &mut Option<Session>) {
        let mut failures = 0;
        loop {
            let began = Instant::now();
            // Boxed: while nothing is read, no room is kept for it.
            let reading = Box::pin(self.read_once(open));
            let read = Box::pin(self.places.within(reading, self.backend.until_quiet())).await;
            Box::pin(self.end_reading(open)).await;
            match read {
                Ok(over) => {
                    failures = 0;
                    tokio::select! {
                        () = self.wanted.fresh.notified() => {}
                        () = self.fresh.asked_since(over) => {}
                    }
                    sleep_until(began + PAUSE).await;
                }
                Err(error) => {
                    failures += 1;
                    let failed = Instant::now();
                    Box::pin(self.rest(&error, failures)).await;
                    // A caller that is gone, or was refused, is not asked for again until it is there.
                    let is_refused = matches!(error, Error::NoCredential(Unavailable::Caller(_)));
                    if is_refused || !self.fresh.was_asked_within(WAITS) {
                        self.fresh.asked_since(failed).await;
                    }
                }
            }
        }
    }

    /// Reads the lists on a session of its own, and gives when they are over.
    async fn read_once(&self, open: &mut Option<Session>) -> Result<Instant, Error> {
        let Some(client) = self.view.upgrade().map(|view| view.client().clone()) else {
            return std::future::pending().await;
        };
        let session = open.insert(self.open(client).await?);
        let offer = self.backend.offer(session).await?;
        let terms = ReadTerms::of(&offer);
        let over = self.over(session, &terms);
        if let Some(view) = self.view.upgrade() {
            view.enter(self.id(), Ok(offer));
        }
        Ok(over)
    }

    async fn end_reading(&self, open: &mut Option<Session>) {
        if let Some(session) = open.take()
            && let Err(error) = self.backend.close(&session).await
        {
            tracing::debug!(backend = %self.id(), %error, "could not end the session on which lists were read");
        }
    }
}
