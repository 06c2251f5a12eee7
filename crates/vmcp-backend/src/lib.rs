//! One backend: connect to it, open sessions on it, send messages, read what comes back.
//!
//! Nothing above this crate knows a backend's transport, its connections or its credential.
//! Whose session a message belongs to, and what to do when one is lost, is decided above.

mod backend;
mod callers;
mod conduct;
mod config;
mod discovery;
mod era;
mod error;
mod events;
mod excess;
mod far;
mod freshness;
mod gauge;
mod handshake;
mod health;
mod http;
mod latency;
pub mod launcher;
mod link;
mod links;
mod listening;
mod memory;
mod offer;
mod own;
mod pace;
mod reading;
mod reopening;
mod secrets;
mod session;
mod sse;
mod stats;
mod stdio;
mod subject;
mod uses;
pub mod worker;

pub use backend::{Answer, Backend, Lineage};
pub use config::{
    Config, Endpoint, InvalidConfig, Isolation, Limits, Program, Proxy, Timeouts, Transport,
};
pub use error::Error;
pub use events::Events;
pub use far::{Carried, Carrier, Frames, Later, is_call};
pub use freshness::Freshness;
pub use health::{BreakerSettings, Due, HealthSettings, HealthSnapshot, Phase, State};
pub use http::{body::Body, challenge::Denial};
pub use latency::LatencySnapshot;
pub use link::ListsChanged;
pub use memory::{Memory, Network};
pub use offer::Advertised;
pub use own::Declined;
pub use reopening::Reopening;
pub use session::{CLIENT_INFO, ClientView, Facts, Session};
pub use stats::{Connections, StatsSnapshot};
pub use subject::Subject;
pub use uses::{Use, Uses, UsesSnapshot};
pub use vmcp_credentials::{Counts as Credentials, Unavailable};
