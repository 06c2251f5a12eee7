//! How much one client has here: sessions, and views brought up.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use vmcp_model::Principal;
use vmcp_wire::Fault;

/// Whom sessions are counted for: a principal, or the address of one who is anonymous.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ClientKey {
    Address(IpAddr),
    Principal(Principal),
}

/// Views that one client may bring up at once, and how long it takes to be granted another one.
/// Each makes vmcp ask every backend for its lists.
const VIEWS: u32 = 16;
const VIEW_EVERY: Duration = Duration::from_secs(5);

/// Counts what each client has.
#[derive(Debug)]
pub(crate) struct Clients {
    known: Arc<Mutex<HashMap<ClientKey, Known>>>,
    limit: usize,
}

/// What one client has.
#[derive(Debug)]
struct Known {
    sessions: usize,
    /// Views it may still bring up, at this time.
    views: u32,
    at: Instant,
}

/// One session of a client; uncounted when dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    key: ClientKey,
    known: Arc<Mutex<HashMap<ClientKey, Known>>>,
}

impl ClientKey {
    /// Whom a caller's sessions are counted for.
    pub fn of(principal: &Principal, address: IpAddr) -> Self {
        match principal {
            Principal::Anonymous => Self::Address(address),
            Principal::Subject { .. } => Self::Principal(principal.clone()),
        }
    }
}

impl Clients {
    pub(crate) fn new(limit: usize) -> Self {
        Self { known: Arc::default(), limit }
    }

    /// Counts one more session.
    pub(crate) fn enter(&self, key: ClientKey) -> Result<Counted, Fault> {
        let mut known = lock(&self.known);
        let client = known.entry(key.clone()).or_default();
        if client.sessions >= self.limit {
            return Err(Fault::TooMany { what: "sessions of one client", limit: self.limit });
        }
        client.sessions += 1;
        Ok(Counted { key, known: Arc::clone(&self.known) })
    }

    /// Counts one more view that a client brings up.
    pub(crate) fn bring_up_view(&self, key: &ClientKey) -> Result<(), Fault> {
        let mut known = lock(&self.known);
        let client = known.entry(key.clone()).or_default();
        client.grant();
        let Some(left) = client.views.checked_sub(1) else {
            let limit = usize::try_from(VIEWS).unwrap_or(usize::MAX);
            return Err(Fault::TooMany { what: "different capabilities of one client", limit });
        };
        client.views = left;
        Ok(())
    }

    /// Forgets clients of which there is nothing to count.
    pub(crate) fn prune(&self) {
        lock(&self.known).retain(|_, client| {
            client.grant();
            client.sessions > 0 || client.views < VIEWS
        });
    }
}

impl Default for Known {
    fn default() -> Self {
        Self { sessions: 0, views: VIEWS, at: Instant::now() }
    }
}

impl Known {
    /// Grants the views that have become due.
    fn grant(&mut self) {
        let due = self.at.elapsed().as_secs() / VIEW_EVERY.as_secs();
        if due > 0 {
            let due = u32::try_from(due).unwrap_or(VIEWS);
            self.views = self.views.saturating_add(due).min(VIEWS);
            self.at = Instant::now();
        }
    }
}

fn lock(known: &Mutex<HashMap<ClientKey, Known>>) -> MutexGuard<'_, HashMap<ClientKey, Known>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(client) = lock(&self.known).get_mut(&self.key) {
            client.sessions -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
