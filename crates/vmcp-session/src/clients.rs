//! How many sessions one client has here.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use vmcp_model::Principal;
use vmcp_wire::Fault;

/// Whom sessions are counted for: a principal, or the address of one who is anonymous.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ClientKey {
    Address(IpAddr),
    Principal(Principal),
}

/// Counts the sessions of each client.
#[derive(Debug)]
pub(crate) struct Clients {
    counts: Arc<Mutex<HashMap<ClientKey, usize>>>,
    limit: usize,
}

/// One session of a client; uncounted when dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    key: ClientKey,
    counts: Arc<Mutex<HashMap<ClientKey, usize>>>,
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
        Self { counts: Arc::default(), limit }
    }

    /// Counts one more session.
    pub(crate) fn enter(&self, key: ClientKey) -> Result<Counted, Fault> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(key.clone()).or_insert(0);
        if *count >= self.limit {
            return Err(Fault::TooMany { what: "sessions of one client", limit: self.limit });
        }
        *count += 1;
        Ok(Counted { key, counts: Arc::clone(&self.counts) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}
