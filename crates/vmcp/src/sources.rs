//! Where a configuration comes from: a file, or backends that are given without one.

use std::{
    io::{self, Read as _},
    path::Path,
};

use crate::{
    cli::{self, Misuse},
    config::{self, Configuration, Given, Problems},
};

/// What messages call standard input.
const STANDARD_INPUT: &str = "standard input";

/// The most bytes of a configuration on standard input, as of one in a file.
const MAX_BYTES: u64 = 1 << 20;

/// The variable that names a configuration where the command line names nothing.
const VARIABLE: &str = "VMCP_CONFIG";

/// What a command line names, a file that stands alone where its kind belongs.
pub(crate) fn settled(mut sources: cli::Sources) -> anyhow::Result<cli::Sources> {
    let names_none = sources.config.is_none()
        && sources.given.backend.is_empty()
        && sources.given.mcp_json.is_empty();
    match sources.file.take() {
        Some(file) => match kind_of(&file)? {
            FileKind::Configuration => sources.config = Some(file),
            FileKind::Editors => sources.given.mcp_json.push(file),
        },
        None if names_none => {
            let file = config::environment(VARIABLE).filter(|file| !file.is_empty());
            let file = file.ok_or_else(|| {
                Misuse(format!(
                    "nothing names a configuration: type a FILE, --config FILE, \
                     --backend NAME=URL|COMMAND or --mcp-json FILE, or set {VARIABLE}"
                ))
            })?;
            sources.config = Some(file.into());
        }
        None => {}
    }
    if sources.config.is_some() && sources.start_timeout.is_some() {
        let why = "--start-timeout is for what has no configuration; \
                   write sessions.backendInitTimeout in the file";
        return Err(Misuse(why.to_owned()).into());
    }
    Ok(sources)
}

/// The file that can be read again when it has changed.
pub(crate) fn lasting(sources: &cli::Sources) -> Option<&Path> {
    sources.config.as_deref().filter(|file| !is_standard_input(file))
}

/// Reads the configuration that a command line names.
pub(crate) fn load(sources: &cli::Sources) -> anyhow::Result<Configuration> {
    match &sources.config {
        Some(file) if is_standard_input(file) => of_standard_input(),
        Some(file) => Ok(config::load(file, &config::environment)?),
        None => {
            let mut configuration = given(&sources.given)?.configuration(&config::environment)?;
            if let Some(timeout) = sources.start_timeout {
                configuration.set_start_timeout(timeout);
            }
            Ok(configuration)
        }
        // Who may write an editor's file runs its programs anyway.
        configuration.reload.allow_commands = true;
        return Ok(configuration);
    };
    note(file);
    config::load_noting(file, &config::environment, note)
}

/// Whether there is a file to read again.
pub(crate) fn has_file(sources: &cli::Sources) -> bool {
    sources.config.is_some() || !sources.given.mcp_json.is_empty()
}

/// Reads a configuration file on a machine that has not all of what it names.
pub(crate) fn load_without_secrets(file: &Path) -> Result<Configuration, Problems> {
    config::load_without_secrets(file, &config::environment)
}

/// Reads the configuration that stands in a file of either kind.
pub(crate) fn load_file(path: &Path) -> anyhow::Result<Configuration> {
    match kind_of(path)? {
        FileKind::Configuration => Ok(config::load(path, &config::environment)?),
        FileKind::Editors => {
            let mut given = Given::default();
            given.add_mcp_json(path)?;
            Ok(given.configuration(&config::environment)?)
        }
    }
}

/// What a file holds, as its name says.
enum FileKind {
    Configuration,
    /// The MCP servers of an editor.
    Editors,
}

fn kind_of(path: &Path) -> Result<FileKind, Misuse> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => Ok(FileKind::Configuration),
        Some("json") => Ok(FileKind::Editors),
        _ => Err(Misuse(format!(
            "{} is neither a URL nor a file that ends in .yaml, .yml or .json",
            path.display()
        ))),
    }
}

fn is_standard_input(file: &Path) -> bool {
    file == Path::new("-")
}

fn of_standard_input() -> anyhow::Result<Configuration> {
    let wrong = |why: &str| Misuse(format!("{STANDARD_INPUT}: {why}"));
    let mut text = String::new();
    let read = io::stdin().take(MAX_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| wrong(&format!("cannot be read: {error}")))?;
    if u64::try_from(text.len()).is_ok_and(|length| length > MAX_BYTES) {
        return Err(wrong("is larger than 1MiB").into());
    }
    Ok(config::parse(&text, STANDARD_INPUT, &config::environment)?)
}

/// Reads the backends that a command line gives, and tells everything that is wrong with them.
pub(crate) fn given(options: &cli::Given) -> Result<Given, Problems> {
    let mut given = Given::default();
    let mut problems: Option<Problems> = None;
    let mut note = |result: Result<(), Problems>| match (result, &mut problems) {
        (Ok(()), _) => {}
        (Err(more), Some(problems)) => problems.extend(more),
        (Err(first), None) => problems = Some(first),
    };
    for argument in &options.backend {
        note(given.add_argument(argument));
    }
    for path in &options.mcp_json {
        note(given.add_mcp_json(path));
    }
    given.pass_on(&options.pass_env);
    problems.map_or(Ok(given), Err)
}

/// What a message calls the configuration.
pub(crate) fn named(sources: &cli::Sources) -> String {
    match &sources.config {
        Some(file) if is_standard_input(file) => STANDARD_INPUT.to_owned(),
        Some(file) => file.display().to_string(),
        None => "the configuration".to_owned(),
    }
}
