//! Where a configuration comes from: a file, or backends that are given without one.

use std::path::Path;

use crate::{
    cli::{self, Misuse},
    cluster::Discovered,
    config::{self, Broken, Configuration, Given, Problems},
};

/// Standard input, as a file.
const STANDARD_INPUT: &str = "/dev/stdin";

/// The variable that names a configuration where the command line names nothing.
const VARIABLE: &str = "VMCP_CONFIG";

/// What a command line names, a file that stands alone where its kind belongs.
pub(crate) fn settled(mut sources: cli::Sources) -> anyhow::Result<cli::Sources> {
    if sources.config.as_deref() == Some(Path::new("-")) {
        sources.config = Some(STANDARD_INPUT.into());
    }
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
    let for_others = |option: &str, key: &str| {
        Misuse(format!("{option} is for what has no configuration; write {key} in the file"))
    };
    if sources.config.is_some() && sources.start_timeout.is_some() {
        return Err(for_others("--start-timeout", "sessions.backendInitTimeout").into());
    }
    if sources.config.is_some() && !sources.given.pass_env.is_empty() {
        return Err(for_others("--pass-env", "passEnv of each backend").into());
    }
    Ok(sources)
}

/// Reads the configuration that a command line names.
pub(crate) fn load(sources: &cli::Sources) -> Result<Configuration, Problems> {
    load_noting(sources, &|_path| {})
}

/// The same, and notes each file before it is read, whether the configuration can be used or not. A server of
/// an editor's file that cannot be used is left out, with a warning.
pub(crate) fn load_noting(
    sources: &cli::Sources,
    note: &dyn Fn(&Path),
) -> Result<Configuration, Problems> {
    let Some(file) = &sources.config else {
        sources.given.mcp_json.iter().for_each(|path| note(path));
        let given = given(&sources.given, Broken::LeftOut)?;
        let mut configuration = given.configuration(&config::environment)?;
        if let Some(timeout) = sources.start_timeout {
            configuration.set_start_timeout(timeout);
        }
        // Who may write an editor's file runs its programs anyway.
        configuration.reload.allow_commands = true;
        return Ok(configuration);
    };
    note(file);
    config::load_noting(file, &config::environment, note)
}

/// Reads a configuration that leaves its backends to a cluster, with those that were found there. Also gives its text.
pub(crate) fn load_discovered(
    sources: &cli::Sources,
    discovered: &Discovered,
    note: &dyn Fn(&Path),
) -> Result<(Configuration, String), Problems> {
    // Only a file says that they are looked for.
    let Some(file) = &sources.config else {
        return load_noting(sources, note).map(|configuration| (configuration, String::new()));
    };
    note(file);
    discovered.load(file, &config::environment, note)
}

/// Reads the text of such a configuration again, with those that were found since.
pub(crate) fn reread_discovered(
    sources: &cli::Sources,
    discovered: &Discovered,
    text: &str,
) -> Result<Configuration, Problems> {
    discovered.reread(text, &named(sources), &config::environment)
}

/// Whether there is a file to read again.
pub(crate) fn has_file(sources: &cli::Sources) -> bool {
    // What comes through a pipe comes once.
    let is_file = |file: &Path| std::fs::metadata(file).is_ok_and(|found| found.is_file());
    let given = &sources.given.mcp_json;
    match &sources.config {
        Some(file) => is_file(file),
        None => !given.is_empty() && given.iter().all(|file| is_file(file)),
    }
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
            let mut given = Given::new(Broken::LeftOut);
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

/// Reads the backends that a command line gives, and tells everything that is wrong with them. `broken` says
/// what becomes of a server of an editor's file that cannot be used.
pub(crate) fn given(options: &cli::Given, broken: Broken) -> Result<Given, Problems> {
    let mut given = Given::new(broken);
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
    sources
        .config
        .as_ref()
        .map_or_else(|| "the configuration".to_owned(), |path| path.display().to_string())
}
