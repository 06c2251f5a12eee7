//! Programs that were given up while they started: the next one waits until they have ended.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// The links of those programs, by their ids.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    ids: Mutex<HashSet<Box<str>>>,
    ended: Notify,
}

impl Leaving {
    pub(super) fn begin(&self, id: &str) {
        self.ids().insert(id.into());
    }

    /// Notes that a program has ended, whether it was one of them or not.
    pub(super) fn end(&self, id: &str) {
        if self.ids().remove(id) {
            self.ended.notify_waiters();
        }
    }

    /// Waits until there is none.
    pub(super) async fn until_none(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.ids().is_empty() {
                return;
            }
            ended.await;
        }
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<Box<str>>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
