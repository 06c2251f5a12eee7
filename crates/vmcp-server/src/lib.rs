//! The HTTP edge: accepts connections, finds the route and the caller, writes the bytes.
//!
//! What a message means is decided below; this crate knows statuses, headers, streams and limits.

mod accept;
mod body;
mod edge;
mod explain;
mod follow;
mod http1;
mod http2;
mod log_levels;
mod mcp;
mod metrics;
mod modern;
mod near;
mod operators;
mod origin;
mod pages;
mod request;
mod respond;
mod silent;
mod stall;
mod status;
mod times;
mod worker;

pub use edge::{Config, Edge, Listens, Told};
pub use log_levels::{LogControl, LogLevels};
pub use metrics::Exposition;
pub use near::TrustedNetwork;
pub use origin::{AllowedHost, AllowedOrigin, InvalidPattern};
pub use status::Awaited;
pub use worker::{Serving, serve};
