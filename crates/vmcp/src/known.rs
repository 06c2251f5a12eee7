//! What backends have offered before this process began, kept on disk.
//!
//! Backends that are given without a configuration file are mostly programs, some of which take long to
//! start. Their last good offers are listed at once at the next start, before they have been asked. There
//! is one file for what is served together, so a command line that gives a backend of the same name in
//! another way knows nothing of it. Where a file cannot be used, or written, vmcp goes on without.

mod folder;
mod form;
mod identity;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vmcp_core::{BackendState, Background, Known as Offered, KnownKinds, OfferStatus, View, Vmcp};
use vmcp_model::{BackendId, Digest};

use crate::config::Configuration;
use folder::Folder;

/// How long changes are gathered before they are written.
const GATHER: Duration = Duration::from_secs(5);

/// How often the file is marked as being used. It is far less than what makes it old.
const RENEW: Duration = Duration::from_secs(24 * 60 * 60);

/// The known offers of what is served, and where they are kept.
pub(crate) struct Known {
    folder: Folder,
    name: String,
    offered: Offered,
    /// What the file holds, if it was read or written.
    stored: Option<Digest>,
    /// Those whose offers are too large to be kept.
    left_out: BTreeSet<BackendId>,
    /// Whether the last attempt to write has failed, so that this is said once.
    has_failed: bool,
}

/// Why the file is looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// Something is offered that was not.
    Change,
    /// It would count as unused before long.
    Age,
    End,
}

impl Known {
    /// Finds what is known of the backends of a configuration. `None` if nothing can be kept, which is
    /// logged.
    pub(crate) fn open(
        configuration: &Configuration,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        let Some(path) = folder::path(environment) else {
            tracing::info!("without HOME or XDG_STATE_HOME, no offers are kept for the next start");
            return None;
        };
        let opened = Folder::open(path).and_then(|folder| {
            let name = identity::name(&folder.key()?, configuration);
            Ok((folder, name))
        });
        match opened {
            Ok((folder, name)) => Some(Self::read(folder, name)),
            Err(error) => {
                tracing::warn!("no offers are kept for the next start: {error:#}");
                None
            }
        }
    }

    fn read(folder: Folder, name: String) -> Self {
        let read = folder.read(&name).and_then(|bytes| {
            let Some(bytes) = bytes else { return Ok((Offered::default(), None)) };
            let offered = form::read(&bytes).map_err(|why| folder.unusable(&name, &why))?;
            Ok((offered, Some(Digest::of(&bytes))))
        });
        let (offered, stored) = read.unwrap_or_else(|error| {
            tracing::warn!("what the backends offered last is not used: {error:#}");
            (Offered::default(), None)
        });
        folder.prune(&name);
        let (left_out, has_failed) = (BTreeSet::new(), false);
        Self { folder, name, offered, stored, left_out, has_failed }
    }

    /// What each backend has offered last.
    pub(crate) fn offered(&self) -> Offered {
        self.offered.clone()
    }

    /// Keeps what a view is offered from now on, and what is found of kinds of clients, until shutdown,
    /// which waits for the last of it.
    pub(crate) fn keep(self, vmcp: &Arc<Vmcp>, view: Arc<View>, background: &Background) {
        let (mut changes, stop) = (vmcp.catalog_changes(), background.stop().clone());
        // What came before is not known to be in.
        changes.mark_changed();
        background.spawn(self.follow(Arc::clone(vmcp), view, changes, stop));
    }

    async fn follow(
        mut self,
        vmcp: Arc<Vmcp>,
        view: Arc<View>,
        mut changes: watch::Receiver<u64>,
        stop: CancellationToken,
    ) {
        loop {
            let reason = tokio::select! {
                () = gathered(&mut changes) => Reason::Change,
                () = tokio::time::sleep(RENEW) => Reason::Age,
                () = stop.cancelled() => Reason::End,
            };
            let (states, kinds) = (view.backends(), vmcp.known_kinds());
            let brought = tokio::task::spawn_blocking(move || self.bring(states, kinds, reason));
            self = match brought.await {
                Ok(known) => known,
                Err(error) => {
                    tracing::error!(%error, "no offers are kept for the next start any more");
                    return;
                }
            };
            if reason == Reason::End {
                return;
            }
        }
    }

    /// Brings the file up to date.
    fn bring(
        mut self,
        states: BTreeMap<BackendId, BackendState>,
        kinds: KnownKinds,
        reason: Reason,
    ) -> Self {
        self.take_in(states);
        self.offered.kinds = kinds;
        self.write();
        match reason {
            Reason::Age => self.folder.mark_used(&self.name),
            Reason::Change | Reason::End => {}
        }
        self
    }

    /// Takes in the offers that are whole. Those of others stay as they were: a backend that has not
    /// answered may offer the same the next time.
    fn take_in(&mut self, states: BTreeMap<BackendId, BackendState>) {
        for (id, state) in states {
            match (state.status, state.offer) {
                (OfferStatus::Good, Some(offer)) => drop(self.offered.offers.insert(id, offer)),
                (OfferStatus::Good, None)
                | (
                    OfferStatus::Unknown
                    | OfferStatus::OfCallers
                    | OfferStatus::Partial(_)
                    | OfferStatus::Failed(_),
                    _,
                ) => {}
            }
        }
    }

    /// Writes what is known, if the file does not hold it.
    fn write(&mut self) {
        if self.offered.offers.is_empty() {
            return;
        }
        let (bytes, left_out) = form::write(&self.offered);
        for id in left_out.difference(&self.left_out) {
            tracing::warn!(backend = %id, "its offer is too large to be kept for the next start");
        }
        self.left_out = left_out;
        let digest = Digest::of(&bytes);
        if self.stored == Some(digest) {
            return;
        }
        match self.folder.write(&self.name, &bytes) {
            Ok(()) => (self.stored, self.has_failed) = (Some(digest), false),
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!("offers are not kept for the next start: {error:#}");
                }
            }
        }
    }
}

/// Waits for changes, and for those that come soon after.
async fn gathered(changes: &mut watch::Receiver<u64>) {
    if changes.changed().await.is_err() {
        // There is nobody left who could change anything.
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(GATHER).await;
}
