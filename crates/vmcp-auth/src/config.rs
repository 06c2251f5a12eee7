//! How callers prove who they are.

use std::{fmt, sync::Arc};

use http::Uri;

/// How callers prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Config {
    /// Nobody is asked.
    Anonymous,
    /// Nobody is asked, and everybody is the user who runs vmcp.
    Local,
    /// By an access token of an OpenID Connect provider.
    Oidc(Box<Oidc>),
}

/// Whose tokens are good, and for what.
#[derive(Clone, PartialEq, Eq)]
pub struct Oidc {
    /// What a token must say of its issuer, to the letter.
    pub issuer: String,
    /// What a token must be meant for.
    pub audience: String,
    /// Where the keys are. If absent, the issuer says it.
    pub jwks_url: Option<Uri>,
    /// The URL of the MCP endpoint as clients know it and write it, without which there is no metadata.
    pub resource: Option<String>,
    /// What clients are told to ask the issuer for.
    pub scopes: Vec<String>,
    /// Whether the issuer may have an address that is not public.
    pub allow_private_ip: bool,
    /// Whether the issuer may be asked without TLS.
    pub allow_http: bool,
    /// Authorities that vouch for the issuer, in PEM, in place of the system's.
    pub ca_bundle: Option<Arc<[u8]>>,
}

/// Why an [`Oidc`] cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    #[error("the issuer is not a URL")]
    Issuer,
    #[error("the resource is not a URL")]
    Resource,
    #[error("the CA bundle cannot be used: {0}")]
    CaBundle(String),
    #[error("the system's certificate authorities cannot be used: {0}")]
    SystemRoots(String),
}

impl fmt::Debug for Oidc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the bundle, which is long.
        f.debug_struct("Oidc")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("jwks_url", &self.jwks_url)
            .field("resource", &self.resource)
            .field("scopes", &self.scopes)
            .field("allow_private_ip", &self.allow_private_ip)
            .field("allow_http", &self.allow_http)
            .finish_non_exhaustive()
    }
}
