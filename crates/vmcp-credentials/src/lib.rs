//! What a backend is shown, so that it knows who calls.
//!
//! A [`Credential`] belongs to one backend. It is asked for a value with each request: that is at hand, or is
//! obtained once however many wait for it. Where callers are shown with credentials of their own, it is asked
//! with the identity of the caller.
//!
//! Nothing of a value ends up in a log, an error or an answer.

#[cfg(feature = "aws")]
mod aws;
#[cfg(not(feature = "aws"))]
#[path = "aws/absent.rs"]
mod aws;
mod config;
mod credential;
mod endpoint;
mod failures;
mod file;
mod form;
mod grant;
mod obtain;
mod seen;
mod shown;
mod signing;
mod slot;
mod table;
mod tally;
mod told;

pub use aws::AssumeRole;
pub use config::{Config, RESERVED};
pub use credential::{Credential, Showing, Spawn, Unavailable};
pub use file::HeaderFile;
pub use grant::{
    Client, ClientProof, CrossApp, Grant, TokenEndpoint, TokenExchange, TokenType, Wanted,
};
pub use seen::Seen;
pub use shown::{Outbound, Shown};
pub use signing::{InvalidKey, SigningKey};
pub use tally::Counts;
