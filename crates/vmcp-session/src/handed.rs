//! Which backend has given a client a URI that no list has: it alone is asked for what is there.

use std::sync::Arc;

use vmcp_backend::Backend;
use vmcp_catalog::Catalog;
use vmcp_model::{BackendId, Digest};
use vmcp_store::{Change, Handed};

use crate::session::Session;

/// Whether what is handed out is remembered: with one backend there is nothing to tell apart.
pub(crate) fn remembers_handed(catalog: &Catalog) -> bool {
    catalog.backends().len() > 1
}

impl Session {
    /// Remembers URIs that a response of a backend hands out, before the client has it.
    pub(crate) async fn note_handed_out(&self, backend: &Arc<Backend>, mut uris: Vec<Digest>) {
        uris.retain(|uri| self.handed().owner(uri) != Some(backend.id()));
        if uris.is_empty() {
            return;
        }
        self.handed().note(backend.id(), &uris);
        let change = Change::HandOut { backend: backend.id().clone(), uris };
        if let Err(fault) = self.keep(change).await {
            tracing::debug!(%fault, "what a backend has handed out is known on this replica only");
        }
    }

    /// The backend that has handed out a URI.
    pub(crate) fn handed_by(&self, uri: &str) -> Option<BackendId> {
        self.handed().owner(&Digest::of(uri.as_bytes())).cloned()
    }

    /// Takes up what the record knows of it.
    pub(crate) fn adopt_handed(&self, handed: &Handed) {
        let mut own = self.handed();
        for (uri, backend) in handed.iter() {
            own.note(backend, &[*uri]);
        }
    }
}
