//! Small exchanges over HTTPS that vmcp has on its own account, and not for a call: keys and metadata
//! that an issuer publishes, tokens that a token endpoint gives, what an issuer says of a token.
//!
//! Each takes a connection of its own, and its answer is bounded. The address that is connected to is
//! the one that was judged, so that a name cannot lead elsewhere between the two.

mod address;
mod fetcher;
mod form;

pub use fetcher::{FetchError, Fetcher, Form, InvalidRoots, JSON, Post, Rules};
pub use form::{basic, form};
