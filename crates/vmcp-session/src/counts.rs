//! What the store tells of itself in numbers, at once.

use vmcp_peer::{ConnectionStatus as PeerConnection, Traffic as PeerTraffic};
use vmcp_store::Traffic;

use crate::sessions::Sessions;

impl Sessions {
    /// What has gone to the store over the network, if it is asked over one.
    pub fn store_traffic(&self) -> Option<Traffic> {
        self.shared.store.traffic()
    }

    /// What has gone over the channel between replicas, if there is one.
    pub fn peer_traffic(&self) -> Option<PeerTraffic> {
        self.shared.channel().map(|channel| channel.peers.traffic())
    }

    /// Where the others reach this replica, and the connections of the channel between them.
    pub fn peers(&self) -> Option<(&str, Vec<PeerConnection>)> {
        let channel = self.shared.channel()?;
        Some((&channel.address, channel.peers.traffic().connections))
    }

    /// How many catalogs and own offers the store holds, if that takes memory of this process.
    pub fn stored_catalogs(&self) -> Option<usize> {
        self.shared.store.held_catalogs()
    }
}
