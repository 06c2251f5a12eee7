//! The official Rust SDK in the pairing test (`tools/pairings`).
//!
//! As a client it answers jobs, one a line; as a server it serves until it is ended.

use anyhow::Result;
use clap::{Parser, Subcommand};
use vmcp_testkit::pairing;

/// The official Rust SDK in the pairing test
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    part: Part,
}

#[derive(Subcommand)]
enum Part {
    /// Does the round with the servers that standard input names
    Client,
    /// Serves
    Server {
        /// What the server calls itself
        name: String,
        #[command(subcommand)]
        transport: Transport,
    },
}

#[derive(Subcommand)]
enum Transport {
    /// Streamable HTTP on a port of 127.0.0.1
    Http { port: u16 },
    /// Standard input and output
    Stdio,
}

#[tokio::main]
async fn main() -> Result<()> {
    match Arguments::parse().part {
        Part::Client => pairing::answer_jobs().await,
        Part::Server { name, transport: Transport::Stdio } => pairing::serve_stdio(&name).await,
        Part::Server { name, transport: Transport::Http { port } } => {
            let _server = pairing::serve_http(&name, port).await?;
            std::future::pending().await
        }
    }
}
