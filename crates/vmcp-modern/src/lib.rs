//! The modern era (MCP revision 2026-07-28): each request says who sends it and what that client can do, and
//! nothing of the client's is kept when it has been answered.
//!
//! Of HTTP this knows the headers that a request repeats its body in, and nothing else: statuses and
//! streams on the wire are the server's, the way to a backend is the core's.

mod answers;
mod call;
mod following;
mod listen;
mod modern;
mod polled_stream;
mod request;

pub use modern::{Client, Modern, Reply};
pub use polled_stream::PolledStream;
pub use request::speaks_modern;
