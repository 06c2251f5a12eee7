//! What a modern backend offers that clients of the legacy era cannot read: left out, and named once.

use vmcp_backend::Advertised;
use vmcp_model::{
    BackendId,
    legacy::{LeftOut, legacy_offer},
};

/// What was left out when the lists were read last.
#[derive(Debug, Default)]
pub(crate) struct Unreadable(Vec<LeftOut>);

impl Unreadable {
    /// What legacy clients can read of what a modern backend advertises.
    pub(crate) fn leave_out(
        &mut self,
        backend: &BackendId,
        mut advertised: Advertised,
    ) -> Advertised {
        let (offer, left_out) = legacy_offer(&advertised.offer);
        for what in left_out.iter().filter(|what| !self.0.contains(what)) {
            tracing::warn!(%backend, "clients before revision 2026-07-28 are not shown {what}");
        }
        self.0 = left_out;
        advertised.offer = offer;
        advertised
    }
}
