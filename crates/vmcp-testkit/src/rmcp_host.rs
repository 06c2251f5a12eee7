//! Serves an rmcp handler over Streamable HTTP on a loopback port.
//!
//! rmcp is the independent peer: where this crate's raw server and rmcp agree about the protocol,
//! an error in one of them does not hide an error in vmcp.

mod era;
mod sessions;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::Request;
use http_body_util::{BodyExt, Full};
use rmcp::{
    ServerHandler,
    transport::{StreamableHttpServerConfig, StreamableHttpService},
};

use crate::host::{Host, Life};
pub use era::Era;
pub(crate) use era::OfEra;
pub(crate) use sessions::CallStream;
use sessions::Sessions;

/// When a client is to take a stream up again. rmcp loses an answer that becomes ready while nobody
/// listens, so this is shorter than what any tool takes that closes its stream.
pub(crate) const RETRY: Duration = Duration::from_millis(100);

/// An rmcp server that runs. It ends when this value is dropped.
pub struct RmcpServer {
    sessions: Arc<Sessions>,
    host: Host,
}

/// Starts a server of an era. It makes one handler for each session, or for each request that has
/// none.
pub(crate) async fn serve<H: ServerHandler>(
    era: Era,
    port: u16,
    handler: impl Fn() -> H + Send + Sync + 'static,
) -> io::Result<RmcpServer> {
    let sessions = Arc::new(Sessions::default());
    let mut config = StreamableHttpServerConfig::default();
    config.max_request_body_bytes = 64 * 1024 * 1024;
    config.sse_retry = Some(RETRY);
    if era == Era::Modern {
        config.legacy_session_mode = false;
        config.stateless_protocol_metadata_required = true;
    }
    let service = StreamableHttpService::new(move || Ok(handler()), Arc::clone(&sessions), config);
    let host = Host::http(port, Life::default(), move |request| {
        let service = service.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            if let Some(refusal) = era.refusal(&head, &body) {
                return Ok(refusal);
            }
            let response = service.handle(Request::from_parts(head, Full::new(body))).await;
            Ok(response.map(|body| body.map_err(|never| match never {}).boxed()))
        }
    })
    .await?;
    Ok(RmcpServer { sessions, host })
}

impl RmcpServer {
    /// The MCP endpoint.
    pub fn url(&self) -> String {
        self.host.url()
    }

    /// The socket's address.
    pub fn address(&self) -> SocketAddr {
        self.host.address()
    }

    /// How many sessions were opened since it started.
    pub fn opened(&self) -> u64 {
        self.sessions.opened()
    }

    /// How many sessions are open.
    pub async fn open(&self) -> usize {
        self.sessions.open().await
    }

    /// Forgets every session without a word to anybody; it answers 404 from then on.
    pub async fn forget_sessions(&self) {
        self.sessions.forget().await;
    }
}
