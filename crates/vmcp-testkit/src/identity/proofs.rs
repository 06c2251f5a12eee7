//! Proofs of a client that it has a key (RFC 9449).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::{SigningKey, now};

impl SigningKey {
    /// What a token says that is bound to this key (`jkt`).
    pub fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        let of = |name: &str| jwk[name].as_str().unwrap_or_default().to_owned();
        let text = match jwk["kty"].as_str() {
            Some("RSA") => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, of("e"), of("n")),
            Some("EC") => format!(
                r#"{{"crv":"{}","kty":"EC","x":"{}","y":"{}"}}"#,
                of("crv"),
                of("x"),
                of("y")
            ),
            _ => format!(r#"{{"crv":"{}","kty":"OKP","x":"{}"}}"#, of("crv"), of("x")),
        };
        URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
    }

    /// What a good proof says for a request with this token. No two are the same.
    pub fn proof_claims(method: &str, url: &str, token: &str) -> Value {
        static MADE: AtomicU64 = AtomicU64::new(0);
        json!({
            "jti": format!("proof-{}", MADE.fetch_add(1, Relaxed)),
            "htm": method,
            "htu": url,
            "iat": now(),
            "ath": URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())),
        })
    }

    /// The header of a proof.
    pub fn proof_header(&self) -> Value {
        let mut jwk = self.jwk();
        for member in ["alg", "use", "kid"] {
            jwk.as_object_mut().map(|jwk| jwk.remove(member));
        }
        json!({"typ": "dpop+jwt", "alg": self.algorithm(), "jwk": jwk})
    }

    /// A good proof for a request with this token.
    pub fn proof(&self, method: &str, url: &str, token: &str) -> String {
        self.sign_with(&self.proof_header(), &Self::proof_claims(method, url, token))
    }
}
