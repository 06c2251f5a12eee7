//! The one table of failures: what each is called in JSON-RPC and in HTTP.
//!
//! A message says what to do, and names no secret. Failures of one request that reached a session
//! travel as JSON-RPC errors over HTTP 200, as the field's clients expect of the legacy era; what
//! stops before that has an HTTP status of its own.

use std::{borrow::Cow, time::Duration};

use http::StatusCode;
use vmcp_model::{
    Era, ProtocolVersion, raw,
    trail::{End, Why},
};

/// The code of a backend's error that asks for something to be done at a URL first (specification
/// 2025-11-25, client/elicitation).
pub const URL_REQUIRED: i64 = -32042;

/// A failure as a client is told of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The body is not JSON.
    #[error("parse error: {0}")]
    Parse(Cow<'static, str>),
    /// The body is not a message, or not one that may be sent here.
    #[error("invalid request: {0}")]
    InvalidRequest(Cow<'static, str>),
    /// No backend has the method.
    #[error("method not found: {0}")]
    MethodNotFound(String),
    /// A parameter is missing, malformed or names nothing.
    #[error("{0}")]
    InvalidParams(Cow<'static, str>),
    /// No resource of this URI (code -32002, specification 2025-11-25, server/resources).
    #[error("resource not found: {uri}")]
    ResourceNotFound { uri: String },
    /// The request needs a session.
    #[error("the Mcp-Session-Id header is missing; send initialize first")]
    SessionMissing,
    /// The session is unknown, has ended, or belongs to somebody else.
    #[error("session not found; send initialize to begin a new one")]
    SessionUnknown,
    /// The `MCP-Protocol-Version` header names a revision that is not spoken here.
    #[error(
        "unsupported protocol version {requested:?}; supported: {}",
        ProtocolVersion::ALL.map(ProtocolVersion::name).join(", ")
    )]
    UnsupportedVersion { requested: String },
    /// The headers say something else than the body, or too little (specification 2026-07-28,
    /// basic/transports/streamable-http, "Server Validation").
    #[error("header mismatch: {0}")]
    HeaderMismatch(Cow<'static, str>),
    /// The request needs something that its client has not declared. `required` is an object of
    /// capabilities (JSON text).
    #[error("this needs a capability that the client has not declared: {required}")]
    MissingCapability { required: String },
    /// The `Accept` header rules the answer out.
    #[error("not acceptable: the Accept header must allow {0}")]
    NotAcceptable(&'static str),
    /// The `Content-Type` is not JSON.
    #[error("unsupported media type: send application/json")]
    UnsupportedMediaType,
    /// The body has another `Content-Encoding` than none.
    #[error("unsupported content coding: send the body as it is, without Content-Encoding")]
    UnsupportedCoding,
    /// The HTTP method has no meaning on the endpoint.
    #[error("method not allowed: use POST, GET or DELETE")]
    MethodNotAllowed,
    /// Nothing is served at this path.
    #[error("not found; {served}")]
    NoSuchRoute { served: String },
    /// The `Host` or `Origin` header is not one of those allowed.
    #[error("forbidden: {0}")]
    Forbidden(Cow<'static, str>),
    /// Nobody says who calls, and somebody must.
    #[error("an access token is required: send the header Authorization: Bearer")]
    Unauthenticated,
    /// What says who calls does not prove it. The text quotes nothing of it.
    #[error("the access token {0}")]
    InvalidToken(&'static str),
    /// What should prove that the token is the caller's does not. The text quotes nothing of it.
    #[error("the access token {0}")]
    InvalidProof(&'static str),
    /// The access token is good, and good for too little. Both are scopes with spaces between them: those that a
    /// token must have, and those that a client should ask for to get such a token.
    #[error("the access token lacks a scope; it must have all of these: {required}")]
    InsufficientScope { required: String, wanted: String },
    /// Policies do not allow this to the caller, or there is no such thing: what was asked for is not said.
    #[error("{0} denied by authorization policy")]
    Denied(&'static str),
    /// The body is over its bound.
    #[error("the body is over the bound of {limit} bytes (limits.requestBytes)")]
    TooLarge { limit: usize },
    /// The body did not come in time.
    #[error("the body took too long to arrive")]
    TooSlow,
    /// The caller has used up what one caller may have.
    #[error("too many {what}: at most {limit}; end some or wait")]
    TooMany { what: &'static str, limit: usize },
    /// The session has as much of this as one may. In the legacy era that is an answer like any other:
    /// some clients take a status of 429 for the end of the whole session.
    #[error("too many {what} of this session: at most {limit} (limits.{key}); end some or wait")]
    SessionFull { what: &'static str, limit: usize, key: &'static str },
    /// vmcp as a whole has no room, is shutting down, or cannot reach its store.
    #[error("unavailable: {0}")]
    Unavailable(Cow<'static, str>),
    /// The backend could not be reached or broke off.
    #[error("backend {backend} {reason}")]
    Backend { backend: String, reason: Cow<'static, str> },
    /// The backend does not allow vmcp's credential to do this. `error` and `scope` are what it says.
    #[error("backend {backend} {reason}")]
    BackendDenied {
        backend: String,
        reason: Cow<'static, str>,
        error: String,
        scope: Option<String>,
    },
    /// The backend has no room now, or has failed too often and is left alone for a while. Nothing was
    /// sent. In the legacy era that is an answer like any other: some clients take a status of 503 for
    /// the end of the whole session.
    #[error("backend {backend} {reason}")]
    BackendUnavailable { backend: String, reason: Cow<'static, str>, again_in: Duration },
    /// The backend did not answer in time.
    #[error("backend {backend} did not answer within {seconds} s")]
    BackendTimeout { backend: String, seconds: u64 },
    /// The call has run, and there is no room for its answer.
    #[error(
        "the call has run, but its answer was let go: vmcp holds too much that clients do not read; \
         read answers as they come"
    )]
    NotHeld,
    /// The client cancelled the request.
    #[error("the request was cancelled")]
    Cancelled,
    /// A failure of vmcp's own.
    #[error("internal error: {0}")]
    Internal(Cow<'static, str>),
}

/// How long a client should wait before it tries again, in seconds, where it is told to.
pub const RETRY_AFTER_SECONDS: u64 = 1;

/// Every revision that is spoken, the newest first, as a JSON array.
pub fn supported_versions() -> Vec<u8> {
    let names: Vec<_> =
        ProtocolVersion::ALL.iter().rev().map(|version| raw::string(version.name())).collect();
    [b"[", &names.join(&b',')[..], b"]"].concat()
}

/// The HTTP status of an error of this code in the modern era (specification 2026-07-28,
/// basic/transports/streamable-http). Others come with success.
pub fn modern_status_of(code: i64) -> StatusCode {
    match code {
        -32601 => StatusCode::NOT_FOUND,
        -32700 | -32600 | -32602 | -32022..=-32020 => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

impl Fault {
    /// The JSON-RPC error code (specification 2025-11-25; -32001 for a lost session is what the
    /// official SDKs send).
    pub fn code(&self) -> i64 {
        match self {
            Self::Parse(_) => -32700,
            Self::InvalidRequest(_)
            | Self::SessionMissing
            | Self::UnsupportedVersion { .. }
            | Self::NotAcceptable(_)
            | Self::UnsupportedMediaType
            | Self::UnsupportedCoding
            | Self::MethodNotAllowed
            | Self::NoSuchRoute { .. }
            | Self::Forbidden(_)
            | Self::Unauthenticated
            | Self::InvalidToken(_)
            | Self::InvalidProof(_)
            | Self::InsufficientScope { .. }
            | Self::TooLarge { .. }
            | Self::TooSlow => -32600,
            // As the field's clients know it of other servers.
            Self::Denied(_) => 403,
            Self::HeaderMismatch(_) => -32020,
            Self::MissingCapability { .. } => -32021,
            Self::MethodNotFound(_) => -32601,
            Self::InvalidParams(_) => -32602,
            Self::ResourceNotFound { .. } => -32002,
            Self::SessionUnknown => -32001,
            Self::TooMany { .. }
            | Self::SessionFull { .. }
            | Self::Unavailable(_)
            | Self::BackendUnavailable { .. } => -32000,
            Self::Backend { .. }
            | Self::BackendDenied { .. }
            | Self::BackendTimeout { .. }
            | Self::NotHeld
            | Self::Cancelled
            | Self::Internal(_) => -32603,
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Parse(_)
            | Self::InvalidRequest(_)
            | Self::SessionMissing
            | Self::HeaderMismatch(_)
            | Self::MissingCapability { .. }
            | Self::UnsupportedVersion { .. } => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) | Self::Denied(_) | Self::InsufficientScope { .. } => {
                StatusCode::FORBIDDEN
            }
            Self::Unauthenticated | Self::InvalidToken(_) | Self::InvalidProof(_) => {
                StatusCode::UNAUTHORIZED
            }
            Self::SessionUnknown | Self::NoSuchRoute { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotAcceptable(_) => StatusCode::NOT_ACCEPTABLE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType | Self::UnsupportedCoding => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::MethodNotFound(_)
            | Self::InvalidParams(_)
            | Self::ResourceNotFound { .. }
            | Self::Backend { .. }
            | Self::BackendDenied { .. }
            | Self::BackendUnavailable { .. }
            | Self::BackendTimeout { .. }
            | Self::SessionFull { .. }
            | Self::NotHeld
            | Self::Cancelled => StatusCode::OK,
        }
    }

    /// Why there is no answer, in few words.
    pub fn why(&self) -> Why {
        match self {
            Self::Unauthenticated | Self::InvalidToken(_) | Self::InvalidProof(_) => {
                Why::Unauthenticated
            }
            Self::Forbidden(_) | Self::Denied(_) | Self::InsufficientScope { .. } => Why::Denied,
            Self::Parse(_)
            | Self::InvalidRequest(_)
            | Self::SessionMissing
            | Self::SessionUnknown
            | Self::NoSuchRoute { .. }
            | Self::HeaderMismatch(_)
            | Self::MissingCapability { .. }
            | Self::MethodNotAllowed
            | Self::NotAcceptable(_)
            | Self::UnsupportedMediaType
            | Self::UnsupportedCoding
            | Self::UnsupportedVersion { .. }
            | Self::MethodNotFound(_)
            | Self::InvalidParams(_)
            | Self::ResourceNotFound { .. } => Why::Invalid,
            Self::TooLarge { .. } | Self::TooMany { .. } | Self::SessionFull { .. } => {
                Why::OverBound
            }
            Self::Unavailable(_) | Self::NotHeld => Why::Unavailable,
            Self::Backend { .. } | Self::BackendDenied { .. } | Self::BackendUnavailable { .. } => {
                Why::Backend
            }
            Self::TooSlow | Self::BackendTimeout { .. } => Why::Timeout,
            Self::Cancelled => Why::Cancelled,
            Self::Internal(_) => Why::Internal,
        }
    }

    /// How a request of this era has ended that fails so.
    pub fn end(&self, era: Era) -> End {
        let code = match era {
            Era::Legacy => self.code(),
            Era::Modern => self.modern_code(),
        };
        End::Failed { why: self.why(), code, message: self.to_string().into() }
    }

    /// The JSON-RPC error code in the modern era, which has given some failures codes of their own
    /// and uses none below -32019 any more (specification 2026-07-28, basic, "Error Codes").
    pub fn modern_code(&self) -> i64 {
        match self {
            Self::UnsupportedVersion { .. } => -32022,
            Self::ResourceNotFound { .. } => -32602,
            Self::SessionUnknown
            | Self::TooMany { .. }
            | Self::SessionFull { .. }
            | Self::Unavailable(_)
            | Self::BackendUnavailable { .. } => -32603,
            other => other.code(),
        }
    }

    /// The HTTP status in the modern era.
    pub fn modern_status(&self) -> StatusCode {
        match self {
            Self::MethodNotFound(_) | Self::InvalidParams(_) | Self::ResourceNotFound { .. } => {
                modern_status_of(self.modern_code())
            }
            Self::BackendUnavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            other => other.status(),
        }
    }

    /// The `data` of the JSON-RPC error in the modern era, as JSON text.
    pub fn modern_data(&self) -> Option<Vec<u8>> {
        let Self::UnsupportedVersion { requested } = self else { return self.data() };
        let (supported, requested) = (supported_versions(), raw::string(requested));
        Some([b"{\"supported\":", &supported[..], b",\"requested\":", &requested, b"}"].concat())
    }

    /// The `Retry-After` header's value in seconds, where waiting helps.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooMany { .. } | Self::SessionFull { .. } | Self::Unavailable(_) => {
                Some(RETRY_AFTER_SECONDS)
            }
            Self::BackendUnavailable { again_in, .. } => {
                Some(again_in.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX))
            }
            _ => None,
        }
    }

    /// The `error` of a response that tells a caller to prove who it is, or to get another token (RFC 6750, section 3.1).
    pub fn oauth_error(&self) -> Option<&'static str> {
        match self {
            Self::Unauthenticated => Some("unauthorized"),
            Self::InvalidToken(_) => Some("invalid_token"),
            Self::InvalidProof(_) => Some("invalid_dpop_proof"),
            Self::InsufficientScope { .. } => Some("insufficient_scope"),
            _ => None,
        }
    }

    /// The `data` of the JSON-RPC error, as JSON text.
    pub fn data(&self) -> Option<Vec<u8>> {
        let pair = |name: &str, value: &str| {
            let mut data = format!("{{\"{name}\":").into_bytes();
            data.extend_from_slice(&raw::string(value));
            data.push(b'}');
            Some(data)
        };
        match self {
            Self::ResourceNotFound { uri } => pair("uri", uri),
            Self::MissingCapability { required } => {
                Some(format!("{{\"requiredCapabilities\":{required}}}").into_bytes())
            }
            Self::Backend { backend, .. } | Self::BackendTimeout { backend, .. } => {
                pair("backend", backend)
            }
            Self::BackendDenied { backend, error, scope, .. } => {
                let data = serde_json::json!({"backend": backend, "error": error, "scope": scope});
                Some(data.to_string().into_bytes())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some legacy clients take 503 for the end of the session; modern ones are told when to come again.
    #[test]
    fn a_backend_without_room_refuses_one_call() {
        let full = Fault::BackendUnavailable {
            backend: "a".to_owned(),
            reason: "is full".into(),
            again_in: Duration::from_millis(2_500),
        };
        assert_eq!((full.status(), full.code()), (StatusCode::OK, -32000));
        let modern = (full.modern_status(), full.modern_code(), full.retry_after());
        assert_eq!(modern, (StatusCode::SERVICE_UNAVAILABLE, -32603, Some(3)));
    }
}
