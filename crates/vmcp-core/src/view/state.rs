//! What is known of one backend.

use std::sync::Arc;

use tokio::time::Instant;
use vmcp_model::Offer;

use super::fresh::Terms;

/// What is known of one backend.
#[derive(Debug, Clone)]
pub struct BackendState {
    /// The last good offer, which is used whatever happened since.
    pub offer: Option<Arc<Offer>>,
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

impl BackendState {
    /// Of a backend that has not been asked, or not since it was changed.
    pub(super) fn unknown(since: Instant) -> Self {
        let (status, terms) = (OfferStatus::Unknown, Terms::unknown());
        Self { offer: None, status, since, terms, read: None }
    }

    /// Whether nothing is known yet that could be shown.
    pub fn is_unknown(&self) -> bool {
        self.status == OfferStatus::Unknown && self.offer.is_none()
    }

    /// Whether the backend has said what it offers when it was asked last.
    pub(super) fn has_answered(&self) -> bool {
        matches!(self.status, OfferStatus::Good | OfferStatus::Partial(_))
    }
}
