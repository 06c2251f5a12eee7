//! The channel between the replicas of one deployment.
//!
//! A replica asks another one by name, and that one's handler answers with a stream of frames. What is asked
//! and answered are opaque bytes: nothing of MCP, of Redis or of sessions is known here.
//!
//! A connection is TCP, TLS 1.3 with raw public keys on both ends (`tls.rs`), one exchange of names
//! (`hello.rs`), and then HTTP/2, a stream for each request. Each replica dials those whom it asks, once
//! for all its requests; answers come back on the same connection. While anything is open, both ends
//! look for signs of life (`alive.rs`).
//!
//! TLS proves that the other end belongs to the same deployment. All replicas of a ring show the same key,
//! so which of them it is, is what the exchange of names says.

mod accept;
mod alive;
mod ask;
mod codec;
mod dial;
mod error;
mod frames;
mod goaway;
mod hello;
mod link;
mod links;
mod names;
mod peers;
mod quiet;
mod received;
mod room;
mod sending;
mod served;
mod settings;
mod socket;
mod taken;
mod tls;
mod traffic;

pub use error::{Error, Refusal, Unreachable, What};
pub use frames::{Closed, Frames, Sender};
pub use hello::PROTOCOL;
pub use names::{Asker, Peer, Request, Serve, Served};
pub use peers::Peers;
pub use settings::{HANDSHAKE, REACH, SILENCE, Settings};
pub use tls::Keys;
pub use traffic::{ConnectionStatus, Direction, State, Traffic};
