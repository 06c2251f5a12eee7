//! Whether a token is good: a JWT access token, signed by a key of its issuer (RFC 7515, RFC 7519).
//!
//! The algorithm is one of those listed, and one that the key is for; what the token itself says
//! about keys, other than the name of one, is not looked at.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Validation, decode, errors::ErrorKind, get_current_timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    keys::Keys,
    signatures::{self, ALGORITHMS},
};

/// How far clocks may be apart, in seconds.
pub(crate) const SKEW: u64 = 60;

/// The longest token, in bytes.
pub(crate) const MAX_TOKEN: usize = 16 << 10;

/// What a token must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub issuer: String,
    pub audience: String,
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub subject: String,
    /// From then on it is no good, in seconds since 1970.
    pub expires: u64,
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

/// What is read of its claims, `exp`, `nbf` and `aud` aside. Of any kind, so that what is wrong with
/// them can be told.
#[derive(Deserialize)]
struct Claims {
    iss: Option<Value>,
    sub: Option<Value>,
    exp: Option<Value>,
    iat: Option<Value>,
}

/// Checks a token.
pub fn verify(token: &str, keys: &Keys, expected: &Expected) -> Result<Verified, Refusal> {
    let (algorithm, id) = header(token)?;
    let key = keys.find(id.as_deref(), algorithm).ok_or(Refusal::UnknownKey)?;
    signatures::install();
    let mut rules = Validation::new(algorithm);
    rules.leeway = SKEW;
    rules.validate_nbf = true;
    rules.set_audience(&[&expected.audience]);
    rules.set_required_spec_claims(&["exp", "aud"]);
    let claims: Claims =
        decode(token, &key.public, &rules).map_err(|error| refusal(error.kind()))?.claims;
    if claims.iss.as_ref().and_then(Value::as_str) != Some(&expected.issuer) {
        return Err(Refusal::Issuer);
    }
    let subject = match claims.sub {
        Some(Value::String(subject)) if !subject.is_empty() => subject,
        _ => return Err(Refusal::Subject),
    };
    let latest = get_current_timestamp().saturating_add(SKEW);
    match claims.iat.as_ref().map(seconds) {
        Some(None) => return Err(Refusal::Claims),
        Some(Some(issued)) if issued > latest => return Err(Refusal::NotYetValid),
        Some(Some(_)) | None => {}
    }
    let expires = claims.exp.as_ref().and_then(seconds).ok_or(Refusal::NoExpiry)?;
    Ok(Verified { subject, expires: expires.saturating_add(SKEW) })
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
        ErrorKind::ExpiredSignature => Refusal::Expired,
        ErrorKind::ImmatureSignature => Refusal::NotYetValid,
        ErrorKind::InvalidAudience => Refusal::Audience,
        ErrorKind::MissingRequiredClaim(claim) if claim == "exp" => Refusal::NoExpiry,
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => Refusal::Audience,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => Refusal::Algorithm,
        ErrorKind::InvalidToken | ErrorKind::Base64(_) => Refusal::NotAJwt,
        _ => Refusal::Claims,
    }
}

/// A number of seconds, which need not be whole (RFC 7519, section 2, "NumericDate").
fn seconds(value: &Value) -> Option<u64> {
    let fraction = || {
        let seconds = value.as_f64().filter(|seconds| (0.0..1e18).contains(seconds))?;
        // Rounded as where it is compared; what lies beyond the bound is checked above.
        Some(seconds.round() as u64)
    };
    value.as_u64().or_else(fraction)
}

#[cfg(test)]
mod tests;
