//! What the client of a session may use, and tells it when that changes.

use std::sync::Arc;

use vmcp_catalog::Catalog;
use vmcp_core::Granted;
use vmcp_model::{Digest, Identity};
use vmcp_store::Change;
use vmcp_wire::{Fault, Message};

use crate::{session::Session, sessions::Sessions, upkeep::complain};

/// What the client may use, as far as it was worked out last.
#[derive(Debug)]
pub(crate) struct Last {
    identity: Identity,
    claims: Digest,
    catalog: Arc<Catalog>,
}

impl Session {
    /// What the sender of a request may use now. Rights follow the request, not the session.
    pub(crate) async fn granted(&self, identity: &Identity) -> Granted {
        let rights = self.shared.vmcp.rights();
        let granted = match rights.at_hand(identity, self.catalog.load_full()) {
            Ok(granted) => granted,
            Err(whole) => Box::pin(rights.find(identity, whole)).await,
        };
        if granted.grant.is_some() {
            let claims = identity.claims().digest();
            let is_known = self.last.load().as_ref().is_some_and(|last| last.claims == claims);
            if !is_known {
                self.note_granted(identity, granted.catalog());
                Box::pin(self.drop_denied_subscriptions(&granted)).await;
            }
        }
        granted
    }

    /// Takes in what the client may use now, and tells it what has changed since it was known last.
    fn note_granted(&self, identity: &Identity, catalog: &Arc<Catalog>) {
        let last = Last {
            identity: identity.clone(),
            claims: identity.claims().digest(),
            catalog: Arc::clone(catalog),
        };
        if let Some(before) = self.last.swap(Some(Arc::new(last))) {
            self.announce_changes(catalog.changed(&before.catalog));
        }
    }

    /// Works out again what the client may use, and tells it what it has gained or lost: the policies have
    /// changed, or what there is.
    pub(crate) async fn review_rights(&self) {
        let Some(last) = self.last.load_full() else { return self.announce_everything() };
        let rights = self.shared.vmcp.rights();
        let granted = rights.find(&last.identity, self.catalog.load_full()).await;
        self.note_granted(&last.identity, granted.catalog());
        self.drop_denied_subscriptions(&granted).await;
    }

    /// Nothing is told any more of what may not be read any more.
    async fn drop_denied_subscriptions(&self, granted: &Granted) {
        let uris = self.subscriptions().clone();
        for uri in uris.into_iter().filter(|uri| !granted.may_read(uri)) {
            self.subscriptions().retain(|other| *other != uri);
            if let Err(error) = self.shared.store.change(self.key, Change::Unsubscribe(uri)).await {
                complain(&error, "the end of a subscription could not be kept in the store");
            }
        }
    }

    /// Counts a request that was denied.
    pub(crate) fn note_refused(&self, identity: &Identity, message: &Message, fault: &Fault) {
        if let (Fault::Denied(_), Some(method)) = (fault, message.method()) {
            self.shared.vmcp.rights().note_denied(identity, method);
        }
    }
}

impl Sessions {
    /// Tells the clients of live sessions what other policies have given or taken, for ever.
    pub(crate) async fn keep_rights(self: Arc<Self>) {
        let mut changes = self.shared.vmcp.rights().changes();
        while changes.changed().await.is_ok() {
            for session in self.all() {
                session.review_rights().await;
            }
        }
    }
}
