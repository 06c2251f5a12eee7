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

/// Seals states and opens them.
#[derive(Debug, Clone)]
pub(crate) struct States {
    keys: Keys,
    life: Duration,
}

/// What a state is good for.
#[derive(Debug, Clone)]
pub(crate) struct Purpose {
    principal: Principal,
    backend: BackendId,
    /// [`Message::salient`](vmcp_wire::Message::salient) of the client's request.
    request: Digest,
}

impl States {
    pub(crate) fn new(keys: Keys, life: Duration) -> Self {
        Self { keys, life }
    }

    /// Seals a state.
    pub(crate) fn seal(&self, purpose: &Purpose, state: &str) -> Result<String, Fault> {
        if state.len() > MAX_STATE {
            let reason = format!("gave a requestState of more than {MAX_STATE} bytes").into();
            return Err(Fault::Backend { backend: purpose.backend.to_string(), reason });
        }
        let ring = self.ring()?;
        let until = now().saturating_add(u64::try_from(self.life.as_millis()).unwrap_or(u64::MAX));
        let text = [&until.to_be_bytes()[..], state.as_bytes()].concat();
        let sealed = purpose.with_place(|place| vmcp_keys::seal(&ring, place, &text));
        Ok(BASE64_URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Opens a state. What is wrong with one that does not open is not told: it would help nobody
    /// but a forger.
    pub(crate) fn open(&self, purpose: &Purpose, sealed: &str) -> Result<String, Fault> {
        let ring = self.ring()?;
        let opened = || {
            let sealed = BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?;
            let text = purpose.with_place(|place| vmcp_keys::open(&ring, place, &sealed))?;
            let (until, state) = text.split_first_chunk()?;
            (u64::from_be_bytes(*until) > now()).then(|| String::from_utf8(state.to_vec()).ok())?
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
    pub(crate) fn new(principal: &Principal, backend: &BackendId, request: Digest) -> Self {
        Self { principal: principal.clone(), backend: backend.clone(), request }
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
            self.request.as_bytes(),
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
