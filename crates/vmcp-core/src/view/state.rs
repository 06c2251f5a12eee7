//! What is known of one backend, and what of it legacy clients can read.

use std::sync::Arc;

use tokio::time::Instant;
use vmcp_model::{
    BackendId, Era, Offer,
    legacy::{LeftOut, legacy_offer},
};

use super::fresh::Terms;

/// What is known of one backend.
#[derive(Debug, Clone)]
pub struct BackendState {
    /// The last good offer, which is used whatever happened since.
    pub offer: Option<Arc<Offer>>,
    /// The same as legacy clients can read it, where that differs.
    pub(super) readable: Option<Readable>,
    pub status: OfferStatus,
    pub since: Instant,
    /// For how long the last good offer may be taken for true.
    pub(super) terms: Terms,
    /// When it was read.
    pub(super) read: Option<Instant>,
}

/// How the last attempt to get an offer went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OfferStatus {
    /// It is under way for the first time, or for the first time since the backend was changed.
    Unknown,
    Good,
    /// Some lists could not be read, and are as they were; it is tried again in the background.
    Partial(String),
    /// It failed; it is tried again in the background.
    Failed(String),
}

/// An offer for legacy clients, and what of it they cannot read.
#[derive(Debug, Clone)]
pub(super) struct Readable {
    offer: Arc<Offer>,
    left_out: Vec<LeftOut>,
}

impl BackendState {
    /// Of a backend that has not been asked, or not since it was changed.
    pub(super) fn unknown(since: Instant) -> Self {
        let (status, terms) = (OfferStatus::Unknown, Terms::unknown());
        Self { offer: None, readable: None, status, since, terms, read: None }
    }

    /// Whether nothing is known yet that could be shown.
    pub(super) fn is_unknown(&self) -> bool {
        self.status == OfferStatus::Unknown && self.offer.is_none()
    }

    /// Whether the backend has said what it offers when it was asked last.
    pub(super) fn has_answered(&self) -> bool {
        matches!(self.status, OfferStatus::Good | OfferStatus::Partial(_))
    }

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
