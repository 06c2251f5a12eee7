//! Reads what a session's own session on a backend lists, when the backend says that it has changed.
//!
//! What a backend says about its lists on a client's own session may be true there only. So the lists
//! are read on that session, and those that differ from what the view is offered become the
//! session's own.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use vmcp_backend::{Backend, Error, Lineage, ListsChanged, Session as BackendSession};
use vmcp_core::{BackendSessions as _, OwnOffer};
use vmcp_model::BackendId;

use crate::{own_offers::Own, session::Session};

/// Changes that come within this time are one change.
const COALESCE: Duration = Duration::from_millis(50);

/// The least time between two readings of one session's lists on one backend.
const PAUSE: Duration = Duration::from_millis(500);

/// How often a reading that fails is tried, each time after a longer pause.
const ATTEMPTS: u32 = 4;

/// How long a call waits for lists that have changed: its answer, if they have changed in the call,
/// and one that names what is not known yet.
const HOLD: Duration = Duration::from_secs(1);

/// How long after a call's answer what it has changed may be told.
const GRACE: Duration = Duration::from_millis(50);

/// The reading of one backend's lists.
#[derive(Debug)]
pub(crate) struct Reading {
    backend: BackendId,
    lineage: Lineage,
    /// How many changes have been told.
    told: u64,
    /// How many of them have been read.
    read: u64,
    done: Arc<Notify>,
}

impl Own {
    /// Notes that lists have changed. `true` if nobody reads them yet.
    fn tell(&mut self, backend: &Backend) -> bool {
        if let Some(reading) = self.reading(backend) {
            reading.told += 1;
            return false;
        }
        self.readings.reserve_exact(1);
        self.readings.push(Reading {
            backend: backend.id().clone(),
            lineage: backend.lineage(),
            told: 1,
            read: 0,
            done: Arc::default(),
        });
        true
    }

    fn reading(&mut self, backend: &Backend) -> Option<&mut Reading> {
        let is_of = |reading: &&mut Reading| {
            reading.lineage == backend.lineage() && reading.backend == *backend.id()
        };
        self.readings.iter_mut().find(is_of)
    }

    /// Ends a reading, unless more has changed meanwhile.
    fn end(&mut self, backend: &Backend) -> bool {
        let over = self.reading(backend).is_none_or(|reading| reading.read >= reading.told);
        if over {
            self.stop(backend);
        }
        over
    }

    fn stop(&mut self, backend: &Backend) {
        if let Some(reading) = self.reading(backend) {
            reading.done.notify_waiters();
        }
        self.readings.retain(|reading| {
            reading.lineage != backend.lineage() || reading.backend != *backend.id()
        });
    }
}

impl Session {
    /// Takes in that a backend has said, on the session's own session, that its lists have changed.
    pub(crate) fn note_lists_changed(&self, backend: &Arc<Backend>) {
        self.shared.vmcp.refresh(backend.id(), self.client_view().subject());
        self.read_lists_soon(backend);
    }

    /// Hears of changes of the lists that come while nobody listens to the backend.
    pub(crate) fn attend(&self, backend: &Arc<Backend>, open: &BackendSession) {
        let (me, weak) = (self.me.clone(), Arc::downgrade(backend));
        let told = ListsChanged::new(move || {
            if let (Some(session), Some(backend)) = (me.upgrade(), weak.upgrade()) {
                session.note_lists_changed(&backend);
            }
        });
        backend.tell_of_lists(open, told);
    }

    /// Has the session's lists of a backend read, once for all changes that come before long.
    pub(crate) fn read_lists_soon(&self, backend: &Arc<Backend>) {
        if self.is_ended() || !self.with_own(|own| own.tell(backend)) {
            return;
        }
        let (me, backend) = (self.me.clone(), Arc::clone(backend));
        self.shared.background.spawn_until_stop(keep_reading(me, backend));
    }

    /// Whether lists have changed that have not been read yet.
    pub(crate) fn is_reading_lists(&self) -> bool {
        let any = |own: &mut Own| own.readings.iter().any(|reading| reading.read < reading.told);
        self.with_any_own(any).unwrap_or(false)
    }

    /// Whether some call is under way, or has ended since.
    pub(crate) fn has_called_since(&self, since: Instant) -> bool {
        let called = self.peek(|activity| match activity.calls.is_empty() {
            true => activity.listening.as_ref()?.called,
            false => Some(Instant::now()),
        });
        called.is_some_and(|called| called >= since)
    }

    /// Whether lists may be about to change: what a call has changed may be told on another stream than
    /// its answer.
    pub(crate) fn lists_are_unsettled(&self) -> bool {
        let called = self.last_called();
        called.is_some_and(|called| called.elapsed() < GRACE) || self.is_reading_lists()
    }

