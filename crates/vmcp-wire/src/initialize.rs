//! The two halves of the legacy handshake.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use vmcp_model::raw;

use crate::{message::Message, meta::MISSING};

/// What a client says in `initialize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello {
    /// The revision that the client asks for; may be one that vmcp does not know.
    pub protocol_version: String,
    /// The `capabilities` object in the client's bytes.
    pub capabilities: Bytes,
    /// The `clientInfo` object in the client's bytes.
    pub client_info: Bytes,
}

/// What a server answers to `initialize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHello {
    /// The revision that the server chose.
    pub protocol_version: String,
    /// The `capabilities` object in the server's bytes.
    pub capabilities: Bytes,
    pub instructions: Option<String>,
    /// The backends of which another vmcp says that they are missing.
    pub missing: Vec<String>,
}

impl ClientHello {
    /// Reads the parameters of an `initialize` request. The error says which member is wrong.
    pub fn parse(request: &Message) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Request<'a> {
            #[serde(borrow)]
            params: Params<'a>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            protocol_version: String,
            #[serde(borrow)]
            capabilities: &'a RawValue,
            #[serde(borrow)]
            client_info: &'a RawValue,
        }
        let Request { params } = serde_json::from_slice(request.text()).map_err(|_error| {
            "initialize needs params.protocolVersion (a string), params.capabilities and params.clientInfo (objects)"
        })?;
        for object in [params.capabilities, params.client_info] {
            raw::Members::parse(object.get().as_bytes())
                .ok_or("params.capabilities and params.clientInfo must be objects")?;
        }
        let slice = |value: &RawValue| request.text().slice_ref(value.get().as_bytes());
        Ok(Self {
            protocol_version: params.protocol_version,
            capabilities: slice(params.capabilities),
            client_info: slice(params.client_info),
        })
    }
}

impl ServerHello {
    /// Reads the result of an `initialize` request. The error says what is wrong with it.
    pub fn parse(response: &Message) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Reply<'a> {
            protocol_version: String,
            #[serde(borrow, default)]
            capabilities: Option<&'a RawValue>,
            #[serde(default)]
            instructions: Option<String>,
            #[serde(borrow, default, rename = "_meta")]
            meta: Option<&'a RawValue>,
        }
        let result = response.result().ok_or("initialize was answered with an error")?;
        let reply: Reply<'_> = serde_json::from_slice(result)
            .map_err(|_error| "the initialize result has no usable protocolVersion")?;
        let capabilities = reply.capabilities.map_or_else(
            || Bytes::from_static(b"{}"),
            |value| response.text().slice_ref(value.get().as_bytes()),
        );
        raw::Members::parse(&capabilities)
            .ok_or("the capabilities of the initialize result are not an object")?;
        Ok(Self {
            protocol_version: reply.protocol_version,
            capabilities,
            instructions: reply.instructions,
            missing: reply.meta.map(missing).unwrap_or_default(),
        })
    }
}

/// What stands there, if it is a list of names.
fn missing(meta: &RawValue) -> Vec<String> {
    let meta = meta.get().as_bytes();
    let list = raw::Members::parse(meta).and_then(|members| members.value(meta, MISSING));
    list.and_then(|list| serde_json::from_slice(list).ok()).unwrap_or_default()
}
