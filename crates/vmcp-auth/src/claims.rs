//! What is said of a token, by itself or by its issuer, and whether that makes it good.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::verify::{Expected, Refusal, Verified};

/// How far clocks may be apart, in seconds.
pub(crate) const SKEW: u64 = 60;

/// The SHA-256 thumbprint of a key (RFC 7638).
pub type Thumbprint = [u8; 32];

/// What is read of them. Of any kind, so that what is wrong with them can be told.
#[derive(Deserialize)]
pub(crate) struct Claims {
    /// Says an issuer that is asked about a token (RFC 7662, section 2.2).
    pub(crate) active: Option<Value>,
    pub(crate) token_type: Option<Value>,
    pub(crate) iss: Option<Value>,
    sub: Option<Value>,
    aud: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    iat: Option<Value>,
    scope: Option<Value>,
    scp: Option<Value>,
    cnf: Option<Value>,
}

impl Claims {
    /// Whether they are those of a good token. `text` is all of them.
    pub(crate) fn judge(
        self,
        text: Bytes,
        expected: &Expected,
        now: u64,
    ) -> Result<Verified, Refusal> {
        let expires = self.exp.as_ref().and_then(seconds).ok_or(Refusal::NoExpiry)?;
        let expires = expires.saturating_add(SKEW);
        if expires <= now {
            return Err(Refusal::Expired);
        }
        let latest = now.saturating_add(SKEW);
        for begins in [&self.nbf, &self.iat].into_iter().flatten() {
            if seconds(begins).ok_or(Refusal::Claims)? > latest {
                return Err(Refusal::NotYetValid);
            }
        }
        if !self.aud.as_ref().is_some_and(|audience| is_meant_for(audience, &expected.audience)) {
            return Err(Refusal::Audience);
        }
        if self.iss.as_ref().and_then(Value::as_str) != Some(&expected.issuer) {
            return Err(Refusal::Issuer);
        }
        let has = |scope: &String| {
            let said = [&self.scope, &self.scp].into_iter().flatten();
            said.into_iter().any(|said| names(said, scope))
        };
        if !expected.scopes.iter().all(has) {
            return Err(Refusal::Scope);
        }
        let bound_to = self.cnf.as_ref().map(bound_to).transpose()?;
        match self.sub {
            Some(Value::String(subject)) if !subject.is_empty() => {
                Ok(Verified { subject, claims: text, expires, bound_to })
            }
            _ => Err(Refusal::Subject),
        }
    }
}

fn is_meant_for(audience: &Value, expected: &str) -> bool {
    match audience {
        Value::String(one) => one == expected,
        Value::Array(several) => {
            several.iter().all(Value::is_string) && several.iter().any(|one| one == expected)
        }
        _ => false,
    }
}

/// Whether a scope is among those that a token has: a text with spaces between them, or a list.
fn names(said: &Value, scope: &str) -> bool {
    match said {
        Value::String(text) => text.split(' ').any(|one| one == scope),
        Value::Array(several) => several.iter().any(|one| one == scope),
        _ => false,
    }
}

/// The key that whoever shows a token must prove to have (RFC 7800; RFC 9449, section 6).
fn bound_to(confirmation: &Value) -> Result<Thumbprint, Refusal> {
    let members = confirmation.as_object().ok_or(Refusal::Claims)?;
    if members.contains_key("x5t#S256") {
        return Err(Refusal::BoundToCertificate);
    }
    let mut members = members.iter();
    let (Some(("jkt", Value::String(thumbprint))), None) =
        (members.next().map(|(name, value)| (name.as_str(), value)), members.next())
    else {
        return Err(Refusal::BoundUnknown);
    };
    let thumbprint = URL_SAFE_NO_PAD.decode(thumbprint).ok();
    thumbprint.and_then(|bytes| bytes.try_into().ok()).ok_or(Refusal::Claims)
}

/// A number of seconds, which need not be whole (RFC 7519, section 2, "NumericDate").
pub(crate) fn seconds(value: &Value) -> Option<u64> {
    let fraction = || {
        let seconds = value.as_f64().filter(|seconds| (0.0..1e18).contains(seconds))?;
        Some(seconds.round() as u64)
    };
    value.as_u64().or_else(fraction)
}
