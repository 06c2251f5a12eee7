//! The server that a client command speaks to: one behind a URL, or the gateway of a file, which
//! is served inside this process for as long as the command takes.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::anyhow;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio_util::task::TaskTracker;
use tracing::Level;
use vmcp_backend::Outgoing;

use crate::{
    cli::{self, Misuse},
    client::Client,
    compose::{self, ENDPOINT, Running},
    config::Configuration,
    connect,
    logging::Logging,
    output, serve, sources,
    stop::{Hangup, Stop},
};

/// Runs a command against its server.
pub(crate) fn run<T>(
    target: &cli::Target,
    logging: Logging,
    command: impl AsyncFnOnce(&Client) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let is_url = ["http://", "https://"].iter().any(|scheme| target.target.starts_with(scheme));
    let configuration = if is_url { None } else { Some(of_file(target)?) };
    let headers: HeaderMap =
        target.header.iter().map(|text| header(text)).collect::<Result<_, _>>()?;
    // Of a server that is asked directly, the command itself says what is wrong.
    logging.start_for_people(if is_url { Level::ERROR } else { Level::WARN });
    serve::control_runtime()?.block_on(async {
        let tasks = TaskTracker::new();
        let mut stop = Stop::listen(Hangup::Stops)?;
        let Some(configuration) = configuration else {
            return with_client(&target.target, headers, &tasks, &mut stop, command).await;
        };
        let patience = connect::patience(&configuration);
        let running = start(configuration).await?;
        let url = format!("http://{}{ENDPOINT}", running.address);
        let ready = async { Ok(running.view.settle(patience).await) };
        let done = match stop.unless(ready).await {
            Ok(_settled) => with_client(&url, HeaderMap::new(), &tasks, &mut stop, command).await,
            Err(error) => Err(error),
        };
        // Whatever was started for this command ends with it.
        running.stop_at_once(stop.told_again()).await?;
        done
    })
}

fn of_file(target: &cli::Target) -> anyhow::Result<Configuration> {
    if !target.header.is_empty() {
        return Err(Misuse("--header is for URLs; a file names its own headers".into()).into());
    }
    let configuration = sources::load_file(Path::new(&target.target))?;
    for warning in &configuration.warnings {
        output::warning(&warning.to_string());
    }
    Ok(configuration)
}

/// A header as it was typed. What is wrong is not quoted: it may be a secret.
fn header(text: &str) -> Result<(HeaderName, HeaderValue), Misuse> {
    let wrong = |why: &str| Misuse(format!("--header: {why}; write 'Name: value'"));
    let (name, value) = text.split_once(':').ok_or_else(|| wrong("there is no colon"))?;
    let name = HeaderName::from_bytes(name.trim().as_bytes());
    let name = name.map_err(|_invalid| wrong("what precedes the colon is no name"))?;
    let value = HeaderValue::from_str(value.trim());
    let mut value =
        value.map_err(|_invalid| wrong("the value holds a character that no header may have"))?;
    if Outgoing::RESERVED.contains(&name) {
        return Err(Misuse(format!("--header: {name} belongs to the transport and cannot be set")));
    }
    value.set_sensitive(true);
    Ok((name, value))
}

/// Serves a configuration where nobody else looks for it.
async fn start(mut configuration: Configuration) -> anyhow::Result<Running> {
    configuration.admin_listen = None;
    configuration.sessions.drain_timeout = Duration::from_millis(100);
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    compose::start(configuration, listen, None).await
}

async fn with_client<T>(
    url: &str,
    headers: HeaderMap,
    tasks: &TaskTracker,
    stop: &mut Stop,
    command: impl AsyncFnOnce(&Client) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let connected = stop.unless(Client::connect(url, headers, tasks)).await;
    let client = connected.map_err(|error| advised(error, url))?;
    let done = stop.unless(command(&client)).await;
    // What the command found out is worth more than a good farewell.
    if let Err(error) = client.close().await {
        tracing::debug!(%error, "the session was not ended");
    }
    done
}

/// Says what to do about a server that does not let just anybody in.
fn advised(error: anyhow::Error, url: &str) -> anyhow::Error {
    match error.downcast_ref() {
        Some(vmcp_backend::Error::Refused { status: status @ (401 | 403), .. }) => anyhow!(
            "{url} refuses this caller with HTTP status {status}; \
             show a credential with --header 'Authorization: Bearer ...'"
        ),
        _ => error,
    }
}
