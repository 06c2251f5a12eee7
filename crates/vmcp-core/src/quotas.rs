//! How much one client has here: sessions, and views brought up.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use vmcp_backend::ClientView;
use vmcp_model::Principal;
use vmcp_wire::Fault;

/// Whom sessions are counted for: a principal, or the address of one who is anonymous, of IPv6 the network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ClientKey {
    Address(IpAddr),
    Principal(Principal),
}

/// Views that one client may bring up at once, and how long it takes to be granted another one, by what sets
/// them apart: its capabilities make vmcp ask every backend for its lists; whom it calls for, where backends
/// are passed headers that say so, those backends. One client may call for many.
const KINDS: (u32, Duration) = (16, Duration::from_secs(5));
const CALLERS: (u32, Duration) = (1000, Duration::from_millis(100));

/// Counts what each client has.
#[derive(Debug, Default)]
pub struct Quotas {
    clients: Arc<Mutex<HashMap<ClientKey, Client>>>,
}

/// What one client has.
#[derive(Debug)]
struct Client {
    sessions: usize,
    kinds: Allowance,
    callers: Allowance,
}

/// Views that a client may still bring up, at this time.
#[derive(Debug)]
struct Allowance {
    left: u32,
    at: Instant,
    most: u32,
    every: Duration,
}

/// One session of a client; uncounted when dropped.
#[derive(Debug)]
pub struct CountedSession {
    key: ClientKey,
    clients: Arc<Mutex<HashMap<ClientKey, Client>>>,
}

impl ClientKey {
    /// Whom a caller's sessions are counted for.
    pub fn of(principal: &Principal, address: IpAddr) -> Self {
        match principal {
            Principal::Anonymous => Self::Address(network(address)),
            Principal::Subject { .. } => Self::Principal(principal.clone()),
        }
    }
}

/// What one client has of addresses: one of IPv4, or a network of IPv6 with 64 bits, in which it chooses any.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

impl Quotas {
    /// Counts one more session of a client, which may have so many.
    pub fn enter(&self, key: ClientKey, limit: usize) -> Result<CountedSession, Fault> {
        let mut clients = lock(&self.clients);
        let client = clients.entry(key.clone()).or_default();
        if client.sessions >= limit {
            return Err(Fault::TooMany { what: "sessions of one client", limit });
        }
        client.sessions += 1;
        Ok(CountedSession { key, clients: Arc::clone(&self.clients) })
    }

    /// Counts one more view that a client brings up.
    pub fn bring_up_view(&self, key: &ClientKey, view: &ClientView) -> Result<(), Fault> {
        let mut clients = lock(&self.clients);
        let client = clients.entry(key.clone()).or_default();
        let (allowance, what) = match view.subject() {
            None => (&mut client.kinds, "different capabilities of one client"),
            Some(_) => (&mut client.callers, "callers, capabilities or headers of one client"),
        };
        allowance.grant();
        let limit = usize::try_from(allowance.most).unwrap_or(usize::MAX);
        allowance.left = allowance.left.checked_sub(1).ok_or(Fault::TooMany { what, limit })?;
        Ok(())
    }

    /// Forgets clients of which there is nothing to count.
    pub(crate) fn prune(&self) {
        lock(&self.clients).retain(|_, client| {
            client.kinds.grant();
            client.callers.grant();
            client.sessions > 0 || !client.kinds.is_whole() || !client.callers.is_whole()
        });
    }
}

impl Default for Client {
    fn default() -> Self {
        Self { sessions: 0, kinds: Allowance::new(KINDS), callers: Allowance::new(CALLERS) }
    }
}

impl Allowance {
    fn new((most, every): (u32, Duration)) -> Self {
        Self { left: most, at: Instant::now(), most, every }
    }

    /// Grants the views that have become due.
    fn grant(&mut self) {
        let due = self.at.elapsed().as_millis() / self.every.as_millis();
        if due > 0 {
            let due = u32::try_from(due).unwrap_or(self.most);
            self.left = self.left.saturating_add(due).min(self.most);
            self.at = Instant::now();
        }
    }

    fn is_whole(&self) -> bool {
        self.left == self.most
    }
}

fn lock(clients: &Mutex<HashMap<ClientKey, Client>>) -> MutexGuard<'_, HashMap<ClientKey, Client>> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for CountedSession {
    fn drop(&mut self) {
        if let Some(client) = lock(&self.clients).get_mut(&self.key) {
            client.sessions -= 1;
        }
    }
}

#[cfg(test)]
mod tests;