    /// When a call has ended last. Who does not listen hears of what it has changed in the call itself.
    fn last_called(&self) -> Option<Instant> {
        self.peek(|activity| activity.listening.as_ref()?.called)
    }

    /// Waits until that is over.
    pub(crate) async fn lists_settled(&self) {
        if let Some(called) = self.last_called() {
            tokio::time::sleep_until(called + GRACE).await;
        }
        self.all_lists_read().await;
    }

    /// Waits until what has changed of a backend's lists so far has been read, but no longer than a
    /// call may.
    pub(crate) async fn lists_read(&self, backend: &Backend) {
        let id = backend.id().clone();
        self.wait_for_lists(|reading| reading.backend == id).await;
    }

    /// The same for all backends.
    pub(crate) async fn all_lists_read(&self) {
        self.wait_for_lists(|_reading| true).await;
    }

    async fn wait_for_lists(&self, which: impl Fn(&Reading) -> bool) {
        let wanted = |own: &mut Own| {
            let wanted = own.readings.iter().filter(|reading| which(reading));
            wanted.map(|reading| (Arc::clone(&reading.done), reading.told)).collect::<Vec<_>>()
        };
        let wanted = self.with_any_own(wanted).unwrap_or_default();
        let waiting = async {
            for (done, told) in wanted {
                self.read_up_to(&done, told).await;
            }
        };
        // Whoever waits goes on; the client is told when they have been read.
        let _late = tokio::time::timeout(HOLD, waiting).await;
    }

    async fn read_up_to(&self, done: &Arc<Notify>, told: u64) {
        loop {
            let notified = done.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            let waits = |own: &mut Own| {
                let mut readings = own.readings.iter();
                readings.any(|reading| Arc::ptr_eq(&reading.done, done) && reading.read < told)
            };
            if !self.with_any_own(waits).unwrap_or(false) {
                return;
            }
            notified.await;
        }
    }

    /// Reads the lists and makes what differs from the view's the session's own. Without an open
    /// session on the backend there is nothing to read.
    ///
    /// # Errors
    /// If a list could not be read. What could be is kept all the same.
    async fn read_and_keep(self: &Arc<Self>, backend: &Arc<Backend>) -> Result<(), Error> {
        // One on which the backend's sessions are good may have taken its place.
        let Some(backend) = self.shared.vmcp.backend(backend.id().as_str()) else { return Ok(()) };
        let Some(open) = self.open(&backend).filter(|open| !open.is_stateless()) else {
            return Ok(());
        };
        let read = self.shared.own_offers.read(&backend, &open).await?;
        let (own, of_view) = (self.own_offer(&backend), self.view.offer(backend.id()));
        let (offer, problem) = OwnOffer::read(read, own.as_deref(), of_view.as_deref());
        let differs = !self.view.shows(backend.id(), &offer);
        if differs {
            self.shared.vmcp.note_own_lists(backend.id());
        }
        if differs || self.has_own_offer(&backend) {
            self.shared.keep_own(self, &backend, offer).await;
        }
        problem.map_or(Ok(()), |why| Err(Error::Protocol(why)))
    }
}

/// Reads a session's lists of a backend until there is nothing new.
async fn keep_reading(me: Weak<Session>, backend: Arc<Backend>) {
    let mut failures = 0;
    loop {
        tokio::time::sleep(COALESCE).await;
        let began = Instant::now();
        let Some(session) = me.upgrade() else { return };
        if session.is_ended() {
            session.with_any_own(|own| own.stop(&backend));
            return;
        }
        let told = session.with_own(|own| own.reading(&backend).map(|reading| reading.told));
        let Some(told) = told else { return };
        match session.read_and_keep(&backend).await {
            Ok(()) => failures = 0,
            Err(error) => {
                failures += 1;
                tracing::debug!(backend = %backend.id(), %error, "what a session's own session lists could not be read");
                // What opens the session anew has the lists read, if they were the session's own.
                if matches!(error, Error::SessionLost) || failures >= ATTEMPTS {
                    tracing::warn!(backend = %backend.id(), %error, "what a backend lists to one session is not known; the session is shown what it was");
                    failures = 0;
                }
            }
        }
        if failures == 0 {
            session.with_own(|own| {
                if let Some(reading) = own.reading(&backend) {
                    reading.read = told;
                    reading.done.notify_waiters();
                }
            });
        }
        drop(session);
        // A backend that always has something new is not asked all the time.
        tokio::time::sleep_until(began + PAUSE * 4_u32.pow(failures)).await;
        let Some(session) = me.upgrade() else { return };
        if session.with_own(|own| own.end(&backend)) {
            return;
        }
    }
}
