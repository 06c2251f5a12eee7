//! What others do with a backend's health.

use std::sync::{Arc, atomic::Ordering};

use tokio::time::Instant;
use vmcp_model::{Era, Method};

use super::{Due, HealthSettings, HealthSnapshot, Sign};
use crate::{
    backend::{Backend, within},
    error::Error,
    session::Session,
};

impl Backend {
    /// Finds out whether the backend is alive: by a ping, which the modern era does not have, or by
    /// `server/discover`.
    ///
    /// # Errors
    /// If it is not, or does not know the session any more.
    pub async fn check(self: &Arc<Self>, session: &Session) -> Result<(), Error> {
        let admitted = self.health.admit()?;
        let began = Instant::now();
        let limit = self.health.settings().check_timeout.min(self.timeouts.idle);
        let alive = within(limit, async {
            if session.is_stateless() {
                return match self.discover(session).await?.0 {
                    Era::Modern => Ok(()),
                    Era::Legacy => Err(Error::SessionLost),
                };
            }
            let (id, text) = self.own_request(Method::Ping, None);
            let answer = self.exchange(session, text, Some(&id), None).await?;
            // An error is an answer, too.
            self.own_answer(session, answer, &id).await.map(|_answer| ())
        });
        let alive = alive.await;
        admitted.note(Sign::Check, alive.as_ref().err());
        if alive.is_ok() {
            self.health.checked_within(began.elapsed());
        }
        alive
    }

    /// Waits until somebody who watches the backend has something to do. Of all who wait, one is
    /// told to check.
    pub async fn due(&self) -> Due {
        self.health.due().await
    }

    /// Waits until the backend can be used again after it could not.
    pub async fn recovered(&self) {
        self.health.recovered().await;
    }

    /// Notes that a request was given up, which nothing else here can know.
    pub fn note_given_up(&self, error: &Error) {
        self.stats.failures.fetch_add(1, Ordering::Relaxed);
        self.health.failed(Sign::Call, error);
    }

    /// Notes that an answer went wrong that had begun well.
    pub fn note_spoiled(&self, error: &Error) {
        self.stats.failures.fetch_add(1, Ordering::Relaxed);
        self.health.spoiled(error);
    }

    /// Notes that an attempt to find out what the backend offers has failed.
    pub fn note_failed_check(&self, error: &Error) {
        self.health.failed(Sign::Check, error);
    }

    /// Notes how an attempt went to find out what the backend offers: of one that never made an offer
    /// nothing can be used, however well it answers.
    pub fn note_offer(&self, error: Option<&Error>) {
        self.health.offered(error);
    }

    /// What the backend is taken for.
    pub fn health(&self) -> HealthSnapshot {
        self.health.snapshot()
    }

    /// Whether the backend cannot be used, as far as is known.
    pub fn is_out(&self) -> bool {
        self.health.is_out()
    }

    pub fn health_settings(&self) -> HealthSettings {
        self.health.settings()
    }

    /// Judges by other settings from now on.
    pub fn set_health(&self, settings: HealthSettings) {
        self.health.set(settings);
    }
}
