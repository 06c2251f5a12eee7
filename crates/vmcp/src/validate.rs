//! `vmcp validate`: everything that `serve` checks before it listens, and on request what it would
//! find behind the backends' addresses.

mod report;

use anyhow::bail;
use serde_json::json;
use tokio_util::task::TaskTracker;
use tracing::Level;

use crate::{
    cli, compose,
    config::{self, Beside, Configuration, Problem, Problems},
    connect,
    logging::Logging,
    output, printable,
    serve::control_runtime,
    sources,
};
use report::Report;

pub(crate) fn run(options: &cli::Validate, logging: Logging) -> anyhow::Result<()> {
    let checked = check(options);
    let mut report = Report::default();
    let Beside { warnings, notes } = match &checked {
        Ok(Configuration { warnings, notes, .. }) => {
            Beside { warnings: warnings.clone(), notes: notes.clone() }
        }
        Err(error) => match error.downcast_ref::<Problems>() {
            Some(problems) => {
                problems.iter().for_each(|problem| report.add_problem(problem));
                problems.beside().clone()
            }
            None => {
                report.add_failure(format!("{error:#}"));
                Beside::default()
            }
        },
    };
    let mut notes = notes;
    if checked.as_ref().is_ok_and(|configuration| configuration.discovers) {
        notes.push(Problem::of_file(config::NOT_LOOKED_UP).of(&sources::named(&options.sources)));
    }
    warnings.iter().for_each(|warning| report.add_warning(warning));
    notes.iter().for_each(|note| report.add_note(note));
    if options.sarif {
        output::json(&report.to_sarif(&sources::named(&options.sources)))?;
        return checked.map(|_configuration| ());
    }
    if !options.json {
        let warnings = warnings.iter().map(|warning| format!("warning: {warning}"));
        let notes = notes.iter().map(|note| format!("note: {note}"));
        for line in warnings.chain(notes) {
            output::line(format_args!("{}", printable::line(&line)))?;
        }
    }
    let configuration = match checked {
        Ok(configuration) => configuration,
        Err(error) => {
            if options.json {
                output::json(&json!({"valid": false, "problems": report.to_json()}))?;
            }
            return Err(error);
        }
    };
    let (name, count) = (configuration.name.clone(), configuration.backends.len());
    if !options.json {
        let file = sources::named(&options.sources);
        let valid = if options.without_secrets {
            format!("{file} is valid, apart from what this machine does not have")
        } else if configuration.discovers {
            format!("{file} is valid: {name}, with the backends that are found in the cluster")
        } else {
            format!("{file} is valid: {name} with {count} backend(s)")
        };
        output::line(format_args!("{}", printable::line(&valid)))?;
    }
    let mut result = json!({"valid": true, "name": name, "problems": report.to_json()});
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
fn check(options: &cli::Validate) -> anyhow::Result<Configuration> {
    let configuration = match &options.sources.config {
        Some(file) if options.without_secrets => sources::load_without_secrets(file)?,
        None if options.without_secrets => {
            let text = "--without-secrets is for a configuration (.yaml)".to_owned();
            return Err(cli::Misuse(text).into());
        }
        _ => sources::load(&options.sources)?,
    };
    let backends = configuration.backends.iter().map(|backend| &backend.config);
    compose::backends(backends, &TaskTracker::new())?;
    Ok(configuration)
}
