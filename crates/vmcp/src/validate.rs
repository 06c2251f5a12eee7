//! `vmcp validate`: everything that `serve` checks before it listens.

use tokio_util::task::TaskTracker;

use crate::{cli, compose, config, output};

pub(crate) fn run(options: &cli::Validate) -> anyhow::Result<()> {
    let configuration = config::load(&options.config, &config::environment)?;
    let backends = configuration.backends.iter().map(|backend| &backend.config);
    compose::backends(backends, &TaskTracker::new())?;
    for warning in &configuration.warnings {
        output::line(format_args!("warning: {warning}"))?;
    }
    output::line(format_args!(
        "{} is valid: {} with {} backend(s)",
        options.config.display(),
        configuration.name,
        configuration.backends.len(),
    ))
}
