//! What a backend is shown of its callers, and by what it can tell them apart.

use std::sync::Arc;

use http::HeaderName;
use tokio_util::task::TaskTracker;
use vmcp_credentials::{Credential, Spawn};
use vmcp_model::{Digest, Identity};

use crate::{
    backend::{Backend, Wire},
    config::{Config, Transport},
    subject::Subject,
};

impl Backend {
    /// Whether it is shown something of the callers' own, so that it can tell them apart.
    pub fn tells_callers_apart(&self) -> bool {
        self.needs_caller() || !self.passthrough.is_empty()
    }

    /// Whether it is shown credentials of the callers' own, so that there is nothing to ask it for nobody.
    pub fn needs_caller(&self) -> bool {
        self.credential.is_personal()
    }

    /// By what it tells a caller apart from others: whose credential it is shown, and what it is passed of the
    /// caller's headers. `None` if it is shown the same for the caller as for nobody.
    pub fn subject(&self, caller: &Identity) -> Option<Digest> {
        let passed = caller.passed().filter(|_| !self.passthrough.is_empty());
        let passed = passed.map(|passed| passed.digest());
        match (self.credential.subject(caller), passed) {
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => Some(one),
            (Some(one), Some(other)) => {
                Some(Digest::of_parts([one.as_bytes().as_slice(), other.as_bytes()]))
            }
        }
    }

    /// Whether all that is said to it in a session goes one way, which is begun with the session.
    pub(crate) fn goes_by_sessions(&self) -> bool {
        matches!(self.wire, Wire::Links(_))
    }

    /// Whether it is shown the credential of the same account for a caller as for the one that it knows.
    pub(crate) fn shows_alike(&self, known: &Subject, caller: &Identity) -> bool {
        self.credential.subject(&known.caller()) == self.credential.subject(caller)
    }

    /// The headers of callers' requests that it is passed.
    pub fn passthrough(&self) -> &Arc<[HeaderName]> {
        &self.passthrough
    }
}

/// What a backend is shown. A program gets what it needs when it is started.
pub(crate) fn credential(config: &Config, tasks: &TaskTracker) -> Arc<Credential> {
    let strategy = match &config.transport {
        Transport::Http(endpoint) | Transport::Sse(endpoint) => endpoint.outgoing.clone(),
        Transport::Stdio(_) => vmcp_credentials::Config::Unauthenticated,
    };
    let tasks = tasks.clone();
    let spawn: Spawn = Arc::new(move |work| _ = tasks.spawn(work));
    Arc::new(Credential::new(strategy, spawn))
}
