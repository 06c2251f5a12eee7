//! Who calls, and by what that is proved.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::{Digest, Principal, raw};

/// Who a request comes from. Made once, where the request comes in, and passed down from there to all
/// that decides by it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    principal: Principal,
    basis: Basis,
    passed: Option<Arc<Passed>>,
}

/// Headers of a caller's request that are passed on to backends. Their values may be secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Passed {
    /// Names in lower case, with their values.
    headers: Vec<(Box<str>, Bytes)>,
    digest: Digest,
}

/// By what it is known who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Basis {
    /// The configuration says so, which is written like claims.
    Configured(Arc<Claims>),
    Proved(Arc<Proof>),
}

/// An access token that was verified.
#[derive(Debug, PartialEq, Eq)]
pub struct Proof {
    /// What the issuer says of the caller.
    pub claims: Claims,
    /// The token itself.
    pub token: Secret,
    /// Equal tokens have equal digests.
    pub digest: Digest,
    /// From then on it proves nothing, in seconds since 1970.
    pub expires: u64,
}

/// The claims of a token: a JSON object, as its issuer wrote it (RFC 7519, section 4).
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    json: Bytes,
    digest: Digest,
}

/// A text that nobody may read who has no use for it: it is in no log, error or status.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Identity {
    /// A caller who has proved nothing: anonymous, or taken for somebody by configuration. Who it is is all
    /// that its claims say; the subject of an anonymous one is `anonymous`.
    pub fn unproved(principal: Principal) -> Self {
        let subject = match &principal {
            Principal::Anonymous => "anonymous",
            Principal::Subject { subject, .. } => subject,
        };
        let json = [b"{\"sub\":", &raw::string(subject)[..], b"}"].concat();
        let claims = Arc::new(Claims::new(json.into()));
        Self { principal, basis: Basis::Configured(claims), passed: None }
    }

    /// A caller whose token was verified.
    pub fn proved(principal: Principal, proof: Arc<Proof>) -> Self {
        Self { principal, basis: Basis::Proved(proof), passed: None }
    }

    /// The same caller, of whose request these headers are passed on.
    pub fn passing(self, headers: Passed) -> Self {
        Self { passed: Some(Arc::new(headers)), ..self }
    }

    /// The headers of its request that are passed on, if it has any.
    pub fn passed(&self) -> Option<&Arc<Passed>> {
        self.passed.as_ref()
    }

    /// Whom sessions and what is kept for callers belong to.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The token and what it says, of a caller who has shown one.
    pub fn proof(&self) -> Option<&Arc<Proof>> {
        match &self.basis {
            Basis::Configured(_) => None,
            Basis::Proved(proof) => Some(proof),
        }
    }

    /// What is said of the caller.
    pub fn claims(&self) -> &Claims {
        match &self.basis {
            Basis::Configured(claims) => claims,
            Basis::Proved(proof) => &proof.claims,
        }
    }
}

impl Proof {
    /// What a token that is good until then, in seconds since 1970, says of its caller.
    pub fn new(claims: Claims, token: &str, expires: u64) -> Self {
        Self { claims, token: Secret::new(token), digest: Digest::of(token.as_bytes()), expires }
    }
}

impl Passed {
    /// Takes names in lower case, with their values. `None` if there are none.
    pub fn new(headers: Vec<(Box<str>, Bytes)>) -> Option<Self> {
        if headers.is_empty() {
            return None;
        }
        let parts = headers.iter().flat_map(|(name, value)| [name.as_bytes(), value]);
        let digest = Digest::of_parts(parts);
        Some(Self { headers, digest })
    }

    /// Each name with its value.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.headers.iter().map(|(name, value)| (&**name, value))
    }

    /// Equal headers have equal digests.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Claims {
    /// Takes a JSON object.
    pub fn new(json: Bytes) -> Self {
        let digest = Digest::of(&json);
        Self { json, digest }
    }

    /// The object (JSON text).
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// Equal claims have equal digests.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Secret {
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever it is meant for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Names what is passed on, and not the values.
impl fmt::Debug for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.headers.iter().map(|(name, _)| name)).finish()
    }
}

/// Claims tell of people, so they are not shown either.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").field("digest", &self.digest).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_token_is_shown() {
        let principal =
            Principal::Subject { issuer: "https://idp".into(), subject: "alice".into() };
        let claims = Claims::new(Bytes::from_static(br#"{"email":"alice@example.org"}"#));
        let proof = Proof::new(claims, "very.secret.token", 10);
        let shown = format!("{:?}", Identity::proved(principal, Arc::new(proof)));
        assert!(!shown.contains("secret") && !shown.contains("example.org"), "{shown}");
        assert!(shown.contains("alice"), "the principal is: {shown}");
    }
}
