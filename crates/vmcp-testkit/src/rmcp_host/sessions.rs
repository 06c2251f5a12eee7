//! rmcp's own session manager, with a count, a way to forget, and a hold on each call's stream.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use rmcp::{
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::{
        common::server_side_http::{ServerSseMessage, SessionId},
        streamable_http_server::session::{
            SessionManager,
            local::{LocalSessionHandle, LocalSessionManager, LocalSessionManagerError},
        },
    },
};
use tokio_stream::{Stream, wrappers::ReceiverStream};

/// Lets a handler close the stream of its own call; the client must come back for the answer.
#[derive(Clone)]
pub(crate) struct CallStream {
    session: LocalSessionHandle,
    stream: u64,
}

pub(super) struct Sessions {
    inner: LocalSessionManager,
    opened: Arc<AtomicU64>,
}

impl CallStream {
    pub(crate) async fn close(&self) {
        // The client may have closed it before.
        let _ = self.session.close_sse_stream(self.stream, None).await;
    }
}

impl Default for Sessions {
    fn default() -> Self {
        let mut inner = LocalSessionManager::default();
        inner.session_config.sse_retry = Some(super::RETRY);
        Self { inner, opened: Arc::default() }
    }
}

impl Sessions {
    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }

    pub(super) async fn open(&self) -> usize {
        self.inner.sessions.read().await.len()
    }

    pub(super) async fn forget(&self) {
        self.inner.sessions.write().await.clear();
    }
}

impl SessionManager for Sessions {
    type Error = LocalSessionManagerError;
    type Transport = <LocalSessionManager as SessionManager>::Transport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        self.opened.fetch_add(1, Relaxed);
        self.inner.create_session().await
    }

    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, Self::Error> {
        self.inner.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        self.inner.has_session(id).await
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        self.inner.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        mut message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let session = self.inner.sessions.read().await.get(id).cloned();
        let session =
            session.ok_or_else(|| LocalSessionManagerError::SessionNotFound(id.clone()))?;
        let receiver = session.establish_request_wise_channel().await?;
        if let Some(stream) = receiver.http_request_id {
            message.insert_extension(CallStream { session: session.clone(), stream });
        }
        session.push_message(message, receiver.http_request_id).await?;
        Ok(ReceiverStream::new(receiver.inner))
    }

    async fn accept_message(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<(), Self::Error> {
        self.inner.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.inner.create_standalone_stream(id).await
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.inner.resume(id, last_event_id).await
    }
}
