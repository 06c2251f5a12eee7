//! A modern server that runs: where it is, what it saw, and the knobs to turn.

use std::{future::Future, net::SocketAddr, ops::Deref, sync::Arc};

use anyhow::Result;
use serde_json::Value;

use super::{
    call::Handler,
    counters::Counters,
    state::{Seen, Shared, Speaks},
    subscriptions::Subscription,
};
use crate::{
    host::Host,
    raw::{self, Answer, Form, Kind},
};

/// A modern server on a loopback port. It ends when this value is dropped.
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
    pub(super) fn new(shared: Arc<Shared>) -> Self {
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

    /// The last requests of both eras, oldest first; at most 4,096.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen()
    }

    /// The last request with this method.
    pub fn last(&self, method: &str) -> Option<Seen> {
        self.seen().into_iter().rev().find(|seen| seen.method == method)
    }

    /// What was refused for breaking a rule, with the reasons. A gateway gives none. That there is no
    /// legacy era here breaks none.
    pub fn refusals(&self) -> Vec<String> {
        self.shared.refusals()
    }

    /// The server that it is in the legacy era.
    pub fn legacy(&self) -> raw::Server {
        raw::Server::new(Arc::clone(&self.shared.legacy))
    }

    /// From now on it speaks this.
    pub fn set_speaks(&self, speaks: Speaks) {
        self.shared.knobs().speaks = speaks;
    }

    /// From now on answers travel like this, unless something was sent before them.
    pub fn set_form(&self, form: Form) {
        self.shared.knobs().form = form;
    }

    /// From now on a page of a list has so many entries.
    pub fn set_page_size(&self, size: usize) {
        self.shared.knobs().page_size = size;
    }

    /// From now on results of this method may be kept so long by so many; the empty method stands
    /// for all that have nothing of their own.
    pub fn set_cache(&self, method: &str, ttl_ms: u64, scope: &str) {
        self.shared.knobs().cache.insert(method.to_owned(), (ttl_ms, scope.to_owned()));
    }

    /// From now on these are the versions that it speaks in the modern era.
    pub fn set_supported(&self, versions: &[&str]) {
        self.shared.knobs().supported = versions.iter().map(|&one| one.to_owned()).collect();
    }

    /// Answers the next so many requests of a method (`*` for any) before anything looks at them,
    /// in either era: what a server does that is out of order for a while.
    pub fn next(&self, method: &str, answer: &Answer, times: usize) {
        let next = std::iter::repeat_n((method.to_owned(), answer.clone()), times);
        self.shared.knobs().next.extend(next);
    }

    /// Takes back what [`Self::next`] has not used up.
    pub fn forget_next(&self) {
        self.shared.knobs().next.clear();
    }

    /// Answers a method in place of the server's own code, once it has passed the checks; see
    /// [`super::ModernServer::script`].
    pub fn script(&self, on: &str, handler: Handler) {
        self.shared.knobs().scripts.insert(on.to_owned(), handler);
    }

    /// Takes a script away again.
    pub fn unscript(&self, on: &str) {
        self.shared.knobs().scripts.remove(on);
    }

    /// Offers one capability more and tells the subscribers.
    pub fn add(&self, kind: Kind, definition: &str, handler: Handler) {
        self.put(kind, definition, handler);
        self.list_changed(kind);
    }

    /// Offers one capability more, or another definition of one, without a word to anybody.
    pub fn put(&self, kind: Kind, definition: &str, handler: Handler) {
        self.shared.knobs().add(kind, definition, handler);
    }

    /// Withdraws a capability and tells the subscribers.
    pub fn remove(&self, kind: Kind, key: &str) {
        self.shared.knobs().offer.remove(kind, key);
        self.list_changed(kind);
    }

    /// The open subscriptions, oldest first.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.shared.subscriptions.all()
    }

    /// Waits until exactly so many subscriptions are open.
    pub async fn until_subscriptions(&self, count: usize) -> Result<()> {
        self.shared.subscriptions.until(count).await
    }

    /// Tells those who want to know that a list has changed.
    pub fn list_changed(&self, kind: Kind) {
        self.shared.subscriptions.list_changed(kind);
    }

    /// Tells those who subscribed to a resource that it changed.
    pub fn updated(&self, uri: &str) {
        self.shared.subscriptions.updated(uri);
    }

    /// Sends a notification on every subscription, wanted or not.
    pub fn push(&self, method: &str, params: &Value) {
        self.shared.subscriptions.push(method, params, |_| true);
    }

    /// Sends a comment on every subscription.
    pub fn keep_alive(&self) {
        self.shared.subscriptions.keep_alive();
    }

    /// Ends every subscription in good order, with its result.
    pub fn end_subscriptions(&self) {
        self.shared.subscriptions.end();
    }

    /// Closes the connection of every subscription.
    pub fn break_subscriptions(&self) {
        self.shared.subscriptions.break_off();
    }
}
