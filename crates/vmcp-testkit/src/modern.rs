//! A scriptable MCP server of the modern era (2026-07-28) whose answers are literal bytes.
//!
//! It is as strict as the specification lets a server be: a request with a header or a `_meta` that
//! is missing or says something else than the body is refused, with the status and the code that the
//! specification wants, and never executed. It keeps every request that it saw, counts what was
//! executed, and can be changed while it runs: even into a server of the legacy era, and back.
//!
//! Whatever a test makes it answer is an [`Answer`](crate::raw::Answer), as in [`crate::raw`]; the
//! functions here make those of the modern era.

mod answers;
mod builder;
mod call;
mod checks;
mod counters;
pub mod headers;
mod methods;
mod running;
mod serve;
mod state;
mod subscriptions;

pub use answers::{
    asks, complete, error, error_with, header_mismatch, legacy_refusals, missing_capability, text,
    unsupported_version,
};
pub use builder::ModernServer;
pub use call::{Call, Handler, fixed, handler};
pub use counters::Counters;
pub use running::{Running, Server};
pub use state::{Seen, Speaks};
pub use subscriptions::{Filter, Subscription};

/// The revision.
pub const VERSION: &str = "2026-07-28";

/// What the server says of itself in every result.
pub const SERVER_INFO: &str = r#"{"name":"modern","version":"1"}"#;

/// The key of a request's version in `_meta`.
pub const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// The key of a request's client in `_meta`.
pub const META_CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// The key of the client's capabilities in `_meta`.
pub const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// The key of the log level that a request wants in `_meta`.
pub const META_LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// The key of the server in a result's `_meta`.
pub const META_SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// The key of the subscription in a notification's `_meta`.
pub const META_SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
