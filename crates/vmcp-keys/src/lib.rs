//! The secrets that the replicas of one deployment share, and texts that only they can write or read.
//!
//! Pure: where the secrets come from, and where a sealed text is kept, is decided elsewhere.

mod peer;
mod ring;
mod seal;

pub use peer::peer_seed;
pub use ring::{Key, KeyRing};
pub use seal::{KEY_END, is_by_current, open, seal};
