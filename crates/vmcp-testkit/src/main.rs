//! Starts one peer of the testkit and serves until it is ended.
//!
//! The first line on standard output is `listening on URL`.

use std::io::Write;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use vmcp_testkit::{conformance::Part, peers::Peer};

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
    let peer = arguments.peer.start(part, arguments.port).await?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", peer.url())?;
    out.flush()?;
    Ok(tokio::signal::ctrl_c().await?)
}
