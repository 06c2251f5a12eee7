//! vmcp: one MCP endpoint in front of many MCP servers.
//!
//! This file is the program's table of contents; each command has a file of its own.

mod board;
mod call;
mod cli;
mod client;
mod cluster;
mod compose;
mod config;
mod connect;
mod demo;
mod init;
mod known;
mod list;
mod logging;
mod memory;
mod output;
mod policy;
mod printable;
mod private;
mod reload;
mod serve;
mod signals;
mod sources;
mod stop;
mod suggest;
mod summary;
mod target;
mod undecided;
mod user;
mod validate;

use std::process::ExitCode;

use clap::CommandFactory as _;
use vmcp_backend::{InvalidConfig, launcher};

use cli::{Cli, Command};
use logging::Logging;

/// Gives memory back that a burst of sessions has used, and finds it again for the next burst.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What shells say of a program that could not be started.
const NOT_STARTED: u8 = 127;

/// What it is built with beside what is always there.
const FEATURES: &str = match (cfg!(feature = "aws"), cfg!(feature = "kubernetes")) {
    (true, true) => ", with aws and kubernetes",
    (true, false) => ", with aws",
    (false, true) => ", with kubernetes",
    (false, false) => "",
};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == launcher::MARK) {
        output::failure(&launcher::become_program(arguments).into());
        return ExitCode::from(NOT_STARTED);
    }
    if cfg!(target_os = "linux") {
        launcher::launch_by("/proc/self/exe".into());
    }
    let Cli { debug, log_format: format, command } = Cli::read();
    let logging = Logging { debug, format };
    let done = match command {
        Command::Serve(options) => sources::settled(options.sources)
            .and_then(|sources| serve::run(&cli::Serve { sources, ..options }, logging)),
        Command::Validate(options) => sources::settled(options.sources)
            .and_then(|sources| validate::run(&cli::Validate { sources, ..options }, logging)),
        Command::Init(options) => init::run(&options),
        Command::Schema(options) => schema(&options),
        Command::List(options) => list::run(&options.target, options.what, logging),
        Command::Tools(options) => list::run(&options.target, cli::What::Tools, logging),
        Command::Call(options) => call::call(&options, logging),
        Command::Read(options) => call::read(&options, logging),
        Command::Get(options) => call::get(&options, logging),
        Command::Demo(options) => demo::run(&options, logging),
        Command::Policy(options) => policy::run(options, logging),
        Command::Completions { shell } => completions(shell),
        Command::Version => {
            output::line(format_args!("vmcp {}{FEATURES}", env!("CARGO_PKG_VERSION")))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has read enough, as `head` does.
        Err(error) if output::is_unwanted(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::failure(&error);
            if is_mistake(&error) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// Whether whoever typed the command, or wrote the configuration, has to correct it.
fn is_mistake(error: &anyhow::Error) -> bool {
    error.is::<config::Problems>() || error.is::<cli::Misuse>() || error.is::<InvalidConfig>()
}

fn schema(options: &cli::Schema) -> anyhow::Result<()> {
    let text = if options.markdown { config::reference() } else { config::json_schema() };
    output::bytes(text.as_bytes())
}

fn completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "vmcp", &mut script);
    output::bytes(&script)
}
