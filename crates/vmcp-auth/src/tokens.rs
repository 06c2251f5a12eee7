//! Whose token a request carries.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::Instant;
use vmcp_model::{Claims, Digest, Identity, Principal, Proof, Secret};
use vmcp_wire::Fault;

use crate::{
    authenticator::{Asking, Authentication, Spawn},
    bearer::{self, Scheme},
    config::{InvalidConfig, Oidc},
    dpop::{NoProof, Shown, UsedProofs},
    flights::Flights,
    introspection::NotTaken,
    signatures,
    trusted::Trusted,
    verified::{Accepted, Grounds, VerifiedTokens},
    verify::{Refusal, Verified, is_jwt, said_issuer, verify},
};

pub(crate) struct Tokens {
    issuers: Vec<Trusted>,
    verified: VerifiedTokens,
    asked: Arc<Flights<Result<Accepted, Fault>>>,
    refused: RefusedTokens,
    /// Proofs that were shown with tokens.
    used: UsedProofs,
    spawn: Spawn,
}

/// Whose token it is, or who must be asked first.
enum Judged {
    Known(Result<Accepted, Fault>),
    Wait(Pin<Box<dyn Future<Output = Result<Accepted, Fault>> + Send>>),
}

/// What the keys of an issuer say of a token.
enum ByKeys {
    Judged(Result<Accepted, Refusal>),
    /// There are none, and the issuer can be asked.
    Ask,
}

impl Tokens {
    pub(crate) fn start(config: &Oidc, spawn: Spawn) -> Result<Arc<Self>, InvalidConfig> {
        signatures::install();
        let issuers =
            config.issuers.iter().map(|issuer| Trusted::start(issuer, Arc::clone(&spawn)));
        let issuers = issuers.collect::<Result<_, _>>()?;
        let (verified, asked) = (VerifiedTokens::new(), Flights::new());
        let (refused, used) = (RefusedTokens::default(), UsedProofs::new());
        Ok(Arc::new(Self { issuers, verified, asked, refused, used, spawn }))
    }

    /// Whose token it is. Waits only where an issuer must be asked to tell.
    pub(crate) fn authenticate(self: &Arc<Self>, request: &Asking<'_>) -> Authentication {
        let (scheme, token) = match bearer::shown(request.headers) {
            Ok(shown) => shown,
            Err(fault) => return Authentication::Known(Err(fault)),
        };
        let digest = Digest::of(token.as_bytes());
        let known = self.find(&digest, now());
        let proof = match (scheme, known) {
            (Scheme::Bearer, Some(Accepted { identity, bound_to: None })) => {
                return Authentication::Known(Ok(identity));
            }
            (Scheme::Bearer, Some(bound)) => return Authentication::Known(self.admit(bound, None)),
            (Scheme::Bearer, None) => None,
            (Scheme::Dpop, known) => {
                let shown = Shown::new(request.headers, request.method, (request.url)());
                if let Some(accepted) = known {
                    return Authentication::Known(self.admit(accepted, Some(&shown)));
                }
                Some(shown)
            }
        };
        match self.judge(token, digest) {
            Judged::Known(judged) => Authentication::Known(
                judged.and_then(|accepted| self.admit(accepted, proof.as_ref())),
            ),
            Judged::Wait(judged) => {
                let tokens = Arc::clone(self);
                Authentication::Wait(Box::pin(async move {
                    tokens.admit(judged.await?, proof.as_ref())
                }))
            }
        }
    }

