//! The session store as the place where the replicas of a virtual server say that they live.

use std::{sync::Arc, time::Duration};

use vmcp_kubernetes::{Answer, Register};
use vmcp_store::Store;

/// A store that all replicas share.
pub(super) struct Shared(pub(super) Arc<dyn Store>);

impl Register for Shared {
    fn enter(&self, replica: &str, holds: Duration) -> Answer<'_, ()> {
        let until = self.0.clock().now().after(holds);
        let announced = self.0.announce_replica(replica.to_owned(), None, until);
        Box::pin(async move {
            if let Err(error) = announced.await {
                tracing::debug!(%error, "could not say to those who report the status that this replica lives");
            }
        })
    }

    fn has(&self, replica: &str) -> Answer<'_, Option<bool>> {
        let announced = self.0.replica(replica.to_owned(), self.0.clock().now());
        Box::pin(async move { announced.await.ok().map(|announced| announced.is_some()) })
    }
}
