//! The state of a backend that a client keeps for it between two requests: `requestState`
//! (specification 2026-07-28, basic/patterns/mrtr).
//!
//! A client gets it sealed, for nothing but a retry of the same request by the same caller, so that a
//! backend need not trust what comes back, and any replica can open it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use vmcp_keys::KeyRing;
use vmcp_model::{BackendId, Digest, Principal};
use vmcp_wire::Fault;

/// The keys that all replicas share, once they are known.
#[derive(Clone)]
pub struct Keys(Arc<dyn Fn() -> Option<Arc<KeyRing>> + Send + Sync>);

impl Keys {
    /// Keys that are asked for whenever they are needed.
    pub fn new(known: impl Fn() -> Option<Arc<KeyRing>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(known))
    }
}

/// The longest state that a backend may give, in bytes.
const MAX_STATE: usize = 64 << 10;

/// More than a sealed one can have in Base64: the seal, the time and the digest have less than 128 bytes.
pub(crate) const MAX_SEALED: usize = (MAX_STATE + 128) / 3 * 4;

/// Seals states and opens them.
#[derive(Debug, Clone)]
pub(crate) struct States {
    keys: Keys,
    life: Duration,
}

/// Between whom a state goes to and fro.
#[derive(Debug, Clone)]
pub(crate) struct Purpose {
    principal: Principal,
    backend: BackendId,
}

impl States {
    pub(crate) fn new(keys: Keys, life: Duration) -> Self {
        Self { keys, life }
    }

    /// Seals a state for this request: [`Message::salient`](vmcp_wire::Message::salient) of it.
    pub(crate) fn seal(
        &self,
        purpose: &Purpose,
        request: Digest,
        state: &str,
    ) -> Result<String, Fault> {
        if state.len() > MAX_STATE {
            let reason = format!("gave a requestState of more than {MAX_STATE} bytes").into();
            return Err(Fault::Backend { backend: purpose.backend.to_string(), reason });
        }
        let ring = self.ring()?;
        let until = now().saturating_add(u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX));
        let text = [&until.to_be_bytes()[..], request.as_bytes(), state.as_bytes()].concat();
        let sealed = purpose.with_place(|place| vmcp_keys::seal(&ring, place, &text));
        Ok(BASE64_URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a state. What is wrong with one that does not open is not told: it would help nobody
    /// but a forger, who does not make vmcp work out `request` either.
    pub(crate) fn open(
        &self,
        purpose: &Purpose,
        request: impl FnOnce() -> Digest,
        sealed: &str,
    ) -> Result<String, Fault> {
        let ring = self.ring()?;
        let opened = || {
            if sealed.len() > MAX_SEALED {
                return None;
            }
            let sealed = BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?;
            let text = purpose.with_place(|place| vmcp_keys::open(&ring, place, &sealed))?;
            let (until, text) = text.split_first_chunk()?;
            let (own, state) = text.split_first_chunk()?;
            let is_good = u64::from_be_bytes(*until) > now() && *own == *request().as_bytes();
            is_good.then(|| String::from_utf8(state.to_vec()).ok())?
        };
        opened().ok_or(Fault::InvalidParams(
            "the parameter \"requestState\" is not good for this request, or not any more; send the request without it".into(),
        ))
    }

    fn ring(&self) -> Result<Arc<KeyRing>, Fault> {
        (self.keys.0)().ok_or(Fault::Unavailable("the shared keys are not known yet".into()))
    }
}

impl Purpose {
    pub(crate) fn new(principal: &Principal, backend: &BackendId) -> Self {
        Self { principal: principal.clone(), backend: backend.clone() }
    }

    fn with_place<T>(&self, work: impl FnOnce(&[&[u8]]) -> T) -> T {
        let (kind, issuer, subject): (&[u8], &str, &str) = match &self.principal {
            Principal::Anonymous => (b"anonymous", "", ""),
            Principal::Subject { issuer, subject } => (b"subject", issuer, subject),
        };
        work(&[
            b"request state",
            kind,
            issuer.as_bytes(),
            subject.as_bytes(),
            self.backend.as_str().as_bytes(),
        ])
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// Milliseconds since 1970. Replicas compare it, so it is no clock of one process.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
