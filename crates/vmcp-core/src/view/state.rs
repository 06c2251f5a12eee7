//! What is known of one backend.

use std::sync::Arc;

use tokio::time::Instant;
use vmcp_backend::{Backend, ClientView};
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
    /// It offers nothing to nobody: it is shown its callers' own credentials, and asked on their behalf.
    OfCallers,
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

    /// Why what the backend offers is not known, or not all of it; `None` if it is. Some programs fetch
    /// themselves first.
    pub fn problem(&self, is_program: bool) -> Option<String> {
        match &self.status {
            OfferStatus::Failed(why) | OfferStatus::Partial(why) => Some(why.clone()),
            OfferStatus::Unknown => {
                let what =
                    if is_program { "still starting" } else { "has not said yet what it offers" };
                Some(format!("{what}, {} s", self.since.elapsed().as_secs()))
            }
            OfferStatus::Good | OfferStatus::OfCallers => None,
        }
    }

    /// Whether there is no offer though there should be one.
    pub(super) fn lacks_offer(&self) -> bool {
        self.offer.is_none() && self.status != OfferStatus::OfCallers
    }

    /// Whether the backend has said what it offers when it was asked last.
    pub(super) fn has_answered(&self) -> bool {
        matches!(self.status, OfferStatus::Good | OfferStatus::Partial(_))
    }
}

/// Whether a backend lists to the clients of a view what it does not list to everybody, as it is shown
/// something of the callers' own.
pub(crate) fn is_own(backend: &Backend, client: &ClientView) -> bool {
    let subject = client.subject().filter(|_| client.is_base());
    subject.is_some_and(|subject| backend.subject(&subject.caller()).is_some())
}

/// What is known of a backend at first.
pub(super) fn begun(backend: &Backend, client: &ClientView, since: Instant) -> BackendState {
    let unknown = BackendState::unknown(since);
    match client.subject() {
        None if backend.needs_caller() => {
            BackendState { status: OfferStatus::OfCallers, ..unknown }
        }
        None | Some(_) => unknown,
    }
}
