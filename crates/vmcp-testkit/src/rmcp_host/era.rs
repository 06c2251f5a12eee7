//! Holds an rmcp server to one era. rmcp itself always knows both: it would answer an old client's
//! `initialize` in the modern era, and tell a modern client in its own words that it is too new.

use std::borrow::Cow;

use http::{Method, Response, StatusCode, header, request::Parts};
use rmcp::{
    ErrorData, RoleServer,
    model::{
        ClientJsonRpcMessage, ClientRequest, GetMeta as _, ProtocolVersion, RequestId,
        ServerJsonRpcMessage,
    },
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde_json::{Value, json};

use crate::body::{ReplyBody, whole};

/// Which eras a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Era {
    /// Whatever the client opens with
    Both,
    /// Revisions up to 2025-11-25; modern requests are refused as servers of that time do
    Legacy,
    /// Revision 2026-07-28 alone; `initialize` is refused
    Modern,
}

impl Era {
    /// How an HTTP request is refused that rmcp would not refuse by itself, or not in this manner.
    pub(super) fn refusal(self, head: &Parts, body: &[u8]) -> Option<Response<ReplyBody>> {
        let version = head.headers.get("mcp-protocol-version").and_then(|text| text.to_str().ok());
        let message: Value = serde_json::from_slice(body).unwrap_or_default();
        match self {
            Self::Both => None,
            Self::Legacy => {
                let known = ProtocolVersion::known_up_to(&ProtocolVersion::V_2025_11_25);
                let unknown =
                    version.filter(|version| known.iter().all(|k| k.as_str() != *version));
                let reason = match unknown {
                    Some(version) => {
                        let known: Vec<_> = known.iter().map(ProtocolVersion::as_str).collect();
                        let known = known.join(", ");
                        format!(
                            "Unsupported protocol version: {version} (supported versions: {known})"
                        )
                    }
                    None if message["method"] == "server/discover" => {
                        "Mcp-Session-Id header is required".to_owned()
                    }
                    None => return None,
                };
                let error = json!({"code": -32000, "message": format!("Bad Request: {reason}")});
                Some(refused(&Value::Null, &error))
            }
            Self::Modern => {
                if head.method != Method::POST || message["method"] != "initialize" {
                    return None;
                }
                let mut data = json!({"supported": ["2026-07-28"]});
                let wanted =
                    version.map_or(&message["params"]["protocolVersion"], |_| &Value::Null);
                let error = match version {
                    Some("2026-07-28") => return None,
                    Some(version) => {
                        data["requested"] = json!(version);
                        json!({"code": -32022, "message": "Unsupported protocol version", "data": data})
                    }
                    None => {
                        let reason =
                            "MCP-Protocol-Version is missing; this server speaks 2026-07-28";
                        data["requested"] = wanted.clone();
                        json!({"code": -32020, "message": reason, "data": data})
                    }
                };
                Some(refused(&message["id"], &error))
            }
        }
    }
}

fn refused(id: &Value, error: &Value) -> Response<ReplyBody> {
    let body = json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string();
    let mut response = Response::new(whole(body));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The same for a transport of one channel: what is not of the era never reaches the server.
pub(crate) struct OfEra<T> {
    era: Era,
    inner: T,
}

impl<T: Transport<RoleServer>> OfEra<T> {
    pub(crate) fn new(era: Era, inner: T) -> Self {
        Self { era, inner }
    }

    fn refusal(&self, message: &ClientJsonRpcMessage) -> Option<(RequestId, ErrorData)> {
        let ClientJsonRpcMessage::Request(request) = message else { return None };
        let error = match (self.era, &request.request) {
            (Era::Modern, ClientRequest::InitializeRequest(initialize)) => {
                let requested = initialize.params.protocol_version.clone();
                let supported = [ProtocolVersion::V_2026_07_28];
                ErrorData::unsupported_protocol_version(requested, &supported)
            }
            (Era::Legacy, asked) if asked.get_meta().protocol_version().is_some() => {
                ErrorData::new(rmcp::model::ErrorCode::METHOD_NOT_FOUND, "Method not found", None)
            }
            _ => return None,
        };
        Some((request.id.clone(), error))
    }
}

impl<T: Transport<RoleServer>> Transport<RoleServer> for OfEra<T> {
    type Error = T::Error;

    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        self.inner.send(message)
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            let message = self.inner.receive().await?;
            let Some((id, error)) = self.refusal(&message) else { return Some(message) };
            // A client that is gone shows at the next message.
            let _ = self.inner.send(ServerJsonRpcMessage::error(error, Some(id))).await;
        }
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inner.close().await
    }
}
