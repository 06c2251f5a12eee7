//! A server that shows more to clients that can be asked for samples, on rmcp.

use std::io;

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, InitializeResult,
        ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities,
    },
    service::RequestContext,
};

use super::rmcp_tool;
use crate::{SseServer, sse_host};

/// Tool `plain`, and `sampler` for those who can be asked, over HTTP+SSE.
pub async fn by_kind_sse(port: u16) -> io::Result<SseServer> {
    sse_host::serve(port, || ByKind).await
}

struct ByKind;

impl ServerHandler for ByKind {
    fn get_info(&self) -> InitializeResult {
        InitializeResult::new(ServerCapabilities::builder().enable_tools().build())
            .with_protocol_version(ProtocolVersion::V_2025_06_18)
    }

    fn supported_protocol_versions(&self) -> std::borrow::Cow<'static, [ProtocolVersion]> {
        ProtocolVersion::known_up_to(&ProtocolVersion::V_2025_11_25).into()
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let client = context.peer.peer_info();
        let can = client.is_some_and(|client| client.capabilities.sampling.is_some());
        let names = if can { &["plain", "sampler"][..] } else { &["plain"] };
        Ok(ListToolsResult::with_all_items(names.iter().map(|name| rmcp_tool(name)).collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text(request.name.to_string())]).into())
    }
}
