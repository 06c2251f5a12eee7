//! One request of the modern era, and what it says about itself (specification 2026-07-28,
//! basic/transports/streamable-http).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use vmcp_core::Borrower;
use vmcp_model::{LogLevel, Method, ProtocolVersion, raw};
use vmcp_wire::{
    Fault, Id, Message,
    headers::{self, PROTOCOL_VERSION},
    lines,
};

use crate::modern::Client;

/// Bytes that a client may declare: they are kept as long as there are such clients.
const MAX_CAPABILITIES: usize = 64 << 10;

/// Bytes that a client may say of itself: they are kept as long as one of its streams.
const MAX_CLIENT_INFO: usize = 64 << 10;

/// What a modern request says about itself.
pub(crate) struct Request<'a> {
    pub(crate) client: &'a Client<'a>,
    pub(crate) message: &'a Message,
    pub(crate) method: Method,
    pub(crate) id: Id<'a>,
    /// The client's `ClientCapabilities` object.
    pub(crate) capabilities: Bytes,
    /// From there on the client wants to be told.
    pub(crate) level: Option<LogLevel>,
    /// All `Mcp-Param-*` headers.
    pub(crate) parameters: Vec<(HeaderName, HeaderValue)>,
}

/// Whether a message is one of the modern era, by what only that era knows.
pub fn speaks_modern(headers: &HeaderMap, message: &Message) -> bool {
    let modern = ProtocolVersion::MODERN.name().as_bytes();
    let meta = &message.params().meta;
    if meta.protocol_version.is_some() {
        return true;
    }
    // Whatever else is said with it: a client that begins a session has no other way to say so.
    if message.method() == Some(Method::Initialize) {
        return false;
    }
    let said = headers.get(PROTOCOL_VERSION).map(HeaderValue::as_bytes);
    let is_session = headers.contains_key(headers::SESSION_ID);
    match said {
        Some(said) if said == modern => true,
        // Neither era knows it: the modern one says which there are.
        Some(said) if !is_session => {
            let name = std::str::from_utf8(said).unwrap_or_default();
            ProtocolVersion::from_name(name).is_none()
        }
        Some(_) => false,
        None => !is_session && (meta.client_info.is_some() || meta.client_capabilities.is_some()),
    }
}

impl<'a> Request<'a> {
    /// Reads a request, whose headers must say what its body says.
    pub(crate) fn read(client: &'a Client<'a>, message: &'a Message) -> Result<Self, Fault> {
        let headers = client.headers;
        let id = message.id().ok_or(Fault::InvalidRequest("a request needs an id".into()))?;
        let method =
            message.method().ok_or(Fault::InvalidRequest("a request needs a method".into()))?;
        let meta = &message.params().meta;
        check_version(headers, message)?;
        lines::check(headers, message)?;
        let capabilities = meta.client_capabilities.as_ref().map(|span| message.slice(span));
        let capabilities = capabilities
            .filter(|capabilities| raw::Members::parse(capabilities).is_some())
            .ok_or(Fault::InvalidParams(
                "params._meta[\"io.modelcontextprotocol/clientCapabilities\"] must be an object; send {} if there are none".into(),
            ))?;
        if capabilities.len() > MAX_CAPABILITIES {
            let why =
                format!("the client's capabilities must not be over {MAX_CAPABILITIES} bytes");
            return Err(Fault::InvalidParams(why.into()));
        }
        if meta.client_info.as_ref().is_some_and(|info| info.len() > MAX_CLIENT_INFO) {
            let why = format!("clientInfo must not be over {MAX_CLIENT_INFO} bytes");
            return Err(Fault::InvalidParams(why.into()));
        }
        let level = match &meta.log_level {
            None => None,
            span => Some(
                message.string(span.as_ref()).and_then(|name| LogLevel::from_name(&name)).ok_or(
                    Fault::InvalidParams(
                        "params._meta[\"io.modelcontextprotocol/logLevel\"] must be one of debug, info, notice, warning, error, critical, alert, emergency".into(),
                    ),
                )?,
            ),
        };
        let parameters = headers
            .iter()
            .filter(|(name, _)| name.as_str().starts_with(lines::PARAMETER))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Ok(Self { client, message, method, id, capabilities, level, parameters })
    }

    /// Whose backend sessions it uses.
    pub(crate) fn borrower(&self) -> Borrower {
        self.client.borrower(self.client_info())
    }

    /// What the client says of itself. It is kept by streams, which must not keep the whole request alive.
    fn client_info(&self) -> Bytes {
        let info = self.message.params().meta.client_info.clone();
        info.map(|span| Bytes::copy_from_slice(&self.message.text()[span])).unwrap_or_default()
    }
}

/// The revision must be said twice, the same both times, and be the modern one.
fn check_version(headers: &HeaderMap, message: &Message) -> Result<(), Fault> {
    let said = lines::single(headers, &PROTOCOL_VERSION)?;
    let meta = message.params().meta.protocol_version.as_ref();
    let Some(span) = meta else {
        return Err(match said.and_then(|said| said.to_str().ok()) {
            // One that nobody speaks is told so, whatever else is missing.
            Some(name) if ProtocolVersion::from_name(name).is_none() => {
                Fault::UnsupportedVersion { requested: name.to_owned() }
            }
            _ => Fault::InvalidParams(
                "params._meta[\"io.modelcontextprotocol/protocolVersion\"] is missing".into(),
            ),
        });
    };
    let version = message.string(Some(span)).ok_or(Fault::InvalidParams(
        "params._meta[\"io.modelcontextprotocol/protocolVersion\"] must be a string".into(),
    ))?;
    let said = said.ok_or(Fault::HeaderMismatch(
        "the MCP-Protocol-Version header is missing; send the revision that the body names".into(),
    ))?;
    if said.as_bytes() != version.as_bytes() {
        let why = "the MCP-Protocol-Version header differs from the revision that the body names";
        return Err(Fault::HeaderMismatch(why.into()));
    }
    if version != ProtocolVersion::MODERN.name() {
        let requested = version.into_owned();
        return Err(Fault::UnsupportedVersion { requested });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
