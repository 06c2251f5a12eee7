//! The command line: what may be typed, and nothing else.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

/// One MCP endpoint in front of many MCP servers.
#[derive(Debug, Parser)]
#[command(name = "vmcp", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Log what is of interest to developers, too.
    #[arg(long, global = true)]
    pub(crate) debug: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the backends of a configuration file.
    Serve(Serve),
    /// Check a configuration file without serving it.
    Validate(Validate),
    /// Print the version.
    Version,
    /// Serve two small backends that come with vmcp, and show a call to each.
    Demo(Demo),
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The configuration file (YAML).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 4483)]
    pub(crate) port: u16,
    /// How long an unused session lives, such as 90s or 1h30m; replaces sessions.ttl.
    #[arg(long, value_name = "DURATION", value_parser = crate::config::parse_duration)]
    pub(crate) session_ttl: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// The configuration file (YAML).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// End after the walk instead of going on to serve.
    #[arg(long)]
    pub(crate) once: bool,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 4483)]
    pub(crate) port: u16,
}
