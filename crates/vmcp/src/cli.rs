//! The command line: what may be typed, and nothing else.

mod tips;

use std::{fmt, path::PathBuf, time::Duration};

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use vmcp_model::Kind;

/// Above what all commands have in common.
const LOG: &str = "Log";

/// One MCP endpoint in front of many MCP servers.
#[derive(Debug, Parser)]
#[command(
    name = "vmcp",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Exit status: 0 if all went well, 1 if something failed, \
                  2 if the configuration or the command line is wrong."
)]
pub(crate) struct Cli {
    /// Log what is of interest to developers, too.
    #[arg(long, global = true, help_heading = LOG)]
    pub(crate) debug: bool,
    /// How log lines look; auto is short lines on a terminal, otherwise json.
    #[arg(long, global = true, help_heading = LOG, value_name = "FORMAT", default_value = "auto")]
    pub(crate) log_format: LogFormat,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the backends of a configuration file, or those given here.
    Serve(Serve),
    /// Check a configuration without serving it.
    Validate(Validate),
    /// Write a configuration file to go on with.
    Init(Init),
    /// Print the JSON Schema of the configuration file.
    Schema(Schema),
    /// List what a server offers.
    List(List),
    /// List the tools of a server.
    Tools(Tools),
    /// Call a tool.
    Call(Call),
    /// Read a resource.
    Read(Read),
    /// Get a prompt.
    Get(Get),
    /// Serve two small backends that come with vmcp, and show a call to each.
    Demo(Demo),
    /// Say what policies allow, to whom and why.
    Policy(Policy),
    /// Print a shell's completions of this command line.
    Completions { shell: clap_complete::Shell },
    /// Print the version.
    Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Auto,
    Text,
    Json,
}

/// Where a configuration comes from.
#[derive(Debug, Clone, Args)]
pub(crate) struct Sources {
    /// A configuration (.yaml) or an editor's file (.json); the same as --config or --mcp-json. Where
    /// nothing names one, the variable VMCP_CONFIG may name a configuration.
    #[arg(conflicts_with_all = ["config", "backend", "mcp_json"])]
    pub(crate) file: Option<PathBuf>,
    /// The configuration file (YAML); - is standard input.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["backend", "mcp_json", "pass_env"])]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) given: Given,
    /// How long a program may take to start, such as 5m, without a configuration file; by default 2m.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = crate::config::parse_start_timeout,
        conflicts_with = "config"
    )]
    pub(crate) start_timeout: Option<Duration>,
}

