//! The server that a client command speaks to: one behind a URL, or the gateway of a file, which
//! is served inside this process for as long as the command takes.

use std::{net::SocketAddr, path::Path, time::Duration};

use http::HeaderMap;
use tokio_util::task::TaskTracker;
use tracing::Level;

use crate::{
    cli::{self, Misuse},
    client::Client,
    compose::{self, ENDPOINT, Running},
    config::Configuration,
    connect,
    logging::Logging,
    output, serve, sources,
};

/// Runs a command against its server.
pub(crate) fn run<T>(
    target: &cli::Target,
    logging: Logging,
    command: impl AsyncFnOnce(&Client) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let is_url = ["http://", "https://"].iter().any(|scheme| target.target.starts_with(scheme));
    let configuration = if is_url { None } else { Some(of_file(target)?) };
    logging.start_for_people(Level::WARN);
    serve::control_runtime()?.block_on(async {
        let tasks = TaskTracker::new();
        let Some(configuration) = configuration else {
            let headers: HeaderMap = target.header.iter().cloned().collect();
            return with_client(&target.target, headers, &tasks, command).await;
        };
        let running = start(configuration).await?;
        let url = format!("http://{}{ENDPOINT}", running.address);
        let done = with_client(&url, HeaderMap::new(), &tasks, command).await;
        running.stop().await?;
        done
    })
}

fn of_file(target: &cli::Target) -> anyhow::Result<Configuration> {
    if !target.header.is_empty() {
        return Err(Misuse("--header is for URLs; a file names its own headers".into()).into());
    }
    let configuration = sources::load_file(Path::new(&target.target))?;
    for warning in &configuration.warnings {
        output::warning(warning);
    }
    Ok(configuration)
}

/// Serves a configuration where nobody else looks for it, and waits for its backends.
async fn start(mut configuration: Configuration) -> anyhow::Result<Running> {
    configuration.admin_listen = None;
    configuration.sessions.drain_timeout = Duration::from_millis(100);
    let patience = connect::patience(&configuration);
    let running = compose::start(configuration, SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    running.view.settle(patience).await;
    Ok(running)
}

async fn with_client<T>(
    url: &str,
    headers: HeaderMap,
    tasks: &TaskTracker,
    command: impl AsyncFnOnce(&Client) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let client = Client::connect(url, headers, tasks).await?;
    let done = command(&client).await;
    // What the command found out is worth more than a good farewell.
    if let Err(error) = client.close().await {
        tracing::debug!(%error, "the session was not ended");
    }
    done
}
