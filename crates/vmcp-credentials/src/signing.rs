//! Keys that sign what vmcp says of itself (RFC 7523, section 2.2).

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::{SecureRandom as _, SystemRandom},
    rsa,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};

/// A private key. Cheap to clone.
#[derive(Clone)]
pub struct SigningKey(Arc<Key>);

struct Key {
    pair: Pair,
    pem: Box<[u8]>,
    /// What a signature says of the key that checks it.
    header: Value,
}

enum Pair {
    Rsa(rsa::KeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Why a text is no key that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    #[error("holds no private key in PEM that can be read; keys with a password cannot")]
    NotPem,
    #[error(
        "holds a key in the old form of OpenSSL (EC PRIVATE KEY); convert it with \
         `openssl pkcs8 -topk8 -nodes`"
    )]
    Sec1,
    #[error("holds a key that is none of RSA (2048 bits or more), P-256 and Ed25519")]
    Kind,
    #[error("holds no PEM certificate")]
    Certificate,
}

impl SigningKey {
    /// Reads a key in PEM. It is known to others by an id, or by a certificate (PEM), if by anything.
    pub fn from_pem(
        pem: &[u8],
        id: Option<&str>,
        certificate: Option<&[u8]>,
    ) -> Result<Self, InvalidKey> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_error| InvalidKey::NotPem)?;
        let pair = match &key {
            PrivateKeyDer::Pkcs8(der) => Pair::of_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => {
                rsa::KeyPair::from_der(der.secret_pkcs1_der()).map(Pair::Rsa).ok()
            }
            PrivateKeyDer::Sec1(_) => return Err(InvalidKey::Sec1),
            _ => None,
        };
        let pair = pair.ok_or(InvalidKey::Kind)?;
        let mut header = json!({"alg": pair.algorithm(), "typ": "JWT"});
        if let Some(id) = id {
            header["kid"] = json!(id);
        }
        if let Some(certificate) = certificate {
            let certificate = CertificateDer::from_pem_slice(certificate);
            let certificate = certificate.map_err(|_error| InvalidKey::Certificate)?;
            let digest = ring::digest::digest(&ring::digest::SHA256, &certificate);
            header["x5t#S256"] = json!(URL_SAFE_NO_PAD.encode(digest));
        }
        Ok(Self(Arc::new(Key { pair, pem: pem.into(), header })))
    }

    /// Signs claims. None only if the system has no randomness.
    pub(crate) fn sign(&self, claims: &Value) -> Option<String> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&self.0.header), part(claims));
        let signature = self.0.pair.sign(text.as_bytes())?;
        Some(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// What makes it this key, in the way in which it is told.
    pub(crate) fn identity(&self) -> Vec<u8> {
        [self.pem(), self.0.header.to_string().as_bytes()].concat()
    }

    pub(crate) fn pem(&self) -> &[u8] {
        &self.0.pem
    }
}

impl Pair {
    fn of_pkcs8(der: &[u8]) -> Option<Self> {
        let random = SystemRandom::new();
        let p256 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &random);
        rsa::KeyPair::from_pkcs8(der)
            .map(Self::Rsa)
            .or_else(|_other| p256().map(Self::P256))
            // OpenSSL writes no public key.
            .or_else(|_other| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Self::Ed25519))
            .ok()
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
            Self::Ed25519(_) => "EdDSA",
        }
    }

    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).ok()?;
                Some(signature)
            }
            Self::P256(pair) => Some(pair.sign(&random, text).ok()?.as_ref().to_vec()),
            Self::Ed25519(pair) => Some(pair.sign(text).as_ref().to_vec()),
        }
    }
}

/// A text that nobody has used before, for what must be used once only.
pub(crate) fn nonce() -> Option<String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.pem() == other.pem() && self.0.header == other.0.header
    }
}

impl Eq for SigningKey {}

/// Nothing of the key itself.
impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.0.header)
    }
}
