//! A server with state in each session, on rmcp.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, InitializeResult,
        ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities,
    },
    service::RequestContext,
};
use serde_json::Value;
use tokio::time::sleep;

use super::rmcp_tool;
use crate::rmcp_host::{self, Era, RmcpServer};

/// Tool `count`: 1, 2, 3, ... in each session. Tool `slow`: waits `delay_ms`, then says `done`.
/// [`RmcpServer::forget_sessions`] makes it a forgetting one.
pub async fn counting(port: u16) -> io::Result<RmcpServer> {
    rmcp_host::serve(Era::Legacy, port, Counting::default).await
}

#[derive(Default)]
struct Counting {
    count: AtomicU64,
}

impl ServerHandler for Counting {
    fn get_info(&self) -> InitializeResult {
        InitializeResult::new(ServerCapabilities::builder().enable_tools().build())
            .with_protocol_version(ProtocolVersion::V_2025_11_25)
    }

    fn supported_protocol_versions(&self) -> std::borrow::Cow<'static, [ProtocolVersion]> {
        ProtocolVersion::known_up_to(&ProtocolVersion::V_2025_11_25).into()
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(["count", "slow"].map(rmcp_tool).into()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = match &*request.name {
            "count" => (self.count.fetch_add(1, Relaxed) + 1).to_string(),
            "slow" => {
                let arguments = request.arguments.unwrap_or_default();
                let delay = arguments.get("delay_ms").and_then(Value::as_u64).unwrap_or(1_000);
                sleep(Duration::from_millis(delay)).await;
                "done".to_owned()
            }
            other => return Err(ErrorData::invalid_params(format!("unknown tool: {other}"), None)),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}
