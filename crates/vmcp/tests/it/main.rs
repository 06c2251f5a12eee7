//! What a user relies on, shown with real processes: a client, the gateway, and servers behind it.
//!
//! Written from the specification and the design, so a test that fails here says that a promise is
//! not kept, whatever the code was meant to do.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests share fails them just as they fail themselves"
)]

mod accept;
mod asking;
mod audit;
mod auth;
mod authorization;
mod batches;
mod callers;
mod catalog;
mod changes;
mod cli;
mod completions;
mod credentials;
mod deploy;
mod doors;
mod doubled;
mod early;
mod fidelity;
mod fixed_headers;
mod framing;
mod handed;
mod health;
mod kinds;
mod lies;
mod limits;
mod literal;
mod lost;
mod merging;
mod metrics;
mod modern;
mod moved;
mod near;
mod odd;
mod outgoing;
mod own;
mod partial;
mod passthrough;
mod probes;
mod refused;
mod regression;
mod reload;
mod requests;
mod round;
mod sdk;
mod secrets;
mod silent;
mod spelling;
mod sse;
mod state;
mod status_tool;
mod stdio;
mod storage;
mod strays;
mod streams;
mod tasks;
mod timeouts;
mod unavailable;
mod versions;

use vmcp_testkit::{client::Client, gateway::Gateway, process::Process};

/// Starts the gateway and waits until it is ready.
async fn serve(gateway: &Gateway) -> Process {
    gateway.start(env!("CARGO_BIN_EXE_vmcp")).await.unwrap()
}

/// A client with a session of its own.
async fn connect(process: &Process) -> Client {
    Client::connect(&process.url()).await.unwrap()
}
