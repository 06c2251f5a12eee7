//! How callers prove who they are.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use http::Uri;
use vmcp_fetch::InvalidRoots;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// Each has another name. Clients without a token are told the scopes of the first.
    pub issuers: Vec<TrustedIssuer>,
    /// The URL of the MCP endpoint as clients know it and write it. If absent, it is the one by which each asks.
    pub resource: Option<String>,
}

/// One issuer whose tokens are good.
#[derive(Clone, PartialEq, Eq)]
pub struct TrustedIssuer {
    /// What a token must say of its issuer, to the letter.
    pub issuer: String,
    /// What a token must be meant for.
    pub audience: String,
    /// Where the keys are. If absent, the issuer says it.
    pub jwks_url: Option<Uri>,
    /// Where it says what a token is that is no JWT.
    pub introspection: Option<Introspection>,
    /// What clients are told to ask the issuer for.
    pub scopes: Vec<String>,
    /// What a token must have, all of it.
    pub required_scopes: Vec<String>,
    /// Whether the issuer may have an address that is not public.
    pub allow_private_ip: bool,
    /// Whether the issuer may be asked without TLS.
    pub allow_http: bool,
    /// Authorities that vouch for the issuer, in PEM, in place of the system's.
    pub ca_bundle: Option<Arc<[u8]>>,
    /// Who asks it for its keys, where it does not give them to everybody.
    pub account: Option<Account>,
}

/// The account of a process in a Kubernetes cluster, whose API server gives its keys to such only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The file that holds its token, which is read each time, as it is exchanged.
    pub token: PathBuf,
    /// The hosts that are shown the token, over TLS; no other is.
    pub hosts: Vec<String>,
}

/// How an issuer is asked about tokens (RFC 7662).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspection {
    pub url: Uri,
    /// As whom it is asked, if it wants to know.
    pub client: Option<Client>,
    /// For how long an answer counts: so long a token may still be good that was revoked.
    pub interval: Duration,
}

/// A client of the issuer: vmcp itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub id: String,
    /// A public client has none.
    pub secret: Option<ClientSecret>,
}

/// The secret of a client. It is asked for anew for each question, so that whoever keeps it can exchange it.
#[derive(Clone)]
pub struct ClientSecret {
    /// Where it comes from: one from another place is another one.
    origin: Arc<str>,
    now: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Why an [`Oidc`] cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    #[error("the issuer is not a URL")]
    Issuer,
    #[error("the resource is not a URL")]
    Resource,
    #[error(transparent)]
    Roots(#[from] InvalidRoots),
}

impl TrustedIssuer {
    /// What clients should ask this issuer for: what they are told to, and what a token must have.
    pub(crate) fn wanted_scopes(&self) -> Vec<String> {
        let mut wanted = self.scopes.clone();
        for scope in &self.required_scopes {
            if !wanted.contains(scope) {
                wanted.push(scope.clone());
            }
        }
        wanted
    }
}

impl ClientSecret {
    /// One that is kept elsewhere: at this place, where it is read whenever it is needed.
    pub fn kept(origin: &str, now: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { origin: origin.into(), now: Arc::new(now) }
    }

    /// What it is now.
    pub fn now(&self) -> String {
        (self.now)()
    }
}

/// One that stays as it is.
impl From<String> for ClientSecret {
    fn from(text: String) -> Self {
        Self { origin: text.as_str().into(), now: Arc::new(move || text.clone()) }
    }
}

impl PartialEq for ClientSecret {
    fn eq(&self, other: &Self) -> bool {
        self.origin == other.origin
    }
}

impl Eq for ClientSecret {}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret")
    }
}

impl fmt::Debug for TrustedIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the bundle, which is long.
        f.debug_struct("TrustedIssuer")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("jwks_url", &self.jwks_url)
            .field("introspection", &self.introspection)
            .field("scopes", &self.scopes)
            .field("required_scopes", &self.required_scopes)
            .field("allow_private_ip", &self.allow_private_ip)
            .field("allow_http", &self.allow_http)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}