    /// Lets in whoever shows a good token, with a proof of its key if it is bound to one.
    fn admit(&self, accepted: Accepted, shown: Option<&Shown>) -> Result<Identity, Fault> {
        let Accepted { identity, bound_to } = accepted;
        let proved = match (bound_to, shown) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(Fault::InvalidToken(Refusal::NotBound.why())),
            (Some(_), None) => Err(Fault::InvalidToken(Refusal::BoundToKey.why())),
            (Some(key), Some(shown)) => {
                let token = identity.proof().map(|proof| proof.token.expose()).unwrap_or_default();
                shown.prove(token, &key, now(), &self.used).map_err(|no_proof| match no_proof {
                    NoProof::Full => Fault::Unavailable(no_proof.why().into()),
                    _ => Fault::InvalidProof(no_proof.why()),
                })
            }
        };
        proved.map(|()| identity)
    }

    /// Who shows a token that is known.
    fn find(&self, digest: &Digest, now: u64) -> Option<Accepted> {
        self.verified.find(digest, now, |issuer, keys| {
            let known = self.issuers.get(issuer).map(|issuer| issuer.source.keys());
            known.is_some_and(|known| {
                known.as_ref().is_some_and(|known| known.keys.digest() == *keys)
            })
        })
    }

    fn judge(self: &Arc<Self>, token: &str, digest: Digest) -> Judged {
        if !is_jwt(token) {
            let can_be_asked = self.issuers.iter().any(|issuer| issuer.introspection.is_some());
            if !can_be_asked {
                return Judged::Known(Err(Fault::InvalidToken(Refusal::NotAJwt.why())));
            }
            return self.ask(token, digest, None);
        }
        let Some(index) = self.issuer_of(token) else {
            return Judged::Known(Err(Fault::InvalidToken(Refusal::Issuer.why())));
        };
        let issuer = &self.issuers[index];
        let refusal = match self.by_keys(index, token, digest) {
            ByKeys::Ask => return self.ask(token, digest, Some(index)),
            ByKeys::Judged(Ok(accepted)) => return Judged::Known(Ok(accepted)),
            ByKeys::Judged(Err(refusal)) => refusal,
        };
        // The issuer may have other keys by now, also under a name that is known.
        let may_be_good = matches!(refusal, Refusal::UnknownKey | Refusal::Signature);
        let Some(fetching) = may_be_good.then(|| issuer.source.fetch()).flatten() else {
            return Judged::Known(Err(issuer.fault(refusal)));
        };
        let (tokens, token) = (Arc::clone(self), token.to_owned());
        Judged::Wait(Box::pin(async move {
            fetching.await;
            match tokens.by_keys(index, &token, digest) {
                ByKeys::Judged(judged) => {
                    judged.map_err(|refusal| tokens.issuers[index].fault(refusal))
                }
                ByKeys::Ask => match tokens.ask(&token, digest, Some(index)) {
                    Judged::Known(judged) => judged,
                    Judged::Wait(judged) => judged.await,
                },
            }
        }))
    }

    /// Which issuer's keys must have signed a token. Where there is one only, it is looked at when they have.
    fn issuer_of(&self, token: &str) -> Option<usize> {
        if self.issuers.len() == 1 {
            return Some(0);
        }
        let said = said_issuer(token)?;
        self.issuers.iter().position(|issuer| *issuer.name == *said)
    }

    /// Judges by the keys at hand.
    fn by_keys(&self, index: usize, token: &str, digest: Digest) -> ByKeys {
        let issuer = &self.issuers[index];
        let known = issuer.source.keys();
        let Some(keys) = known.as_ref().map(|known| &known.keys) else {
            return ByKeys::Judged(Err(Refusal::UnknownKey));
        };
        if keys.len() == 0 && issuer.introspection.is_some() {
            return ByKeys::Ask;
        }
        ByKeys::Judged(verify(token, keys, &issuer.expected).map(|verified| {
            let grounds = Grounds::Keys { issuer: index, keys: keys.digest() };
            self.keep(issuer, verified, token, digest, grounds)
        }))
    }

    /// Asks this issuer about a token, or each that can be asked until one knows it.
    fn ask(self: &Arc<Self>, token: &str, digest: Digest, only: Option<usize>) -> Judged {
        if let Some(fault) = self.refused.find(&digest) {
            return Judged::Known(Err(fault));
        }
        let work = || {
            let (tokens, token) = (Arc::clone(self), token.to_owned());
            async move {
                // It may have become known between the look at the table and now.
                match tokens.find(&digest, now()) {
                    Some(accepted) => Ok(accepted),
                    None => tokens.answer(&token, digest, only).await,
                }
            }
        };
        let Some(asked) = self.asked.join(digest, &self.spawn, work) else {
            let full = "too many tokens are being asked about; try again";
            return Judged::Known(Err(Fault::Unavailable(full.into())));
        };
        Judged::Wait(Box::pin(async move {
            let broken_off = Fault::Unavailable("vmcp is shutting down".into());
            asked.outcome().await.unwrap_or(Err(broken_off))
        }))
    }

    async fn answer(
        &self,
        token: &str,
        digest: Digest,
        only: Option<usize>,
    ) -> Result<Accepted, Fault> {
        let was_good = self.verified.has(&digest);
        let (mut is_sure, mut refused) = (true, None);
        let mut issuers: Vec<_> = self.issuers.iter().enumerate().collect();
        issuers.retain(|(index, _)| only.is_none_or(|only| only == *index));
        // One that does not answer keeps the others waiting.
        issuers.sort_by_key(|(_, issuer)| {
            issuer.introspection.as_ref().is_some_and(|asked| asked.is_failing())
        });
        for (_, issuer) in issuers {
            let Some(introspection) = &issuer.introspection else { continue };
            match introspection.ask(token, was_good, &issuer.expected, now()).await {
                Ok(verified) => {
                    let until = now().saturating_add(introspection.interval());
                    let grounds = Grounds::Answer { until };
                    return Ok(self.keep(issuer, verified, token, digest, grounds));
                }
                Err(NotTaken::Unanswered) => is_sure = false,
                // Whoever knows the token says most about it.
                Err(NotTaken::Refused(Refusal::Inactive)) if refused.is_some() => {}
                Err(NotTaken::Refused(refusal)) => refused = Some(issuer.fault(refusal)),
            }
        }
        if !is_sure {
            return Err(Fault::Unavailable(
                "the issuer cannot be asked about the token now".into(),
            ));
        }
        let fault = refused.unwrap_or(Fault::InvalidToken(Refusal::Inactive.why()));
        self.refused.insert(digest, fault.clone());
        Err(fault)
    }

    fn keep(
        &self,
        issuer: &Trusted,
        verified: Verified,
        token: &str,
        digest: Digest,
        grounds: Grounds,
    ) -> Accepted {
        let principal = Principal::Subject {
            issuer: Arc::clone(&issuer.name),
            subject: verified.subject.into(),
        };
        let claims = Claims::new(verified.claims);
        let proof = Proof { claims, token: Secret::new(token), digest, expires: verified.expires };
        let identity = Identity::proved(principal, Arc::new(proof));
        let accepted = Accepted { identity, bound_to: verified.bound_to };
        self.verified.insert(digest, accepted.clone(), grounds, now());
        accepted
    }
}

/// Tokens that issuers were asked about and that are no good, for a while: whoever shows one again and again
/// asks nobody.
#[derive(Default)]
struct RefusedTokens(Mutex<HashMap<Digest, (Fault, Instant)>>);

impl RefusedTokens {
    const MOST: usize = 4096;
    const FOR: Duration = Duration::from_secs(10);

    fn find(&self, token: &Digest) -> Option<Fault> {
        let refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (fault, at) = refused.get(token)?;
        (at.elapsed() < Self::FOR).then(|| fault.clone())
    }

    fn insert(&self, token: Digest, fault: Fault) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() >= Self::MOST {
            refused.retain(|_, (_, at)| at.elapsed() < Self::FOR);
        }
        if refused.len() >= Self::MOST {
            refused.clear();
        }
        refused.insert(token, (fault, Instant::now()));
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
