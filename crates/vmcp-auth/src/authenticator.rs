//! Says who calls, in the way that is configured.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use vmcp_model::Principal;
use vmcp_wire::Fault;

use crate::{
    config::{InvalidConfig, Oidc},
    guide::Guide,
    tokens::Tokens,
};

/// Runs work that no request waits for by itself, to its end or to that of the process.
pub type Spawn = Arc<dyn Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync>;

/// Knows who calls.
pub struct Authenticator(Kind);

enum Kind {
    /// Everybody is this one.
    Fixed(Principal),
    Tokens {
        tokens: Arc<Tokens>,
        guide: Guide,
    },
}

/// Who calls, or what it takes to say that.
pub enum Authentication {
    Known(Result<Principal, Fault>),
    /// The issuer's keys must be fetched first.
    Wait(Pin<Box<dyn Future<Output = Result<Principal, Fault>> + Send>>),
}

impl Authenticator {
    /// Nobody has to prove anything.
    pub fn anonymous() -> Self {
        Self(Kind::Fixed(Principal::Anonymous))
    }

    /// Everybody is this user of the machine.
    pub fn local(user: &str) -> Self {
        Self(Kind::Fixed(Principal::Subject { issuer: "local".into(), subject: user.into() }))
    }

    /// Callers show tokens of an OpenID Connect provider, whose keys are fetched from now on.
    pub fn oidc(config: &Oidc, spawn: Spawn) -> Result<Self, InvalidConfig> {
        let guide = Guide::new(config)?;
        let tokens = Tokens::start(config, spawn)?;
        Ok(Self(Kind::Tokens { tokens, guide }))
    }

    /// Says who sent a request with these headers.
    pub fn authenticate(&self, headers: &HeaderMap) -> Authentication {
        match &self.0 {
            Kind::Fixed(principal) => Authentication::Known(Ok(principal.clone())),
            Kind::Tokens { tokens, .. } => tokens.authenticate(headers),
        }
    }

    /// Whether callers prove who they are. Otherwise all of them are taken for the same.
    pub fn asks_for_proof(&self) -> bool {
        match &self.0 {
            Kind::Fixed(_) => false,
            Kind::Tokens { .. } => true,
        }
    }

    /// The header `WWW-Authenticate` that goes with a failure.
    pub fn challenge(&self, fault: &Fault) -> Option<HeaderValue> {
        self.guide()?.challenge(fault)
    }

    /// The metadata of the endpoint, for a path behind [`crate::METADATA_PATH`].
    pub fn metadata(&self, path: &str, endpoint: &str) -> Option<Bytes> {
        self.guide()?.metadata(path, endpoint)
    }

    fn guide(&self) -> Option<&Guide> {
        match &self.0 {
            Kind::Fixed(_) => None,
            Kind::Tokens { guide, .. } => Some(guide),
        }
    }
}
