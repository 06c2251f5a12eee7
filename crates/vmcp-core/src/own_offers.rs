//! What single sessions are offered beside what their view is.
//!
//! A backend may list to a session what it lists to nobody else: a call has unlocked something there.
//! Such an *own offer* takes the place of the backend's offer to the view, under the same rules, and
//! the rest of the catalog stays the view's. Only lists are a session's own: what a backend says about
//! itself was told when the session began.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use vmcp_backend::Advertised;
use vmcp_catalog::{InvalidLists, read_lists, write_lists};
use vmcp_model::{BackendId, Digest, Era, Kind, Offer};

use crate::view::telling::TOLD;

/// The lists that a backend shows to one session. Immutable; equal ones have equal digests.
#[derive(Debug)]
pub struct OwnOffer {
    digest: Digest,
    lists: Offer,
    size: usize,
}

/// The own offers of one session.
#[derive(Debug, Clone, Default)]
pub struct OwnOffers(BTreeMap<BackendId, Arc<OwnOffer>>);

impl OwnOffer {
    /// Takes the lists of what a backend has offered to a session. Of what nobody can use only so much is
    /// kept as is told: it is no part of the size.
    pub fn of(mut offered: Offer) -> Self {
        offered.left_out.truncate(TOLD);
        offered.left_out.shrink_to_fit();
        let stored = write_lists(&offered);
        Self::new(offered, &stored)
    }

    /// Takes in what was read of what a backend offers to a session. A list that could not be read is as
    /// it was: in what the session had of its own, or else in what the view is offered. Says also which
    /// those are, and why.
    pub fn read(
        read: Advertised,
        own: Option<&Self>,
        of_view: Option<&Offer>,
    ) -> (Self, Option<String>) {
        let problem = read.problem();
        let before = own.map(|own| &own.lists).or(of_view);
        (Self::of(read.completed(before)), problem)
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// If this is not, to the byte, what [`OwnOffer::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidLists> {
        read_lists(bytes, Era::Legacy).map(|lists| Self::new(lists, bytes))
    }

    fn new(lists: Offer, stored: &[u8]) -> Self {
        Self { digest: Digest::of(stored), lists, size: stored.len() }
    }

    /// The form in which it is stored, whose digest names it.
    pub fn to_bytes(&self) -> Bytes {
        write_lists(&self.lists)
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Bytes of the stored form.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether an offer has the very same lists.
    pub fn has_lists_of(&self, offer: &Offer) -> bool {
        Kind::ALL.into_iter().all(|kind| {
            let json = |offer: &Offer| -> Vec<Bytes> {
                let items = offer.items(kind).iter();
                items.map(|item| item.json().slice_ref(item.json().trim_ascii())).collect()
            };
            json(&self.lists) == json(offer)
        })
    }

    /// The offer to merge in the place of the view's.
    pub(crate) fn in_place_of(&self, offer: Option<&Offer>) -> Offer {
        let said = offer.unwrap_or(&self.lists);
        Offer {
            capabilities: said.capabilities.clone(),
            instructions: said.instructions.clone(),
            ..self.lists.clone()
        }
    }
}

impl OwnOffers {
    /// Enters what a backend lists to the session.
    pub fn set(&mut self, backend: BackendId, offer: Arc<OwnOffer>) {
        self.0.insert(backend, offer);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&BackendId, &Arc<OwnOffer>)> {
        self.0.iter()
    }

    pub fn get(&self, backend: &BackendId) -> Option<&Arc<OwnOffer>> {
        self.0.get(backend)
    }
}

impl FromIterator<(BackendId, Arc<OwnOffer>)> for OwnOffers {
    fn from_iter<T: IntoIterator<Item = (BackendId, Arc<OwnOffer>)>>(offers: T) -> Self {
        Self(offers.into_iter().collect())
    }
}
