//! `vmcp validate`: everything that `serve` checks before it listens, and on request what it would
//! find behind the backends' addresses.

use anyhow::bail;
use serde_json::json;
use tokio_util::task::TaskTracker;
use tracing::Level;

use crate::{
    cli, compose, config::Configuration, connect, logging::Logging, output, printable,
    serve::control_runtime, sources,
};

pub(crate) fn run(options: &cli::Validate, logging: Logging) -> anyhow::Result<()> {
    let checked = check(&options.sources);
    let configuration = match (checked, options.json) {
        (Ok(configuration), _) => configuration,
        (Err(error), true) => {
            let problems: Vec<_> = format!("{error:#}").lines().map(str::to_owned).collect();
            output::json(&json!({"valid": false, "problems": problems}))?;
            return Err(error);
        }
        (Err(error), false) => return Err(error),
    };
    let (name, count) = (configuration.name.clone(), configuration.backends.len());
    let warnings = configuration.warnings.clone();
    if !options.json {
        for warning in &warnings {
            output::line(format_args!("warning: {}", printable::line(warning)))?;
        }
        let valid = format!(
            "{} is valid: {name} with {count} backend(s)",
            sources::named(&options.sources)
        );
        output::line(format_args!("{}", printable::line(&valid)))?;
    }
    let mut result = json!({"valid": true, "name": name, "warnings": warnings});
    let mut failed = 0;
    if options.connect {
        // What fails is in the result.
        logging.start_for_people(Level::ERROR);
        let findings = control_runtime()?.block_on(connect::connect(configuration))?;
        failed = findings.failed();
        if options.json {
            result["found"] = findings.to_json();
        } else {
            findings.show()?;
        }
    }
    if options.json {
        output::json(&result)?;
    }
    if failed > 0 {
        bail!("{failed} of {count} backend(s) failed");
    }
    Ok(())
}

/// Reads the configuration and makes its backends ready, as `serve` does.
fn check(sources: &cli::Sources) -> anyhow::Result<Configuration> {
    let configuration = sources::load(sources)?;
    let backends = configuration.backends.iter().map(|backend| &backend.config);
    compose::backends(backends, &TaskTracker::new())?;
    Ok(configuration)
}