/// Backends that are given without a configuration file.
#[derive(Debug, Clone, Args)]
pub(crate) struct Given {
    /// A backend: its URL, or the command that runs it; may be repeated.
    #[arg(long, value_name = "NAME=URL|COMMAND")]
    pub(crate) backend: Vec<String>,
    /// A file with the MCP servers of an editor (mcpServers); may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) mcp_json: Vec<PathBuf>,
    /// A variable of the environment that the programs get as it is; may be repeated.
    #[arg(long, value_name = "NAME")]
    pub(crate) pass_env: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// The address to listen on, or a name of it.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 4483)]
    pub(crate) port: u16,
    /// How long an unused session lives, such as 90s or 1h30m; replaces sessions.ttl.
    #[arg(long, value_name = "DURATION", value_parser = crate::config::parse_session_ttl)]
    pub(crate) session_ttl: Option<Duration>,
    /// Record on standard output what callers do, unless the configuration says where.
    #[arg(long)]
    pub(crate) enable_audit: bool,
}

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Validate {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Connect to the backends, and show what they offer.
    #[arg(long)]
    pub(crate) connect: bool,
    /// Leave aside variables and files that the configuration names and this machine does not have.
    #[arg(long, conflicts_with_all = ["connect", "backend", "mcp_json"])]
    pub(crate) without_secrets: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print what is wrong as SARIF, for code scanning.
    #[arg(long, conflicts_with_all = ["json", "connect"])]
    pub(crate) sarif: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Policy {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say what somebody may do, and which policies decide that. Without something to ask about, all that
    /// the backends offer.
    Explain(Explain),
    /// Check a table of cases against the policies.
    Test(PolicyTest),
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The configuration file (YAML).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// What a token would say of the caller: a JSON object, or a file that holds one.
    #[arg(long, value_name = "JSON|FILE")]
    pub(crate) claims: String,
    #[command(flatten)]
    pub(crate) asked: Asked,
    /// The backend that has it, where its name does not say that.
    #[arg(long, value_name = "NAME")]
    pub(crate) backend: Option<String>,
    /// The arguments of the call: a JSON object, or a file that holds one.
    #[arg(long, value_name = "JSON|FILE")]
    pub(crate) arguments: Option<String>,
    /// Ask the backends what they offer, such as the hints of a tool.
    #[arg(long)]
    pub(crate) connect: bool,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is asked about.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct Asked {
    /// A tool, by the name that clients see.
    #[arg(long, value_name = "NAME")]
    pub(crate) tool: Option<String>,
    /// A prompt, by the name that clients see.
    #[arg(long, value_name = "NAME")]
    pub(crate) prompt: Option<String>,
    /// A resource.
    #[arg(long, value_name = "URI")]
    pub(crate) resource: Option<String>,
    /// A resource template.
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) template: Option<String>,
    /// A method that is none of the protocol's.
    #[arg(long, value_name = "NAME")]
    pub(crate) method: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyTest {
    /// The table of cases (YAML).
    pub(crate) file: PathBuf,
    /// The configuration whose policies are tested, in place of the one that the table names.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) given: Given,
    /// The file to write, readable by its owner only; standard output if absent.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Print the reference of all keys for people instead.
    #[arg(long)]
    pub(crate) markdown: bool,
}

/// The server that a client command speaks to.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The URL of an MCP endpoint, or a configuration (.yaml) or an editor's file (.json), which
    /// is served inside this process.
    #[arg(value_name = "URL|FILE")]
    pub(crate) target: String,
    /// A header for every request to the URL; may be repeated.
    #[arg(long, value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,
    /// Print what the server answers as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) target: Target,
    /// What to list.
    #[arg(default_value = "all")]
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    Tools,
    Resources,
    Templates,
    Prompts,
    All,
}

#[derive(Debug, Args)]
pub(crate) struct Tools {
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct Call {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The name of the tool.
    pub(crate) tool: String,
    /// Its arguments; a value is JSON if the tool does not ask for text and it can be read as JSON.
    #[arg(value_name = "KEY=VALUE", value_parser = pair, conflicts_with = "arguments")]
    pub(crate) pairs: Vec<(String, String)>,
    /// Its arguments as one JSON object: the text, a file that holds it, or standard input.
    #[arg(long, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    pub(crate) arguments: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Read {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The URI of the resource.
    pub(crate) uri: String,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The name of the prompt.
    pub(crate) prompt: String,
    /// Its arguments.
    #[arg(value_name = "KEY=VALUE", value_parser = pair)]
    pub(crate) pairs: Vec<(String, String)>,
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

/// Something on the command line that cannot be, though each option for itself can.
#[derive(Debug)]
pub(crate) struct Misuse(pub(crate) String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

impl Cli {
    /// Reads the command line of this process. Ends it if that cannot be.
    pub(crate) fn read() -> Self {
        // The version is the program's, whichever command it is asked with.
        let command = Self::command().mut_subcommands(|command| command.display_name("vmcp"));
        let matches = command.try_get_matches();
        let matches = matches.unwrap_or_else(|error| tips::added(error).exit());
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

impl What {
    pub(crate) fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Tools => &[Kind::Tool],
            Self::Resources => &[Kind::Resource],
            Self::Templates => &[Kind::ResourceTemplate],
            Self::Prompts => &[Kind::Prompt],
            Self::All => &Kind::ALL,
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests;
