//! What a user relies on and takes long to show; `./test` runs it, `./test quick` does not.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests share fails them just as they fail themselves"
)]
#![expect(clippy::print_stdout, reason = "the figures are a result of the tests")]

#[cfg(feature = "aws")]
mod aws;
mod burst;
mod callers;
mod cluster;
mod expiry;
mod floods;
mod held;
mod idle;
mod issuer;
mod listeners;
mod load;
mod neighbours;
mod odd;
mod patience;
mod pod;
mod programs;
mod reload;
mod rights;
mod series;
mod shutdown;
mod silent;
mod support;
mod traces;
mod unheard;
mod unread;

use vmcp_testkit::{client::Client, gateway::Gateway, process::Process};

/// Starts the gateway and waits until it is ready.
async fn serve(gateway: &Gateway) -> Process {
    gateway.start(env!("CARGO_BIN_EXE_vmcp")).await.unwrap()
}

/// A client with a session of its own.
async fn connect(process: &Process) -> Client {
    Client::connect(&process.url()).await.unwrap()
}
