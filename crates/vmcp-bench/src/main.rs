//! Measures vmcp against a plain reverse proxy, on this machine and in one run; and counts its
//! instructions.
//!
//! # Comparison
//!
//! ```text
//! cargo run --release -p vmcp-bench -- compare [--quick] [--only TEXT] [--json] [--strict] [--vmcp PATH]
//! ```
//!
//! It starts a fast fake MCP server, nginx in front of it (`nginx.conf` beside the sources) and vmcp
//! in front of it (built with the `dist` profile, unless `--vmcp` names one), and drives nginx and
//! vmcp in turn with the same load, several rounds of each. It prints a table of medians and ratios,
//! and how they stand against the bars of the design. `docs/performance.md` says what is measured,
//! how, and how to read it.
//!
//! Every answer is checked: its status, its id, its length, and now and then all of it. The exit
//! code is 1 if a single one was wrong. A missed bar is shown, and changes the exit code only with
//! `--strict`: it says something about vmcp on a quiet machine, and about the machine on a busy one.
//!
//! nginx is Debian's `nginx-light`; it is installed if it is missing and root runs this.
//!
//! # Instructions
//!
//! ```text
//! target/release/vmcp-bench instructions --vmcp target/release/vmcp [--record] [--only TEXT] [--profiles DIR]
//! ```
//!
//! It counts, with callgrind, the instructions that vmcp executes for one call of each of its hottest
//! paths, and fails if a count is not what `instructions.txt` beside the sources says: a guard, not a
//! measure of speed. System calls, cache misses and waiting are not in it. `--record` writes that file
//! anew; `--profiles` keeps what callgrind found out about the calls.
//!
//! The parts: [`mod@compare`] is the run from start to end, [`case`] what is measured and the bars,
//! [`plan`] how long, [`load`] one round of load, [`figures`] what rounds tell, [`memory`] the idle
//! sessions, [`shared`] records in Redis, [`report`] the table, [`instructions`] the guard, [`party`]
//! the processes, [`backend`] the fake server, which this program starts as a process of its own.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

mod backend;
mod case;
mod client;
mod compare;
mod crowd;
mod figures;
mod histogram;
mod instructions;
mod load;
mod memory;
mod party;
mod plan;
mod process;
mod report;
mod setup;
mod shared;

/// Measures vmcp against a plain reverse proxy.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Drive nginx and vmcp in turn with the same load and compare what they cost.
    Compare(Compare),
    /// Count the instructions of the hottest paths and hold them against what was recorded.
    Instructions(instructions::Arguments),
    /// The fake MCP server; started by the others.
    #[command(hide = true)]
    Backend {
        #[arg(long, default_value_t = 1)]
        threads: usize,
    },
}

#[derive(Debug, clap::Args)]
struct Compare {
    /// Only the most telling cases, in less than a minute.
    #[arg(long)]
    quick: bool,
    /// Only the cases whose name holds this text, such as `tools/call`, `latency`, `idle`,
    /// `catalog`, `memory` or `Redis`.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Exit with 1 also if a bar is missed.
    #[arg(long)]
    strict: bool,
    /// A built vmcp; without it, the `dist` profile is built first.
    #[arg(long, value_name = "PATH")]
    vmcp: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let is_good = match Arguments::parse().command {
        Command::Backend { threads } => backend::run(threads).map(|()| true),
        Command::Compare(arguments) => block_on(compare(arguments)),
        Command::Instructions(arguments) => block_on(instructions::run(arguments)),
    };
    Ok(if is_good? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whoever interrupts this must not leave servers behind: they end as the run is dropped.
fn block_on(run: impl Future<Output = Result<bool>>) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for signals")?;
        tokio::select! {
            outcome = run => outcome,
            _interrupted = tokio::signal::ctrl_c() => bail!("interrupted"),
            _terminated = terminate.recv() => bail!("terminated"),
        }
    })
}

/// Gives whether every answer was right, and, if that is asked for, every bar met.
async fn compare(Compare { quick, only, json, strict, vmcp }: Compare) -> Result<bool> {
    let report = compare::run(quick, &only, vmcp).await?;
    let out = std::io::stdout().lock();
    if json {
        report.write_json(out)?
    } else {
        report.write_table(out)?
    }
    Ok(report.errors() == 0 && (report.missed() == 0 || !strict))
}
