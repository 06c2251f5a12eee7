//! Proofs that whoever shows a token has the key that it is bound to (RFC 9449).
//!
//! A proof is a JWT that names the request and the token, signed with the key, which stands in it. It is good
//! once, and for a short while.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, Method, Uri};
use jsonwebtoken::decode;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use vmcp_model::Digest;

use crate::{
    claims::{SKEW, Thumbprint, seconds},
    keys::{Keys, thumbprint},
    signatures::ALGORITHMS,
    verify::signature_only,
};

/// The header that carries a proof.
const PROOF: &str = "dpop";

/// The longest proof, in bytes.
const MAX_PROOF: usize = 8 << 10;

/// What a request shows besides its token to prove that it may.
pub(crate) struct Shown {
    /// The headers that carry proofs, of which there must be one.
    proofs: Vec<String>,
    method: Method,
    /// The URL that was asked, as the client has it.
    url: Option<String>,
}

/// Why a proof is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoProof {
    Missing,
    Several,
    Malformed,
    Algorithm,
    Signature,
    Key,
    Method,
    Url,
    UrlUnknown,
    Token,
    Time,
    Replayed,
    /// There is no room to remember it.
    Full,
}

impl NoProof {
    /// What to tell the caller.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Missing => "has no proof: send one in the header DPoP",
            Self::Several => "has more than one proof (header DPoP)",
            Self::Malformed => "has a malformed proof (header DPoP)",
            Self::Algorithm => "has a proof that is signed with an algorithm that is not accepted",
            Self::Signature => "has a proof with a wrong signature",
            Self::Key => "has a proof of another key than the one that it is bound to",
            Self::Method => "has a proof for another HTTP method (htm)",
            Self::Url => "has a proof for another URL (htu)",
            Self::UrlUnknown => {
                "has a proof, and the URL that it must be for is not known here: a proxy has passed the request \
                 on that is not trusted"
            }
            Self::Token => "has a proof for another token (ath)",
            Self::Time => "has a proof that is too old, or from the future (iat)",
            Self::Replayed => "has a proof that was used before (jti)",
            Self::Full => "cannot be proved now: too many proofs were used just now",
        }
    }
}

#[derive(Deserialize)]
struct Head<'a> {
    typ: String,
    alg: String,
    crit: Option<serde_json::Value>,
    #[serde(borrow)]
    jwk: &'a RawValue,
}

#[derive(Deserialize)]
struct Said {
    jti: String,
    htm: String,
    htu: String,
    iat: serde_json::Value,
    ath: String,
}

impl Shown {
    pub(crate) fn new(headers: &HeaderMap, method: &Method, url: Option<String>) -> Self {
        let proofs = headers.get_all(PROOF).iter();
        // What is no text is no proof either.
        let proofs = proofs.map(|proof| proof.to_str().unwrap_or_default().to_owned()).collect();
        Self { proofs, method: method.clone(), url }
    }

    /// Checks that this proves, for this token, to have the key that it is bound to.
    pub(crate) fn prove(
        &self,
        token: &str,
        bound_to: &Thumbprint,
        now: u64,
        used: &UsedProofs,
    ) -> Result<(), NoProof> {
        let proof = match &self.proofs[..] {
            [] => return Err(NoProof::Missing),
            [proof] => proof,
            _ => return Err(NoProof::Several),
        };
        let (said, key) = read(proof)?;
        if key != *bound_to {
            return Err(NoProof::Key);
        }
        if said.htm != self.method.as_str() {
            return Err(NoProof::Method);
        }
        let url = self.url.as_deref().ok_or(NoProof::UrlUnknown)?;
        if !is_same(&said.htu, url) {
            return Err(NoProof::Url);
        }
        if said.ath != URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())) {
            return Err(NoProof::Token);
        }
        let made = seconds(&said.iat).ok_or(NoProof::Malformed)?;
        if now.abs_diff(made) > SKEW {
            return Err(NoProof::Time);
        }
        used.enter(&key, &said.jti)
    }
}

