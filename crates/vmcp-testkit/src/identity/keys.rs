//! Keys that sign tokens, and how a token is put together.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
    },
};
use serde_json::{Value, json};

/// ring makes no keys of RSA, so there is one, which proves nothing to anybody.
const RSA_KEY: &[u8] = include_bytes!("../../peers/rsa-key.der");

/// A key with its name and its algorithm.
#[derive(Clone)]
pub struct SigningKey {
    id: Option<String>,
    pair: Arc<Pair>,
}

enum Pair {
    Rsa(RsaKeyPair, &'static dyn RsaEncoding, &'static str),
    Ecdsa(EcdsaKeyPair, &'static str, &'static str),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    pub fn rs256(id: &str) -> Self {
        Self::rsa(id, &RSA_PKCS1_SHA256, "RS256")
    }

    pub fn ps256(id: &str) -> Self {
        Self::rsa(id, &RSA_PSS_SHA256, "PS256")
    }

    pub fn es256(id: &str) -> Self {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let pair = EcdsaKeyPair::generate_pkcs8(kind, &random)
            .ok()
            .and_then(|key| EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &random).ok());
        Self::new(id, Pair::Ecdsa(pair.expect("a key"), "ES256", "P-256"))
    }

    pub fn es384(id: &str) -> Self {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P384_SHA384_FIXED_SIGNING);
        let pair = EcdsaKeyPair::generate_pkcs8(kind, &random)
            .ok()
            .and_then(|key| EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &random).ok());
        Self::new(id, Pair::Ecdsa(pair.expect("a key"), "ES384", "P-384"))
    }

    pub fn ed25519(id: &str) -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Self::new(id, Pair::Ed25519(Ed25519KeyPair::from_pkcs8(key.as_ref()).expect("a key")))
    }

    /// The same key without a name.
    #[must_use]
    pub fn nameless(&self) -> Self {
        Self { id: None, pair: Arc::clone(&self.pair) }
    }

    /// The same key under another name.
    #[must_use]
    pub fn named(&self, id: &str) -> Self {
        Self { id: Some(id.to_owned()), pair: Arc::clone(&self.pair) }
    }

    /// The name of its algorithm.
    pub fn algorithm(&self) -> &'static str {
        match &*self.pair {
            Pair::Rsa(_, _, name) | Pair::Ecdsa(_, name, _) => name,
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    /// The public key as its issuer publishes it.
    pub fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &*self.pair {
            Pair::Rsa(pair, ..) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "n": encode(&public.n), "e": encode(&public.e)})
            }
            Pair::Ecdsa(pair, _, curve) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())})
            }
        };
        jwk["alg"] = json!(self.algorithm());
        jwk["use"] = json!("sig");
        if let Some(id) = &self.id {
            jwk["kid"] = json!(id);
        }
        jwk
    }

    /// The header of the tokens that it signs.
    pub fn header(&self) -> Value {
        let mut header = json!({"alg": self.algorithm(), "typ": "JWT"});
        if let Some(id) = &self.id {
            header["kid"] = json!(id);
        }
        header
    }

    /// A token that says this.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(&self.header(), claims)
    }

    /// A token with this header, whatever it says.
    pub fn sign_with(&self, header: &Value, claims: &Value) -> String {
        assemble(header, claims, |message| self.signature(message))
    }

    /// A token with this header, encoded already, and these claims as they stand.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        join(header, &URL_SAFE_NO_PAD.encode(claims), |message| self.signature(message))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &*self.pair {
            Pair::Rsa(pair, encoding, _) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).expect("a signature");
                signature
            }
            Pair::Ecdsa(pair, ..) => {
                pair.sign(&random, message).expect("a signature").as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    fn rsa(id: &str, encoding: &'static dyn RsaEncoding, name: &'static str) -> Self {
        let pair = RsaKeyPair::from_pkcs8(RSA_KEY).expect("a key");
        Self::new(id, Pair::Rsa(pair, encoding, name))
    }

    fn new(id: &str, pair: Pair) -> Self {
        Self { id: Some(id.to_owned()), pair: Arc::new(pair) }
    }
}

/// A signature by a shared secret.
pub fn hs256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    ring::hmac::sign(&key, message).as_ref().to_vec()
}

/// A token of these parts, signed by anything.
pub fn assemble(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    join(&encode(header), &encode(claims), sign)
}

fn join(header: &str, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}
