//! Who calls: what a request shows to prove it, and how that is checked.
//!
//! An [`Authenticator`] says at once who calls, unless the keys of the issuer must be fetched
//! first, or the issuer be asked. A token is verified once, and from then on is known by its digest
//! until it expires, its key is no longer published, or what its issuer said of it is too old.
//!
//! What a caller may do, and what a backend is shown, is decided elsewhere. Nothing of a token ends
//! up in a log or an answer.

mod authenticator;
mod bearer;
mod claims;
mod config;
mod dpop;
mod flights;
mod guide;
mod introspection;
mod issuer;

mod keys;
mod operators;
mod signatures;
mod source;
mod tokens;
mod trusted;
mod verified;
mod verify;

pub use authenticator::{Asking, Authentication, Authenticator, Spawn};
pub use claims::Thumbprint;
pub use config::{
    Account, Client, ClientSecret, Config, Introspection, InvalidConfig, Oidc, TrustedIssuer,
};
pub use guide::METADATA_PATH;
pub use keys::{InvalidKeys, Keys};
pub use operators::{OperatorAuth, Operators, Roles, token_in};
pub use verify::{Expected, Refusal, Verified, verify};
