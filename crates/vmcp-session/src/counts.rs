//! What the store tells of itself in numbers, at once.

use vmcp_store::Traffic;

use crate::sessions::Sessions;

impl Sessions {
    /// What has gone to the store over the network, if it is asked over one.
    pub fn store_traffic(&self) -> Option<Traffic> {
        self.shared.store.traffic()
    }

    /// How many catalogs and own offers the store holds, if that takes memory of this process.
    pub fn stored_catalogs(&self) -> Option<usize> {
        self.shared.store.held_catalogs()
    }
}
