//! Who calls: what a request shows to prove it, and how that is checked.
//!
//! An [`Authenticator`] says at once who calls, unless the keys of the issuer must be fetched
//! first. A token is verified once, and from then on is known by its digest until it expires or its
//! key is no longer published.
//!
//! What a caller may do, and what a backend is shown, is decided elsewhere. Nothing of a token ends
//! up in a log or an answer.

mod address;
mod authenticator;
mod bearer;
mod config;
mod fetch;
mod guide;
mod issuer;
mod keys;
mod signatures;
mod source;
mod tokens;
mod verified;
mod verify;

pub use authenticator::{Authentication, Authenticator, Spawn};
pub use config::{Config, InvalidConfig, Oidc};
pub use guide::METADATA_PATH;
pub use keys::{InvalidKeys, Keys};
pub use verify::{Expected, Refusal, Verified, verify};
