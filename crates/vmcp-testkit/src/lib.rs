//! Real peers for tests: MCP servers that behave, MCP servers that do not, and a client that judges.
//!
//! - [`raw`]: a scriptable server whose answers are literal bytes
//! - [`modern`]: the same for the modern era, which can turn into the other and back
//! - [`peers`]: ready-made servers, most of them on [`raw`], each with one bad habit or one talent
//! - [`conformance`]: what the official conformance suite expects of a server, on rmcp
//! - [`client`]: a small strict client that shows bytes as they came
//! - [`modern_client`]: the same for the modern era
//! - [`framing`]: HTTP as literal bytes and frames
//! - [`identity`]: an identity provider that signs whatever it is told to
//! - [`token_endpoint`]: a token endpoint that gives whatever it is told to
//! - [`literal`]: a server for every transport that says literally what it is told
//! - [`pairing`]: a server and a client on rmcp for the pairing test of `tools/pairings`
//! - [`gateway`]: configurations of the gateway, piece by piece
//! - [`redis`]: real Redis servers
//! - [`heeding`]: a server over TLS that remembers what it was asked
//! - [`kubernetes`]: a real API server of Kubernetes, with the kinds of ToolHive
//! - [`otlp`]: a receiver of telemetry by somebody else
//! - [`cluster`]: several replicas behind a load balancer, and what can happen to them
//! - [`process`]: starts, watches and ends the program under test
//!
//! The servers of [`raw`] and [`modern`] can do without a socket ([`InMemory`]); everything else listens
//! on loopback only. All of it ends when the value that stands for it is dropped.

mod body;
mod certificate;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod conformance;
pub mod framing;
pub mod gateway;
pub mod heeding;
mod host;
pub mod identity;
pub mod kubernetes;
pub mod literal;
pub mod modern;
pub mod modern_client;
pub mod odd;
pub mod otlp;
pub mod pairing;
pub mod peers;
pub mod process;
pub mod raw;
pub mod redis;
mod rmcp_client;
mod rmcp_host;
mod sse_host;
mod tls;
pub mod token_endpoint;

pub use host::InMemory;
pub use rmcp_client::{RustClient, RustSubscription, items_by_rmcp};
pub use rmcp_host::RmcpServer;
pub use sse_host::{SseServer, chatting_sse, chatting_sse_at};

/// A script for `python3`: an MCP server on standard input and output, with habits on demand.
pub const CHILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/child.py");
