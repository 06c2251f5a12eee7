//! Whether a token is good: a JWT access token, signed by a key of its issuer (RFC 7515, RFC 7519).
//!
//! The algorithm is one of those listed, and one that the key is for; what the token itself says
//! about keys, other than the name of one, is not looked at.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use jsonwebtoken::{Algorithm, Validation, decode, errors::ErrorKind, get_current_timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    claims::{Claims, Thumbprint},
    keys::Keys,
    signatures::{self, ALGORITHMS},
};

/// The longest token, in bytes.
pub(crate) const MAX_TOKEN: usize = 16 << 10;

/// What a token must say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    pub issuer: String,
    pub audience: String,
    /// What it must be good for, all of it.
    pub scopes: Vec<String>,
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub subject: String,
    /// All of its claims: a JSON object.
    pub claims: Bytes,
    /// From then on it is no good, in seconds since 1970.
    pub expires: u64,
    /// The key that whoever shows it must prove to have.
    pub bound_to: Option<Thumbprint>,
}

/// Why a token is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    TooLong,
    NotAJwt,
    Algorithm,
    Critical,
    /// No key of this name is known.
    UnknownKey,
    Signature,
    Claims,
    Expired,
    NoExpiry,
    NotYetValid,
    Issuer,
    Audience,
    Subject,
    /// It is good for less than what is asked for.
    Scope,
    /// Its issuer, when asked, says that it is no good.
    Inactive,
    BoundToCertificate,
    BoundUnknown,
    /// It is good with a proof of its key only.
    BoundToKey,
    /// A proof is shown with it, and there is nothing to prove.
    NotBound,
}

impl Refusal {
    /// What to tell the caller. Nothing of the token is in it.
    pub fn why(self) -> &'static str {
        match self {
            Self::TooLong => "is longer than 16384 bytes",
            Self::NotAJwt => "is not a JWT",
            Self::Algorithm => "is signed with an algorithm that is not accepted",
            Self::Critical => "has critical header parameters, of which none are understood",
            Self::UnknownKey => "is not signed with a key that the issuer publishes",
            Self::Signature => "has a wrong signature",
            Self::Claims => "has malformed claims",
            Self::Expired => "has expired",
            Self::NoExpiry => "has no expiry",
            Self::NotYetValid => "is not valid yet",
            Self::Issuer => "is from another issuer",
            Self::Audience => "is meant for another audience",
            Self::Subject => "has no subject",
            Self::Scope => "lacks a scope",
            Self::Inactive => {
                "is not active: it has expired or was revoked, or its issuer does not know it"
            }
            Self::BoundToCertificate => {
                "is bound to a client certificate (cnf with x5t#S256), which is not checked here; get one \
                 that is not, or that is bound by DPoP"
            }
            Self::BoundToKey => {
                "is bound to a key (cnf with jkt): show it with the scheme DPoP, and a proof in the header DPoP"
            }
            Self::NotBound => "is not bound to a key: show it with the scheme Bearer",
            Self::BoundUnknown => {
                "is bound to a key (cnf) in a way that is not known here; get one that is not, or that is \
                 bound by DPoP (jkt)"
            }
        }
    }
}

/// What is read of a token's header.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

/// Checks a token.
pub fn verify(token: &str, keys: &Keys, expected: &Expected) -> Result<Verified, Refusal> {
    let (algorithm, id) = header(token)?;
    let key = keys.find(id.as_deref(), algorithm).ok_or(Refusal::UnknownKey)?;
    signatures::install();
    let claims: Claims = decode(token, &key.public, &signature_only(algorithm))
        .map_err(|error| refusal(error.kind()))?
        .claims;
    let text = payload(token).ok_or(Refusal::NotAJwt)?;
    claims.judge(text, expected, get_current_timestamp())
}

/// Whether a text is a token that says itself what it is good for, were it good.
pub(crate) fn is_jwt(token: &str) -> bool {
    header(token) != Err(Refusal::NotAJwt)
}

/// The issuer that a token says it is from. Nothing proves that yet.
pub(crate) fn said_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Said {
        iss: String,
    }
    let said: Said = serde_json::from_slice(&payload(token)?).ok()?;
    Some(said.iss)
}

/// What is asked of a token before its claims are judged.
pub(crate) fn signature_only(algorithm: Algorithm) -> Validation {
    let mut rules = Validation::new(algorithm);
    rules.set_required_spec_claims::<&str>(&[]);
    rules.validate_exp = false;
    rules.validate_aud = false;
    rules
}

/// The claims of a token, as they are written in it.
fn payload(token: &str) -> Option<Bytes> {
    let payload = token.split('.').nth(1)?;
    URL_SAFE_NO_PAD.decode(payload).ok().map(Bytes::from)
}

/// The algorithm that a token says it is signed with, and the name of its key.
fn header(token: &str) -> Result<(Algorithm, Option<String>), Refusal> {
    if token.len() > MAX_TOKEN {
        return Err(Refusal::TooLong);
    }
    let mut parts = token.split('.');
    let (Some(head), Some(_), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::NotAJwt);
    };
    let head = URL_SAFE_NO_PAD.decode(head).map_err(|_error| Refusal::NotAJwt)?;
    let head: Header = serde_json::from_slice(&head).map_err(|_error| Refusal::NotAJwt)?;
    if head.crit.is_some() {
        return Err(Refusal::Critical);
    }
    let known = ALGORITHMS.iter().find(|(name, _)| *name == head.alg);
    let (_, algorithm) = known.ok_or(Refusal::Algorithm)?;
    Ok((*algorithm, head.kid))
}

fn refusal(kind: &ErrorKind) -> Refusal {
    match kind {
        ErrorKind::InvalidSignature => Refusal::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => Refusal::Algorithm,
        ErrorKind::InvalidToken | ErrorKind::Base64(_) => Refusal::NotAJwt,
        _ => Refusal::Claims,
    }
}

#[cfg(test)]
mod tests;
