//! The legacy era's sessions: made by `initialize`, kept in a store, served by whoever holds them.
//!
//! A session is a record in the store, which any replica can take up, and a live part in this
//! process: what is in flight, which streams are open. This crate knows no HTTP; what it hands out
//! is bytes and streams of bytes.

mod activity;
mod backends;
mod batch;
mod completions;
mod counts;
mod detach;
mod early;
mod ending;
mod factory;
mod far;
mod handed;
mod handle;
mod kept;
mod kind;
mod listen;
mod log;
mod logs;
mod notify;
mod own_lists;
mod own_offers;
mod pump;
mod questions;
mod replicas;
mod retire;
mod rights;
mod session;
mod sessions;
mod shown;
mod stream;
mod upkeep;

pub use far::Holder;
pub use handle::{Relaying, Reply};
pub use session::Session;
pub use sessions::{Config, Limits, ServerInfo, Sessions, Usage};
pub use stream::EventStream;
pub use vmcp_core::ClientKey;
pub use vmcp_peer::{
    ConnectionStatus as PeerConnection, Direction as PeerDirection, State as PeerState,
    Traffic as PeerTraffic,
};
pub use vmcp_store::{BusTraffic, Reach, Traffic};
