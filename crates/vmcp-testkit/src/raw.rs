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
pub use counters::Counters;
pub use offer::Kind;
pub use running::{Running, Server};
pub use session::Session;
pub use state::{Form, Lost, Seen};
