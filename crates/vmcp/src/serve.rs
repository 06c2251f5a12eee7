//! `vmcp serve`: serves a configuration until it is told to stop.

use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;

use crate::{
    cli, compose, logging,
    reload::{Reloader, Source},
};

pub(crate) fn run(options: &cli::Serve, debug: bool) -> anyhow::Result<()> {
    let mut source = Source::new(&options.config, options.session_ttl);
    let configuration = source.load()?;
    let configured = configuration.log_level.unwrap_or(Level::INFO);
    let threshold = logging::start(if debug { Level::DEBUG } else { configured });
    for warning in &configuration.warnings {
        tracing::warn!("{warning}");
    }
    let listen = SocketAddr::new(options.host, options.port);
    control_runtime()?.block_on(async {
        let stopped = stop_signal()?;
        let reloader = Reloader::new(source, &configuration, threshold, debug)?;
        let count = configuration.backends.len();
        let running = compose::start(configuration, listen).await?;
        let url = format!("http://{}{}", running.address, compose::ENDPOINT);
        tracing::info!(%url, backends = count, "serving");
        tokio::select! {
            () = stopped => {}
            () = reloader.run(&running) => {}
        }
        running.stop().await
    })
}

/// The runtime of everything that is not on the path of a call.
pub(crate) fn control_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .context("the control runtime could not be started")
}

/// Completes when the process is told to stop.
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut quit = signal(SignalKind::quit())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = quit.recv() => {}
        }
    })
}
