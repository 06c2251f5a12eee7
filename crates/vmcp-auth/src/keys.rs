//! The keys that an issuer publishes (RFC 7517): those of them that can be used.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey};
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use vmcp_model::{Digest, raw};

use crate::{claims::Thumbprint, signatures::ALGORITHMS};

/// Keys of one issuer. Other ones would be a mistake or an attack.
const MAX_KEYS: usize = 200;

/// The keys of an issuer, at one moment.
#[derive(Debug, Clone)]
pub struct Keys {
    keys: Vec<Key>,
    digest: Digest,
}

/// Why a text is no set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    #[error("it is not a JWK set")]
    NotASet,
    #[error("it holds more than {MAX_KEYS} keys")]
    TooMany,
}

/// One public key.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    id: Option<String>,
    kind: Kind,
    /// The only algorithm that it may be used with, where it says so.
    algorithm: Option<Algorithm>,
    pub(crate) public: DecodingKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

#[derive(Deserialize)]
struct Set<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

/// What is read of a key.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    /// Reads a JWK set. Keys that are not understood, or not meant for checking signatures, are
    /// passed over (RFC 7517, section 5).
    pub fn parse(text: &[u8]) -> Result<Self, InvalidKeys> {
        let set: Set<'_> = serde_json::from_slice(text).map_err(|_error| InvalidKeys::NotASet)?;
        if set.keys.len() > MAX_KEYS {
            return Err(InvalidKeys::TooMany);
        }
        let mut keys = Vec::new();
        let mut digests = Vec::new();
        for text in set.keys {
            let Ok(jwk) = serde_json::from_str::<Jwk>(text.get()) else { continue };
            if let Some((key, digest)) = Key::read(jwk) {
                keys.push(key);
                digests.push(digest);
            }
        }
        digests.sort_unstable();
        let digest = Digest::of_parts(digests.iter().map(|digest| digest.as_bytes().as_slice()));
        Ok(Self { keys, digest })
    }

    /// No key at all.
    pub(crate) fn none() -> Self {
        Self { keys: Vec::new(), digest: Digest::of_parts([]) }
    }

    /// The key of this JWK; no key if it cannot be used.
    pub(crate) fn one(jwk: &str) -> Self {
        let key = serde_json::from_str::<Jwk>(jwk).ok().and_then(Key::read);
        let digest = key.as_ref().map_or(Digest::of_parts([]), |(_, digest)| *digest);
        Self { keys: key.into_iter().map(|(key, _)| key).collect(), digest }
    }

    /// Says which keys these are, whatever their order.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key that a token names, for an algorithm. A token that names none may be signed with the
    /// only key there is for its algorithm (OpenID Connect Core 1.0, section 10.1).
    pub(crate) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        let mut found = self.keys.iter().filter(|key| {
            key.is_for(algorithm) && id.is_none_or(|id| key.id.as_deref() == Some(id))
        });
        let first = found.next()?;
        (id.is_some() || found.next().is_none()).then_some(first)
    }
}

impl Key {
    fn read(jwk: Jwk) -> Option<(Self, Digest)> {
        if jwk.purpose.as_ref().is_some_and(|purpose| purpose != "sig")
            || jwk.key_ops.as_ref().is_some_and(|uses| !uses.iter().any(|one| one == "verify"))
        {
            return None;
        }
        let algorithm = match &jwk.alg {
            // One that is not known here rules the key out.
            Some(name) => Some(ALGORITHMS.iter().find(|(known, _)| known == name)?.1),
            None => None,
        };
        let member = |member: &Option<String>| URL_SAFE_NO_PAD.decode(member.as_ref()?).ok();
        let (kind, name, material) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => (Kind::Rsa, "RSA", vec![member(&jwk.n)?, member(&jwk.e)?]),
            ("EC", Some("P-256")) => (Kind::P256, "P-256", vec![member(&jwk.x)?, member(&jwk.y)?]),
            ("EC", Some("P-384")) => (Kind::P384, "P-384", vec![member(&jwk.x)?, member(&jwk.y)?]),
            ("OKP", Some("Ed25519")) => (Kind::Ed25519, "Ed25519", vec![member(&jwk.x)?]),
            _ => return None,
        };
        let public = public(kind, &material)?;
        let mut parts = vec![name.as_bytes()];
        // No key and an empty key differ, as do no algorithm and one.
        parts.push(if jwk.kid.is_some() { b"id" } else { b"" });
        parts.push(jwk.kid.as_deref().unwrap_or_default().as_bytes());
        parts.push(jwk.alg.as_deref().unwrap_or_default().as_bytes());
        parts.extend(material.iter().map(Vec::as_slice));
        let digest = Digest::of_parts(parts);
        Some((Self { id: jwk.kid, kind, algorithm, public }, digest))
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        let kind = match algorithm {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => Kind::Rsa,
            Algorithm::ES256 => Kind::P256,
            Algorithm::ES384 => Kind::P384,
            Algorithm::EdDSA => Kind::Ed25519,
            _ => return false,
        };
        self.kind == kind && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

/// The SHA-256 thumbprint of a public key (RFC 7638). `None` for what is no such key, or holds a private one.
pub(crate) fn thumbprint(jwk: &str) -> Option<Thumbprint> {
    let jwk: Map<String, Value> = serde_json::from_str(jwk).ok()?;
    let members: &[&str] = match jwk.get("kty")?.as_str()? {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        _ => return None,
    };
    if ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].iter().any(|secret| jwk.contains_key(*secret))
    {
        return None;
    }
    // Members in the order of their names, without anything between them.
    let mut text = Vec::new();
    for name in members {
        let value = raw::string(jwk.get(*name)?.as_str()?);
        text.push([&raw::string(name)[..], b":", &value].concat());
    }
    let text = [b"{", &text.join(&b',')[..], b"}"].concat();
    digest(&SHA256, &text).as_ref().try_into().ok()
}

/// The key as what checks signatures wants it.
fn public(kind: Kind, material: &[Vec<u8>]) -> Option<DecodingKey> {
    let coordinates = |bytes: usize| {
        if material.iter().any(|part| part.len() != bytes) {
            return None;
        }
        // An uncompressed point (SEC 1, section 2.3.3).
        let mut point = vec![4];
        material.iter().for_each(|part| point.extend_from_slice(part));
        Some(point)
    };
    match (kind, material) {
        (Kind::Rsa, [n, e]) => {
            let shortest = |number: &[u8]| {
                let zeros = number.iter().take_while(|byte| **byte == 0).count();
                number[zeros..].to_vec()
            };
            let (n, e) = (shortest(n), shortest(e));
            // What is shorter than 2,048 bits is not safe, and what is much longer is a burden.
            (256..=1024).contains(&n.len()).then(|| DecodingKey::from_rsa_raw_components(&n, &e))
        }
        (Kind::P256, [_, _]) => Some(DecodingKey::from_ec_der(&coordinates(32)?)),
        (Kind::P384, [_, _]) => Some(DecodingKey::from_ec_der(&coordinates(48)?)),
        (Kind::Ed25519, [x]) if x.len() == 32 => Some(DecodingKey::from_ed_der(x)),
        _ => None,
    }
}
