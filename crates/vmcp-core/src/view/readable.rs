//! What a modern backend offers, as legacy clients can read it.

use std::sync::Arc;

use vmcp_model::{
    BackendId, Era, Offer,
    legacy::{LeftOut, legacy_offer},
};

use super::{BackendState, View};

/// An offer for legacy clients, and what of it they cannot read.
#[derive(Debug, Clone)]
pub(super) struct Readable {
    offer: Arc<Offer>,
    left_out: Vec<LeftOut>,
}

impl BackendState {
    /// Takes in an offer with what legacy clients can read of it. What they cannot is named once.
    pub(super) fn offered(&mut self, backend: &BackendId, side: Era, offer: Offer) {
        let before = self.readable.take();
        if side == Era::Modern {
            let (readable, left_out) = legacy_offer(&offer);
            let known = before.map(|before| before.left_out).unwrap_or_default();
            for what in left_out.iter().filter(|what| !known.contains(what)) {
                tracing::warn!(%backend, "clients before revision 2026-07-28 are not shown {what}");
            }
            let differs = readable != offer;
            self.readable = differs.then(|| Readable { offer: Arc::new(readable), left_out });
        }
        self.offer = Some(Arc::new(offer));
    }

    /// Takes in what a kind of clients is offered of its own, which they can read.
    pub(super) fn offered_to_kind(&mut self, offer: &Arc<Offer>) {
        (self.offer, self.readable) = (Some(Arc::clone(offer)), None);
    }

    /// The offer as clients of this era can read it.
    pub(super) fn shown(&self, era: Era) -> Option<&Arc<Offer>> {
        match (&self.readable, era) {
            (Some(readable), Era::Legacy) => Some(&readable.offer),
            (Some(_) | None, _) => self.offer.as_ref(),
        }
    }
}

impl View {
    /// The era of its clients.
    pub(super) fn era(&self) -> Era {
        self.client.version().era()
    }
}
