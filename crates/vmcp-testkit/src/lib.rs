//! Real peers for tests: MCP servers that behave, MCP servers that do not, and a client that judges.
//!
//! - [`raw`]: a scriptable server whose answers are literal bytes
//! - [`client`]: a small strict client that shows bytes as they came
//! - [`process`]: starts, watches and ends the program under test
//!
//! Everything listens on loopback only and ends when the value that stands for it is dropped.

mod body;
pub mod client;
mod host;
pub mod process;
pub mod raw;
