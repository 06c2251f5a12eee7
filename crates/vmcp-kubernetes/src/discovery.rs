//! Watches everything that says which backends there are, and tells what it comes to.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::{
    sync::{
        Notify,
        watch::{self, Receiver, Sender},
    },
    time::sleep,
};

use crate::{
    cluster::Cluster, contents::Contents, found::Discovered, kind::Kind, seen::Seen, watch::watch,
};

/// How long changes are gathered that come one after the other.
const GATHER: Duration = Duration::from_millis(100);

/// When what could not be read is read again, at first; twice as long each time.
const AGAIN: Duration = Duration::from_secs(1);

/// The longest that is waited for that.
const MAX_AGAIN: Duration = Duration::from_secs(60);

/// How long it may take at first until somebody is told what is missing.
const SLOW: Duration = Duration::from_secs(10);

/// The backends of a group, as they come and go.
pub struct Discovery {
    cluster: Cluster,
    group: String,
    reserved: Option<String>,
    found: Sender<Option<Arc<Discovered>>>,
}

impl Discovery {
    /// Those of a group. A Secret that is reserved is no backend's to be shown. Nothing is asked until it
    /// [runs](Self::run).
    pub fn new(cluster: Cluster, group: String, reserved: Option<String>) -> Self {
        Self { cluster, group, reserved, found: watch::channel(None).0 }
    }

    /// What has been found: `None` until every kind of objects was listed once.
    pub fn found(&self) -> Receiver<Option<Arc<Discovered>>> {
        self.found.subscribe()
    }

    /// Looks for backends for ever. While the API server is away, what was found last holds.
    pub async fn run(self) {
        let (seen, answered) = (Seen::default(), Notify::new());
        let watches = Kind::ALL.map(|kind| watch(&self.cluster, kind, &seen, &answered));
        tokio::join!(join_all(watches), self.tell(&seen), self.wait_for(&seen));
    }

    /// Tells what is found whenever it is something else.
    async fn tell(&self, seen: &Seen) {
        let mut contents = Contents::default();
        let (mut has_group, mut again) = (true, AGAIN);
        loop {
            let is_complete = self.look(seen, &mut contents, &mut has_group).await;
            if is_complete {
                again = AGAIN;
            }
            tokio::select! {
                () = seen.changed.notified() => sleep(GATHER).await,
                () = sleep(again), if !is_complete => again = (again * 2).min(MAX_AGAIN),
            }
        }
    }

    /// Looks at what has been seen. Returns whether all could be read that is named.
    async fn look(&self, seen: &Seen, contents: &mut Contents, has_group: &mut bool) -> bool {
        let Some(objects) = seen.all() else { return true };
        let namespace = self.cluster.namespace();
        let reserved = self.reserved.as_deref();
        let of = |contents: &Contents| {
            Discovered::of(&objects, (contents, reserved), &self.group, namespace)
        };
        let mut named = of(contents).1;
        let (found, is_complete) = loop {
            let is_complete = contents.refresh(&self.cluster, &objects, &named).await;
            let (found, now) = of(contents);
            // What is named behind something that was missing has not been asked for yet.
            if now.is_subset(&named) {
                break (found, is_complete);
            }
            named = now;
        };
        let groups = objects.get(&Kind::Group);
        let has_it = groups.is_some_and(|groups| groups.contains_key(&self.group));
        if std::mem::replace(has_group, has_it) && !has_it {
            let group = &self.group;
            tracing::warn!(group, namespace, "there is no such MCPGroup");
        }
        self.found.send_if_modified(|before| {
            let is_other = before.as_deref() != Some(&found);
            if is_other {
                *before = Some(Arc::new(found));
            }
            is_other
        });
        is_complete
    }

    /// Says what keeps backends from being found at all, until they are.
    async fn wait_for(&self, seen: &Seen) {
        loop {
            sleep(SLOW).await;
            let missing = seen.missing();
            if missing.is_empty() {
                return;
            }
            let missing: Vec<_> = missing.into_iter().map(Kind::plural).collect();
            tracing::warn!(
                missing = missing.join(", "),
                "not ready: the API server has not listed these yet"
            );
        }
    }
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
