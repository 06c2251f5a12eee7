//! Starts one peer of the testkit and serves until it is ended.
//!
//! The first line on standard output is `listening on URL`, unless that is where it speaks MCP.

use std::io::Write;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use vmcp_testkit::{
    conformance::{self, Era, Part},
    peers::Peer,
};

/// Real MCP servers for tests: some behave, some do not.
#[derive(Parser)]
struct Arguments {
    /// Which server to start
    peer: Peer,
    /// The port on 127.0.0.1; 0 takes any that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Which half of the conformance fixture
    #[arg(long, default_value = "all")]
    part: Half,
    /// Which eras the conformance fixture speaks; over HTTP+SSE always the legacy one
    #[arg(long, default_value = "both")]
    era: Era,
    /// How the conformance fixture is spoken to
    #[arg(long, default_value = "http")]
    transport: Transport,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Transport {
    /// Streamable HTTP
    Http,
    /// HTTP+SSE of 2024-11-05
    Sse,
    /// Standard input and output
    Stdio,
}

#[derive(Clone, Copy, ValueEnum)]
enum Half {
    All,
    A,
    B,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let part = match arguments.part {
        Half::All => Part::All,
        Half::A => Part::A,
        Half::B => Part::B,
    };
    let era = arguments.era;
    if arguments.transport != Transport::Http || era != Era::Both {
        ensure!(
            arguments.peer == Peer::Conformance,
            "only the conformance fixture has this choice"
        );
    }
    match arguments.transport {
        Transport::Stdio => conformance::serve_stdio(part, era).await,
        Transport::Sse => {
            let server = conformance::start_sse(part, arguments.port).await?;
            announce(&server.url()).await
        }
        Transport::Http if era != Era::Both => {
            let server = conformance::start_as(part, era, arguments.port).await?;
            announce(&server.url()).await
        }
        Transport::Http => {
            let peer = arguments.peer.start(part, arguments.port).await?;
            announce(&peer.url()).await
        }
    }
}

/// Says where the server is, and waits to be ended.
async fn announce(url: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "listening on {url}")?;
    out.flush()?;
    Ok(tokio::signal::ctrl_c().await?)
}
