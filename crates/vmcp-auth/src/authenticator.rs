//! Says who calls, in the way that is configured.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use vmcp_model::{Identity, Principal};
use vmcp_wire::Fault;

use crate::{
    config::{InvalidConfig, Oidc},
    guide::Guide,
    tokens::Tokens,
};

/// Runs work that no request waits for by itself, to its end or to that of the process.
pub type Spawn = Arc<dyn Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync>;

/// What is looked at of a request to tell who sends it.
pub struct Asking<'r> {
    pub headers: &'r HeaderMap,
    pub method: &'r Method,
    /// Finds the URL that is asked, as the client has it, if that can be told.
    pub url: &'r dyn Fn() -> Option<String>,
}

/// Knows who calls.
pub struct Authenticator(Kind);

enum Kind {
    /// Everybody is this one.
    Fixed(Identity),
    Tokens {
        tokens: Arc<Tokens>,
        guide: Guide,
    },
}

/// Who calls, or what it takes to say that.
pub enum Authentication {
    Known(Result<Identity, Fault>),
    /// The issuer must be asked first, for its keys or about the token.
    Wait(Pin<Box<dyn Future<Output = Result<Identity, Fault>> + Send>>),
}

impl Authenticator {
    /// Nobody has to prove anything.
    pub fn anonymous() -> Self {
        Self(Kind::Fixed(Identity::unproved(Principal::Anonymous)))
    }

    /// Everybody is this user of the machine.
    pub fn local(user: &str) -> Self {
        let user = Principal::Subject { issuer: "local".into(), subject: user.into() };
        Self(Kind::Fixed(Identity::unproved(user)))
    }

    /// Callers show tokens of OpenID Connect providers, whose keys are fetched from now on.
    pub fn oidc(config: &Oidc, spawn: Spawn) -> Result<Self, InvalidConfig> {
        let guide = Guide::new(config)?;
        let tokens = Tokens::start(config, spawn)?;
        Ok(Self(Kind::Tokens { tokens, guide }))
    }

    /// Says who sent a request.
    pub fn authenticate(&self, request: &Asking<'_>) -> Authentication {
        match &self.0 {
            Kind::Fixed(identity) => Authentication::Known(Ok(identity.clone())),
            Kind::Tokens { tokens, .. } => tokens.authenticate(request),
        }
    }

    /// The URL of the endpoint as all clients have it, if it is configured.
    pub fn resource(&self) -> Option<&str> {
        self.guide()?.resource()
    }

    /// Whether callers prove who they are. Otherwise all of them are taken for the same.
    pub fn asks_for_proof(&self) -> bool {
        match &self.0 {
            Kind::Fixed(_) => false,
            Kind::Tokens { .. } => true,
        }
    }

    /// The header `WWW-Authenticate` that goes with a failure. `asked` is the URL of the endpoint as the client
    /// has it, if that can be told; it is asked for where the configuration names none.
    pub fn challenge(
        &self,
        fault: &Fault,
        asked: impl FnOnce() -> Option<String>,
    ) -> Option<HeaderValue> {
        self.guide()?.challenge(fault, asked)
    }

    /// The metadata of the endpoint, for a path behind [`crate::METADATA_PATH`]. `asked` as above.
    pub fn metadata(
        &self,
        path: &str,
        endpoint: &str,
        asked: impl FnOnce() -> Option<String>,
    ) -> Option<Bytes> {
        self.guide()?.metadata(path, endpoint, asked)
    }

    /// Whether callers are told where to get a token by the URL by which they ask, and by nothing else.
    pub fn goes_by_url(&self) -> bool {
        self.guide().is_some_and(Guide::goes_by_url)
    }

    fn guide(&self) -> Option<&Guide> {
        match &self.0 {
            Kind::Fixed(_) => None,
            Kind::Tokens { guide, .. } => Some(guide),
        }
    }
}
