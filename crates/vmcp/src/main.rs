//! vmcp: one MCP endpoint in front of many MCP servers.
//!
//! This file is the program's table of contents; each command has a file of its own.

mod cli;
mod compose;
mod config;
mod demo;
mod logging;
mod output;
mod reload;
mod serve;
mod summary;
mod validate;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

/// Gives memory back that a burst of sessions has used, and finds it again for the next burst.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Cli { debug, command } = Cli::parse();
    let done = match command {
        Command::Serve(options) => serve::run(&options, debug),
        Command::Validate(options) => validate::run(&options),
        Command::Version => output::line(format_args!("vmcp {}", env!("CARGO_PKG_VERSION"))),
        Command::Demo(options) => demo::run(&options, debug),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::failure(&error);
            if error.is::<config::Problems>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
