//! Servers of editors' files whose entry does not say how they are spoken to. Editors try Streamable HTTP
//! and, where that is refused, HTTP+SSE (specification 2025-11-25, basic/transports, "backwards
//! compatibility"), and so does this, as soon as the server can be reached.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use vmcp_backend::{Backend, ClientView, Config, Error, Transport};

use crate::config::BackendSettings;

/// How long a server is waited for. One that is not there by then counts as one of Streamable HTTP until it is.
const PATIENCE: Duration = Duration::from_secs(3);

/// Decides how each of these is spoken to, all at the same time. What cannot be found out stays undecided.
pub(crate) async fn decide(backends: &mut [BackendSettings]) {
    let mut asking = JoinSet::new();
    for (place, backend) in backends.iter().enumerate().filter(|(_, one)| one.is_undecided) {
        let config = backend.config.clone();
        asking.spawn(async move { (place, found(config).await) });
    }
    while let Some(asked) = asking.join_next().await {
        let Ok((place, Some(transport))) = asked else { continue };
        let backend = &mut backends[place];
        if matches!(transport, Transport::Sse(_)) {
            tracing::info!(backend = %backend.config.id, "the server speaks HTTP+SSE; \"type\": \"sse\" in its entry says so at once");
        }
        backend.config.transport = transport;
        backend.is_undecided = false;
    }
}

/// Those of which it could not be found out.
pub(crate) fn left(backends: &[BackendSettings]) -> Vec<BackendSettings> {
    backends.iter().filter(|backend| backend.is_undecided).cloned().collect()
}

/// How a server is to be spoken to.
async fn found(config: Config) -> Option<Transport> {
    let Transport::Http(endpoint) = &config.transport else { return None };
    let older = Config { transport: Transport::Sse(endpoint.clone()), ..config.clone() };
    match tokio::time::timeout(PATIENCE, opens(&config)).await {
        Ok(Ok(())) => return Some(config.transport),
        Ok(Err(error)) if error.is_final() => {}
        Ok(Err(_)) | Err(_) => return None,
    }
    let opened = tokio::time::timeout(PATIENCE, opens(&older)).await;
    matches!(opened, Ok(Ok(()))).then_some(older.transport)
}

/// Begins a session and ends it again.
async fn opens(config: &Config) -> Result<(), Error> {
    let Ok(backend) = Backend::new(config, TaskTracker::new()) else { return Ok(()) };
    let opened = backend.open(&ClientView::nobody()).await;
    if let Ok(session) = &opened
        && let Err(error) = backend.close(session).await
    {
        tracing::debug!(backend = %config.id, %error, "a session was not ended");
    }
    backend.shutdown().await;
    opened.map(drop)
}
