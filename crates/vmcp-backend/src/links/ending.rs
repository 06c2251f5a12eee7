//! Links that have been closed and have not ended yet: a program takes its time.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, futures::Notified};

/// Those links, by their ids.
#[derive(Debug, Default)]
pub(super) struct Ending {
    ids: Mutex<HashMap<Box<str>, Why>>,
    ended: Notify,
}

/// Why a link was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Nobody needs it any more.
    Done,
    /// It is a program that was given up while it started: the next one waits until it has ended.
    GivenUp,
}

impl Ending {
    pub(super) fn begin(&self, id: &str, why: Why) {
        self.ids().insert(id.into(), why);
    }

    /// Notes that a link has ended, and given back its place, whether it was closed or not.
    pub(super) fn end(&self, id: &str) {
        self.ids().remove(id);
        self.ended.notify_waiters();
    }

    /// Wakes those who wait, as another link may be closed now.
    pub(super) fn wake(&self) {
        self.ended.notify_waiters();
    }

    /// Whether some link is about to end.
    pub(super) fn is_any(&self) -> bool {
        !self.ids().is_empty()
    }

    /// Completes when a link has ended after this was enabled.
    pub(super) fn ended(&self) -> Notified<'_> {
        self.ended.notified()
    }

    /// Waits until there is none that was given up.
    pub(super) async fn until_none_given_up(&self) {
        loop {
            let ended = self.ended();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if !self.ids().values().any(|why| *why == Why::GivenUp) {
                return;
            }
            ended.await;
        }
    }

    fn ids(&self) -> MutexGuard<'_, HashMap<Box<str>, Why>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
