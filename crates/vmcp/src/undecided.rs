//! Servers of editors' files whose entry does not say how they are spoken to. Editors try Streamable HTTP
//! and, where that is refused, HTTP+SSE (specification 2025-11-25, basic/transports, "backwards
//! compatibility"), and so does this, once and at the start.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use vmcp_backend::{Backend, ClientView, Config, Error, Transport};

use crate::config::BackendSettings;

/// How long a server is waited for. One that is not there by then counts as one of Streamable HTTP.
const PATIENCE: Duration = Duration::from_secs(3);

/// Decides how each of these is spoken to, all at the same time.
pub(crate) async fn decide(backends: &mut [BackendSettings]) {
    let mut asking = JoinSet::new();
    for (place, backend) in backends.iter().enumerate().filter(|(_, one)| one.is_undecided) {
        let config = backend.config.clone();
        asking.spawn(async move { (place, older(config).await) });
    }
    while let Some(asked) = asking.join_next().await {
        if let Ok((place, Some(transport))) = asked {
            let config = &mut backends[place].config;
            tracing::info!(backend = %config.id, "the server speaks HTTP+SSE; \"type\": \"sse\" in its entry says so at once");
            config.transport = transport;
        }
    }
}

/// The older transport, if that is how a server is to be spoken to.
async fn older(config: Config) -> Option<Transport> {
    let Transport::Http(endpoint) = &config.transport else { return None };
    let older = Config { transport: Transport::Sse(endpoint.clone()), ..config.clone() };
    match tokio::time::timeout(PATIENCE, opens(&config)).await {
        Ok(Err(error)) if error.is_final() => {}
        _ => return None,
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
