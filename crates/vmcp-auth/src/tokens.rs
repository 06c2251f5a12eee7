//! Whose token a request carries.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use http::HeaderMap;
use vmcp_model::{Digest, Principal};
use vmcp_wire::Fault;

use crate::{
    authenticator::{Authentication, Spawn},
    bearer,
    config::{InvalidConfig, Oidc},
    issuer::Issuer,
    keys::Keys,
    signatures,
    source::KeySource,
    verified::VerifiedTokens,
    verify::{Expected, Refusal, verify},
};

pub(crate) struct Tokens {
    expected: Expected,
    issuer: Arc<str>,
    source: Arc<KeySource>,
    verified: VerifiedTokens,
}

impl Tokens {
    pub(crate) fn start(config: &Oidc, spawn: Spawn) -> Result<Arc<Self>, InvalidConfig> {
        signatures::install();
        let source = KeySource::start(Issuer::new(config)?, spawn);
        let expected =
            Expected { issuer: config.issuer.clone(), audience: config.audience.clone() };
        let issuer = Arc::from(config.issuer.as_str());
        Ok(Arc::new(Self { expected, issuer, source, verified: VerifiedTokens::new() }))
    }

    /// Whose token it is. Waits only where keys must be fetched to tell.
    pub(crate) fn authenticate(self: &Arc<Self>, headers: &HeaderMap) -> Authentication {
        let token = match bearer::token(headers) {
            Ok(token) => token,
            Err(fault) => return Authentication::Known(Err(fault)),
        };
        if let Some(decided) = self.decide(token) {
            return Authentication::Known(decided);
        }
        let Some(fetching) = self.source.fetch() else {
            return Authentication::Known(Err(self.undecided()));
        };
        let (tokens, token) = (Arc::clone(self), token.to_owned());
        Authentication::Wait(Box::pin(async move {
            fetching.await;
            tokens.decide(&token).unwrap_or_else(|| Err(tokens.undecided()))
        }))
    }

    /// Decides by the keys at hand, if they suffice.
    fn decide(&self, token: &str) -> Option<Result<Principal, Fault>> {
        let known = self.source.keys();
        let keys = &known.as_ref()?.keys;
        let digest = Digest::of(token.as_bytes());
        let now = now();
        if let Some(principal) = self.verified.find(&digest, keys.digest(), now) {
            return Some(Ok(principal));
        }
        self.check(token, digest, keys, now)
    }

    fn check(
        &self,
        token: &str,
        digest: Digest,
        keys: &Keys,
        now: u64,
    ) -> Option<Result<Principal, Fault>> {
        let verified = match verify(token, keys, &self.expected) {
            Ok(verified) => verified,
            Err(Refusal::UnknownKey) => return None,
            Err(refusal) => return Some(Err(Fault::InvalidToken(refusal.why()))),
        };
        let principal = Principal::Subject {
            issuer: Arc::clone(&self.issuer),
            subject: verified.subject.into(),
        };
        self.verified.insert(digest, principal.clone(), verified.expires, keys.digest(), now);
        Some(Ok(principal))
    }

    /// What to say of a token whose key is not known.
    fn undecided(&self) -> Fault {
        if self.source.keys().is_none() || self.source.has_failed() {
            // The token may be good: whoever sent it should keep it.
            return Fault::Unavailable("the issuer's keys cannot be fetched now".into());
        }
        Fault::InvalidToken(Refusal::UnknownKey.why())
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
