//! A scriptable MCP server of the legacy era whose answers are literal bytes.
//!
//! Nothing that it sends was ever a typed value, so numbers, key order, unknown fields and escapes
//! arrive exactly as the test wrote them. It is strict about what it is sent (`Accept`,
//! `Content-Type`, session, protocol version), keeps every request it saw, and can be changed while
//! it runs. Misbehaviour is an [`Answer`] like any other.

mod builder;
mod call;
mod counters;
mod methods;
mod offer;
mod running;
mod send;
mod serve;
mod session;
mod state;

pub use builder::RawServer;
pub use call::{Answer, Call, Handler, fixed, handler};
pub(crate) use call::{Emit, member, notification};
pub use counters::Counters;
pub use offer::Kind;
pub(crate) use offer::Offer;
pub use running::{Running, Server};
pub(crate) use send::{JSON, Reply, STREAM, event, message, response, with_type};
pub(crate) use serve::{accepts, respond_to};
pub use session::Session;
pub(crate) use state::Shared;
pub use state::{Form, Lost, Seen};