/// What a proof says, and the thumbprint of the key that it is signed with.
fn read(proof: &str) -> Result<(Said, Thumbprint), NoProof> {
    let mut parts = proof.split('.');
    let (Some(head), Some(_), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(NoProof::Malformed);
    };
    if proof.len() > MAX_PROOF {
        return Err(NoProof::Malformed);
    }
    let head = URL_SAFE_NO_PAD.decode(head).map_err(|_error| NoProof::Malformed)?;
    let head: Head<'_> = serde_json::from_slice(&head).map_err(|_error| NoProof::Malformed)?;
    if !head.typ.eq_ignore_ascii_case("dpop+jwt") || head.crit.is_some() {
        return Err(NoProof::Malformed);
    }
    let known = ALGORITHMS.iter().find(|(name, _)| *name == head.alg);
    let (_, algorithm) = *known.ok_or(NoProof::Algorithm)?;
    let key = thumbprint(head.jwk.get()).ok_or(NoProof::Malformed)?;
    let keys = Keys::one(head.jwk.get());
    let public = keys.find(None, algorithm).ok_or(NoProof::Algorithm)?;
    let said = decode::<Said>(proof, &public.public, &signature_only(algorithm));
    let said = said.map_err(|error| match error.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidSignature => NoProof::Signature,
        _ => NoProof::Malformed,
    })?;
    if said.claims.jti.is_empty() {
        return Err(NoProof::Malformed);
    }
    Ok((said.claims, key))
}

/// Whether two URLs lead to the same place, but for query and fragment (RFC 9449, section 4.3).
fn is_same(one: &str, other: &str) -> bool {
    let parts = |url: &str| {
        let url: Uri = url.split('#').next()?.parse().ok()?;
        let scheme = url.scheme_str()?.to_ascii_lowercase();
        let port = url.port_u16().unwrap_or(if scheme == "https" { 443 } else { 80 });
        let path = url.path().strip_suffix('/').unwrap_or(url.path()).to_owned();
        Some((scheme, url.host()?.to_ascii_lowercase(), port, path))
    };
    parts(one).is_some_and(|one| parts(other).is_some_and(|other| one == other))
}

/// Proofs that were used, for as long as they could be used again.
pub(crate) struct UsedProofs(Mutex<Used>);

struct Used {
    now: HashSet<Digest>,
    /// Those of the time before.
    before: HashSet<Digest>,
    /// How many of those of now are of each key.
    of_keys: HashMap<Thumbprint, usize>,
    since: Instant,
}

impl UsedProofs {
    /// Proofs of one time, and those of one key: nobody shuts others out.
    const MOST: usize = 1 << 20;
    const OF_KEY: usize = 1 << 14;

    /// The time between the first and the last moment at which one proof is good.
    const TIME: Duration = Duration::from_secs(2 * SKEW + 1);

    pub(crate) fn new() -> Self {
        let (now, before, of_keys) = Default::default();
        Self(Mutex::new(Used { now, before, of_keys, since: Instant::now() }))
    }

    fn enter(&self, key: &Thumbprint, jti: &str) -> Result<(), NoProof> {
        let proof = Digest::of_parts([&key[..], jti.as_bytes()]);
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let past = used.since.elapsed();
        if past >= Self::TIME {
            let ended = std::mem::take(&mut used.now);
            used.before = if past < 2 * Self::TIME { ended } else { HashSet::new() };
            used.of_keys = HashMap::new();
            used.since = Instant::now();
        }
        if used.before.contains(&proof) || used.now.contains(&proof) {
            return Err(NoProof::Replayed);
        }
        if used.now.len() >= Self::MOST {
            return Err(NoProof::Full);
        }
        let of_key = used.of_keys.entry(*key).or_default();
        if *of_key >= Self::OF_KEY {
            return Err(NoProof::Full);
        }
        *of_key += 1;
        used.now.insert(proof);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
