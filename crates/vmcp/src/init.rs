//! `vmcp init`: writes a configuration file to go on with.

use std::{cell::RefCell, collections::BTreeSet, io, path::Path};

use anyhow::Context as _;

use crate::{
    cli::{self, Misuse},
    config::{self, Broken, Configuration, Given, Problems},
    output,
    private::{self, Existing},
    sources,
};

pub(crate) fn run(options: &cli::Init) -> anyhow::Result<()> {
    let none = options.given.backend.is_empty() && options.given.mcp_json.is_empty();
    let text = if none {
        config::starter()
    } else {
        text(&sources::given(&options.given, Broken::Refused)?)?
    };
    let Some(path) = &options.output else {
        return output::bytes(text.as_bytes());
    };
    write(path, &text, options.force)?;
    let path = path.display();
    output::line(format_args!("{path} is written; vmcp serve --config {path} serves it"))
}

/// The file's text, once it is known that it can be read.
fn text(given: &Given) -> Result<String, Problems> {
    let (configuration, unset) = checked(given)?;
    for warning in &configuration.warnings {
        output::warning(&warning.to_string());
    }
    for name in unset {
        output::warning(&format!("the environment variable {name} must be set to serve this"));
    }
    Ok(given.text())
}

/// Reads what is to be written. A variable may yet be set when it is served.
fn checked(given: &Given) -> Result<(Configuration, BTreeSet<String>), Problems> {
    let unset = RefCell::new(BTreeSet::new());
    let environment = |name: &str| {
        config::environment(name).or_else(|| {
            // What programs inherit need not be there, nor what another system's operator sets.
            if config::is_inherited(name) || config::is_manifest(name) {
                return None;
            }
            unset.borrow_mut().insert(name.to_owned());
            // Can be part of most values, a port included.
            Some("1".to_owned())
        })
    };
    match given.configuration(&config::environment) {
        Ok(configuration) => Ok((configuration, BTreeSet::new())),
        Err(_) => {
            let configuration = given.configuration(&environment)?;
            // Programs are given some variables if they happen to be there, and others have a
            // default; nobody has to set those.
            let (text, mut unset) = (given.text(), unset.take());
            unset.retain(|name| text.contains(&format!("${{{name}}}")));
            Ok((configuration, unset))
        }
    }
}

/// Writes a file that may hold secrets.
fn write(path: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let exists = || Misuse(format!("{} exists; replace it with --force", path.display()));
    if !force && path.exists() {
        return Err(exists().into());
    }
    path.file_name().context("the output is not the name of a file")?;
    let existing = if force { Existing::Replaced } else { Existing::Stays };
    match private::write(path, text.as_bytes(), existing) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists().into()),
        written => written.with_context(|| format!("{} cannot be written", path.display())),
    }
}
