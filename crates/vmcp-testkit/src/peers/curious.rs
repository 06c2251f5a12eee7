//! A server that asks for the client's roots as soon as it may, on rmcp.

use std::{io, time::Duration};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, InitializeResult,
        ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities,
    },
    service::{NotificationContext, RequestContext},
};
use tokio::{sync::watch, time::timeout};

use super::rmcp_tool;
use crate::{
    SseServer,
    rmcp_host::{self, Era, RmcpServer},
    sse_host,
};

/// An answer that has come may not have been taken in yet.
const TAKEN_IN: Duration = Duration::from_millis(500);

/// Tool `roots`: the URI of the client's first root, as it was told when the session was set.
pub async fn curious(port: u16) -> io::Result<RmcpServer> {
    rmcp_host::serve(Era::Legacy, port, Curious::default).await
}

/// [`curious`] over HTTP+SSE.
pub async fn curious_sse(port: u16) -> io::Result<SseServer> {
    sse_host::serve(port, Curious::default).await
}

#[derive(Default)]
struct Curious {
    root: watch::Sender<Option<String>>,
}

impl ServerHandler for Curious {
    fn get_info(&self) -> InitializeResult {
        InitializeResult::new(ServerCapabilities::builder().enable_tools().build())
            .with_protocol_version(ProtocolVersion::V_2025_11_25)
    }

    fn supported_protocol_versions(&self) -> std::borrow::Cow<'static, [ProtocolVersion]> {
        ProtocolVersion::known_up_to(&ProtocolVersion::V_2025_11_25).into()
    }

    #[expect(deprecated, reason = "what servers do of this era")]
    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let Ok(roots) = context.peer.list_roots().await else { return };
        let first = roots.roots.into_iter().next().map(|root| root.uri.to_string());
        self.root.send_replace(first);
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![rmcp_tool("roots")]))
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let mut told = self.root.subscribe();
        let root = match timeout(TAKEN_IN, told.wait_for(Option::is_some)).await {
            Ok(Ok(root)) => root.clone().unwrap_or_default(),
            Ok(Err(_)) | Err(_) => "none".to_owned(),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(root)]).into())
    }
}
