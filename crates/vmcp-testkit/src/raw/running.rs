//! A raw server that runs: where it is, what it saw, and the knobs to turn.

use std::{future::Future, net::SocketAddr, ops::Deref, sync::Arc};

use super::{
    call::Handler,
    counters::Counters,
    offer::Kind,
    session::Session,
    state::{Form, Lost, Seen, Shared},
};
use crate::host::Host;

/// A raw server on a loopback port. It ends when this value is dropped.
pub struct Running {
    server: Server,
    host: Host,
}

/// What can be seen and changed of a running server; handlers hold one too.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

impl Running {
    pub(super) fn new(shared: Arc<Shared>, host: Host) -> Self {
        Self { server: Server::new(shared), host }
    }

    /// The MCP endpoint.
    pub fn url(&self) -> String {
        self.host.url()
    }

    /// The socket's address.
    pub fn address(&self) -> SocketAddr {
        self.host.address()
    }
}

impl Deref for Running {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Server {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Runs `work` until it ends or the server does.
    pub fn spawn<F: Future<Output = ()> + Send + 'static>(&self, work: F) {
        self.shared.life.spawn(work);
    }

    /// What it was asked, in numbers.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// The last requests, oldest first; at most 1,024.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen()
    }

    /// The sessions that are open.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.shared.sessions().values().cloned().collect()
    }

    /// From now on answers travel like this.
    pub fn set_form(&self, form: Form) {
        self.shared.knobs().form = form;
    }

    /// From now on GET streams are flooded with log notifications, or no longer.
    pub fn set_flooded_streams(&self, flooded: bool) {
        self.shared.knobs().flooded_streams = flooded;
    }

    /// From now on a page of a list has so many entries.
    pub fn set_page_size(&self, size: usize) {
        self.shared.knobs().page_size = size;
    }

    /// Answers a method in place of the server's own code; see [`super::RawServer::script`].
    pub fn script(&self, on: &str, handler: Handler) {
        self.shared.knobs().scripts.insert(on.to_owned(), handler);
    }

    /// Takes a script away again.
    pub fn unscript(&self, on: &str) {
        self.shared.knobs().scripts.remove(on);
    }

    /// Forgets every session without a word to anybody, and says so in this manner when asked.
    pub fn forget_sessions(&self, lost: Lost) {
        self.shared.knobs().lost = lost;
        let forgotten = std::mem::take(&mut *self.shared.sessions());
        forgotten.values().for_each(|session| session.hang_up());
    }

    /// Ends every session to which nobody listens, as servers do that ask whether somebody is there.
    pub fn forget_unheard(&self) {
        self.shared.knobs().lost = Lost::NotFound;
        self.shared.sessions().retain(|_, session| session.listens());
    }

    /// Offers one capability more (or anew) and tells every session.
    pub async fn add(&self, kind: Kind, definition: &str, handler: Handler) {
        self.shared.knobs().offer.add(kind, definition, handler);
        self.notify_all(kind.list_changed(), "{}").await;
    }

    /// Withdraws a capability and tells every session.
    pub async fn remove(&self, kind: Kind, key: &str) {
        self.shared.knobs().offer.remove(kind, key);
        self.notify_all(kind.list_changed(), "{}").await;
    }

    /// Sends a notification on every GET stream; `params` is literal JSON.
    pub async fn notify_all(&self, method: &str, params: &str) {
        for session in self.sessions() {
            session.notify(method, params).await;
        }
    }

    /// Tells those who subscribed to a resource that it changed.
    pub async fn update(&self, uri: &str) {
        for session in self.sessions() {
            if session.subscriptions().iter().any(|subscribed| subscribed == uri) {
                let params = format!(r#"{{"uri":"{uri}"}}"#);
                session.notify("notifications/resources/updated", &params).await;
            }
        }
    }
}
