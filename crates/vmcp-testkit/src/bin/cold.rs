//! Opens many sessions on one replica and goes on with all of them on a cold one, and prints what that
//! costs.

use std::{io::Write as _, path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use clap::Parser;
use vmcp_testkit::cluster::{Cold, Pass};

/// Goes on with many sessions on a replica that has just started.
#[derive(Parser)]
struct Arguments {
    /// The vmcp to run
    vmcp: PathBuf,
    /// How many sessions
    #[arg(long, default_value_t = 100_000)]
    sessions: usize,
    /// Over how many connections they are called at once
    #[arg(long, default_value_t = 64)]
    connections: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { vmcp, sessions, connections } = Arguments::parse();
    let cold = Cold::measure(&vmcp, sessions, connections).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{sessions} sessions, {connections} connections")?;
    writeln!(
        out,
        "bytes a session: Redis {}, the replica that opened them {}, the cold one {}",
        cold.bytes_a_session, cold.warm_bytes_a_session, cold.cold_bytes_a_session
    )?;
    for (what, pass) in [
        ("opened, and one call", &cold.opening),
        ("first call elsewhere", &cold.first),
        ("second call there", &cold.second),
    ] {
        writeln!(out, "{what}: {}", described(pass))?;
        for example in &pass.examples {
            writeln!(out, "FAILED: {example}")?;
        }
    }
    let failed = cold.first.failed + cold.second.failed;
    ensure!(failed == 0, "{failed} calls failed");
    Ok(())
}

fn described(pass: &Pass) -> String {
    let micros = |took: Duration| took.as_micros();
    format!(
        "{:.1} s, us p50 {} p99 {} p99.9 {} max {}; a session: replica {} us of CPU, Redis {} us, {:.2} commands; {} failed",
        pass.took.as_secs_f64(),
        micros(pass.quantile(500)),
        micros(pass.quantile(990)),
        micros(pass.quantile(999)),
        micros(pass.quantile(1000)),
        micros(pass.replica),
        micros(pass.redis),
        pass.commands,
        pass.failed,
    )
}
