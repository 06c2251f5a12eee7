//! Watches everything that says which backends there are, and tells what it comes to.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::{
    sync::watch::{self, Receiver, Sender},
    time::sleep,
};

use crate::{
    candidates::LeftOut,
    cluster::Cluster,
    contents::Contents,
    found::Discovered,
    kind::Kind,
    own::OwnSecrets,
    seen::Seen,
    watch::{Watched, watch},
};

/// How long changes are gathered that come one after the other.
const GATHER: Duration = Duration::from_millis(100);

/// When what could not be read is read again, at first; twice as long each time.
const AGAIN: Duration = Duration::from_secs(1);

/// The longest that is waited for that.
const MAX_AGAIN: Duration = Duration::from_secs(60);

/// How long it may take at first until somebody is told what is missing.
const SLOW: Duration = Duration::from_secs(10);

/// How many objects are named at once that are left out.
const MAX_TOLD: usize = 50;

/// What has been told of the group.
#[derive(Default)]
struct Shown {
    lacks_group: bool,
    left_out: LeftOut,
}

/// The longest until it is told again; twice as long each time.
const MAX_SLOW: Duration = Duration::from_secs(600);

/// The backends of a group, as they come and go.
pub struct Discovery {
    cluster: Cluster,
    group: String,
    own: OwnSecrets,
    watched: Watched,
    found: Sender<Option<Arc<Discovered>>>,
}

impl Discovery {
    /// Those of a group. No backend is shown what is vmcp's own. Nothing is asked until it [runs](Self::run).
    pub fn new(cluster: Cluster, group: String, own: OwnSecrets) -> Self {
        Self { cluster, group, own, watched: Watched::default(), found: watch::channel(None).0 }
    }

    /// What has been found: `None` until every kind of objects was listed once.
    pub fn found(&self) -> Receiver<Option<Arc<Discovered>>> {
        self.found.subscribe()
    }

    /// Looks for backends for ever. While the API server is away, what was found last holds.
    pub async fn run(self) {
        let Watched { seen, telling, .. } = &self.watched;
        let watches = Kind::ALL.map(|kind| watch(&self.cluster, kind, &self.watched));
        let told = telling.run(&self.cluster, seen);
        tokio::join!(join_all(watches), told, self.tell(seen), self.wait_for(seen));
    }

    /// Tells what is found whenever it is something else.
    async fn tell(&self, seen: &Seen) {
        let mut contents = Contents::without(self.own.clone());
        let (mut told, mut again) = (Shown::default(), AGAIN);
        loop {
            let is_complete = self.look(seen, &mut contents, &mut told).await;
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
    async fn look(&self, seen: &Seen, contents: &mut Contents, told: &mut Shown) -> bool {
        let Some(objects) = seen.all() else { return true };
        let namespace = self.cluster.namespace();
        let of = |contents: &Contents| Discovered::of(&objects, contents, &self.group, namespace);
        let mut named = of(contents).1;
        let (found, left_out, is_complete) = loop {
            let is_complete = contents.refresh(&self.cluster, &objects, &named).await;
            let (found, now, left_out) = of(contents);
            // What is named behind something that was missing has not been asked for yet.
            if now.is_subset(&named) {
                break (found, left_out, is_complete);
            }
            named = now;
        };
        if std::mem::replace(&mut told.lacks_group, !found.has_group) == found.has_group {
            self.tell_of_group(&found);
        }
        told.tell_of_left_out(left_out);
        self.found.send_if_modified(|before| {
            let is_other = before.as_deref() != Some(&found);
            if is_other {
                *before = Some(Arc::new(found));
            }
            is_other
        });
        is_complete
    }

    fn tell_of_group(&self, found: &Discovered) {
        let (group, namespace) = (&self.group, self.cluster.namespace());
        if found.has_group {
            tracing::info!(group, namespace, "the MCPGroup is there now");
        } else {
            tracing::warn!(
                group,
                namespace,
                backends = found.backends.len(),
                "there is no such MCPGroup, which groupRef of the configuration names; the backends are those objects \
                 whose own groupRef names it"
            );
        }
    }

    /// What keeps the backends from being looked up, as far as the cluster says it.
    pub fn hindrance(&self) -> Receiver<Option<String>> {
        self.watched.telling.hindrance()
    }

    /// Says what keeps backends from being found at all, until they are.
    async fn wait_for(&self, seen: &Seen) {
        let mut wait = SLOW;
        loop {
            sleep(wait).await;
            wait = (wait * 2).min(MAX_SLOW);
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

impl Shown {
    /// Says of each object of the group why it is no backend, once for each reason.
    fn tell_of_left_out(&mut self, left_out: LeftOut) {
        let is_new = |(object, why): &(&String, &String)| self.left_out.get(*object) != Some(*why);
        let new: Vec<_> = left_out.iter().filter(is_new).collect();
        for (object, why) in new.iter().take(MAX_TOLD) {
            tracing::info!("{object} is left out: {why}");
        }
        if let Some(more) = new.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
            tracing::info!(more, "objects are left out besides");
        }
        self.left_out = left_out;
    }
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
