//! The official Rust SDK in the pairing test (`tools/pairings`): a server of both eras, and a client
//! that does the round as clients of the other SDKs do.

mod round;
mod server;

pub use round::answer_jobs;
pub use server::{serve_http, serve_stdio};
