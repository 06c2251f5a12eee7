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
        let judged = match self.judge(token) {
            Ok(principal) => return Authentication::Known(Ok(principal)),
            Err(refusal) => refusal,
        };
        // The issuer may have other keys by now, also under a name that is known.
        let may_be_good = matches!(judged, Refusal::UnknownKey | Refusal::Signature);
        let Some(fetching) = may_be_good.then(|| self.source.fetch()).flatten() else {
            return Authentication::Known(Err(self.fault(judged)));
        };
        let (tokens, token) = (Arc::clone(self), token.to_owned());
        Authentication::Wait(Box::pin(async move {
            fetching.await;
            tokens.judge(&token).map_err(|refusal| tokens.fault(refusal))
        }))
    }

    /// Judges by the keys at hand.
    fn judge(&self, token: &str) -> Result<Principal, Refusal> {
        let known = self.source.keys();
        let keys = &known.as_ref().ok_or(Refusal::UnknownKey)?.keys;
        let digest = Digest::of(token.as_bytes());
        let now = now();
        match self.verified.find(&digest, keys.digest(), now) {
            Some(principal) => Ok(principal),
            None => self.check(token, digest, keys, now),
        }
    }

    fn check(
        &self,
        token: &str,
        digest: Digest,
        keys: &Keys,
        now: u64,
    ) -> Result<Principal, Refusal> {
        let verified = verify(token, keys, &self.expected)?;
        let principal = Principal::Subject {
            issuer: Arc::clone(&self.issuer),
            subject: verified.subject.into(),
        };
        self.verified.insert(digest, principal.clone(), verified.expires, keys.digest(), now);
        Ok(principal)
    }

    /// What to say of a token that is refused.
    fn fault(&self, refusal: Refusal) -> Fault {
        let has_keys = || self.source.keys().is_some() && !self.source.has_failed();
        if refusal == Refusal::UnknownKey && !has_keys() {
            // The token may be good: whoever sent it should keep it.
            return Fault::Unavailable("the issuer's keys cannot be fetched now".into());
        }
        Fault::InvalidToken(refusal.why())
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
