//! The nouns of vmcp, shared by every crate above it.
//!
//! Plain data: nothing here does I/O, waits, or knows a transport. JSON that vmcp has no reason to
//! understand is kept as the bytes it arrived in (see [`raw`]).

mod backend_id;
pub mod declared;
mod digest;
mod identity;
pub mod legacy;
pub mod linked;
mod log_level;
mod method;
mod mirror;
pub mod near;
mod offer;
mod percent;
mod principal;
pub mod raw;
mod schema;
pub mod sound;
pub mod trace;
pub mod trail;
mod version;

pub use backend_id::{BackendId, InvalidBackendId};
pub use digest::Digest;
pub use identity::{Claims, Identity, Passed, Proof, Secret};
pub use log_level::LogLevel;
pub use method::{Method, Topic};
pub use mirror::{InvalidMirror, Mirror};
pub use offer::{InvalidItem, Item, Kind, LeftOut, Offer, Readable};
pub use percent::{percent_decoded, percent_encoded};
pub use principal::Principal;
pub use schema::Unfit;
pub use version::{Era, ProtocolVersion};
