//! Backends that configuration has taken out, or exchanged for others: what sessions have on them
//! ends, when what is under way has had its time.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};
use vmcp_backend::{Backend, Session as BackendSession};
use vmcp_core::BackendSessions as _;

use crate::{
    activity::Call, backends::Retired, replicas::close_unused, session::Session, sessions::Sessions,
};

/// How long after the exchange a call may still be entered that was routed before it.
const ROUTED: Duration = Duration::from_millis(250);

/// How often it is looked whether the calls on a backend have ended.
const LOOK: Duration = Duration::from_millis(100);

/// Sessions that are seen to at once.
const AT_ONCE: usize = 64;

/// What the client of a call is told that took longer than the drain allows.
const CUT_OFF: &str = "the backend was taken out of the configuration or changed, and the call was cut off; whether it ran is unknown";

impl Sessions {
    /// Ends what sessions have on backends that are not in use any more. Returns at once; calls
    /// that are under way on them may take as long as a drain.
    pub fn retire(self: &Arc<Self>, retired: Vec<Arc<Backend>>) {
        for backend in retired {
            let sessions = Arc::clone(self);
            self.shared.background.spawn(async move {
                if sessions.shared.vmcp.is_in_use(&backend) {
                    sessions.hand_over(&backend);
                } else {
                    sessions.part_with(&backend).await;
                    // Nobody uses the backend any more: its processes end.
                    backend.shutdown().await;
                }
            });
        }
    }

    /// Lets another listen in the place of a backend whose sessions go on.
    fn hand_over(&self, backend: &Backend) {
        let Some(successor) = self.shared.vmcp.backend(backend.id().as_str()) else { return };
        for session in self.all() {
            if session.stop_listening_to(backend)
                && let Some(open) = session.open(&successor)
            {
                session.listen_if_wanted(&successor, &open);
            }
        }
    }

    async fn part_with(&self, backend: &Arc<Backend>) {
        let stop = self.shared.background.stop();
        let deadline = Instant::now() + self.shared.config.drain;
        let _ended = tokio::time::timeout(ROUTED, stop.cancelled()).await;
        let mut parting = JoinSet::new();
        for session in self.all() {
            if session.has_own_offer(backend) {
                self.shared.update(&session).await;
            }
            if !session.slots().has(backend) {
                continue;
            }
            if parting.len() >= AT_ONCE {
                parting.join_next().await;
            }
            let backend = Arc::clone(backend);
            parting.spawn(async move { session.leave(&backend, deadline).await });
        }
        while parting.join_next().await.is_some() {}
        self.shared.vmcp.part_with(backend, deadline).await;
    }
}

impl Session {
    /// Closes what the session has on a backend that is not in use any more, when the calls on it
    /// have had their time.
    pub(crate) async fn leave(&self, backend: &Arc<Backend>, deadline: Instant) {
        let stop = self.shared.background.stop();
        stop.run_until_cancelled(self.calls_ended(backend, deadline)).await;
        self.part_with(backend).await;
    }

    /// Waits until no call is under way on a backend, and cuts off what takes too long.
    async fn calls_ended(&self, backend: &Arc<Backend>, deadline: Instant) {
        let on_it =
            |call: &Call| call.backend.as_ref().is_some_and(|of| of.lineage() == backend.lineage());
        while self.with_activity(|activity| activity.calls.values().any(on_it)) {
            if Instant::now() >= deadline {
                tracing::warn!(backend = %backend.id(), "calls on a backend that was taken out took longer than the drain allows and are cut off");
                self.with_activity(|activity| {
                    let calls = activity.calls.values().filter(|call| on_it(call));
                    calls.for_each(|call| call.signal.cut(CUT_OFF));
                });
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Closes what the session has on a backend. A client that listens hears from whichever has
    /// taken its place.
    async fn part_with(&self, backend: &Arc<Backend>) {
        let listened = self.stop_listening_to(backend);
        let open = self.retired(backend).await;
        let successor = self.shared.vmcp.backend(backend.id().as_str());
        if let Some(successor) = successor.filter(|_| listened && !self.is_ended()) {
            // A failure has been logged, and is tried again on use.
            let _opened = self.obtain(&successor).await;
        }
        if let Some(open) = open {
            close_unused(backend, &open, self.shared.config.drain).await;
        }
    }

    async fn retired(&self, backend: &Backend) -> Option<BackendSession> {
        loop {
            let retired = self.slots().retire(backend, &self.shared.replica);
            match retired {
                Retired::Nothing => return None,
                Retired::Open(session) => return Some(session),
                // Opening has an end: it has a deadline of its own.
                Retired::Opening(mut outcome) => {
                    outcome.wait_for(Option::is_some).await.ok()?;
                }
            }
        }
    }
}
