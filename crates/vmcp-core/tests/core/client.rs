//! Clients of both eras, as the layers above the core make them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use vmcp_backend::{Backend, CLIENT_INFO, ClientView, Error, Session};
use vmcp_catalog::{Catalog, Reach};
use vmcp_core::{
    Alias, Answering, BackendSessions, Borrower, CallEvent, CallStream, Caller, Lent, Pending,
    Relay, Resolved, Ticket, UnderWay, View, Vmcp, Whole,
};
use vmcp_model::{BackendId, Era, Identity, LogLevel, Principal};
use vmcp_wire::{Fault, Message};

/// A client.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) vmcp: Arc<Vmcp>,
    pub(crate) view: Arc<View>,
    pub(crate) identity: Identity,
    pub(crate) reach: Reach,
    pub(crate) level: Option<LogLevel>,
    pub(crate) parameters: Vec<(HeaderName, HeaderValue)>,
    /// What it is shown, if not what its view is.
    pub(crate) catalog: Option<Arc<Catalog>>,
    /// A legacy client's own.
    pub(crate) sessions: Arc<OwnSessions>,
    /// Whose kept sessions a modern client uses.
    pub(crate) borrower: Borrower,
}

/// The backend sessions of a legacy client, opened when they are needed and remembered.
pub(crate) struct OwnSessions {
    client: ClientView,
    open: Mutex<HashMap<BackendId, Session>>,
    opening: tokio::sync::Mutex<()>,
    renewals: AtomicUsize,
    /// Who has handed out which URIs.
    pub(crate) handed: Mutex<HashMap<String, BackendId>>,
    alias: Option<Alias>,
}

/// A call that has been answered, or is being answered.
pub(crate) struct Called {
    answering: Result<Answering, Fault>,
    /// What a modern client has borrowed for it.
    pub(crate) lent: Option<Lent>,
}

impl Client {
    pub(crate) fn new(vmcp: &Arc<Vmcp>, view: Arc<View>) -> Self {
        let principal = Principal::Anonymous;
        Self {
            vmcp: Arc::clone(vmcp),
            sessions: Arc::new(OwnSessions::new(view.client().clone())),
            view,
            identity: Identity::unproved(principal.clone()),
            reach: Reach::Listed,
            level: None,
            parameters: Vec::new(),
            catalog: None,
            borrower: Borrower { principal: Some(principal), client_info: Bytes::new() },
        }
    }

    /// The same client, with sessions of its own.
    pub(crate) fn another(&self) -> Self {
        let client = self.view.client().clone();
        Self { sessions: Arc::new(OwnSessions::new(client)), ..self.clone() }
    }

    pub(crate) fn era(&self) -> Era {
        self.view.client().version().era()
    }

    /// What it is shown now.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        match (&self.catalog, self.era()) {
            (Some(catalog), _) => Arc::clone(catalog),
            (None, Era::Legacy) => self.view.catalog(),
            (None, Era::Modern) => self.vmcp.shown(&self.view, || self.borrower.clone()).catalog,
        }
    }

    /// A request of this client. `params` are its members, as JSON.
    pub(crate) fn request(&self, method: &str, params: &str) -> Message {
        self.request_with(method, params, "")
    }

    /// The same with these members of `_meta`.
    pub(crate) fn request_with(&self, method: &str, params: &str, meta: &str) -> Message {
        let of_era = match self.era() {
            Era::Legacy => "",
            Era::Modern => {
                r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"test","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}"#
            }
        };
        let meta = joined([of_era, meta]);
        let meta = if meta.is_empty() { meta } else { format!(r#""_meta":{{{meta}}}"#) };
        let params = joined([params, &meta]);
        message(&format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{params}}}}}"#))
    }

    /// A call of a tool that wants to be told of its progress under this token.
    pub(crate) fn call_with_token(&self, tool: &str, token: &str) -> Message {
        let (name, token) = (format!(r#""name":"{tool}""#), format!(r#""progressToken":{token}"#));
        self.request_with("tools/call", &name, &token)
    }

    pub(crate) fn tool_call(&self, tool: &str, arguments: &str) -> Message {
        self.request("tools/call", &format!(r#""name":"{tool}","arguments":{arguments}"#))
    }

    /// Calls a tool without arguments.
    pub(crate) async fn call(&self, tool: &str) -> Called {
        self.send(&self.tool_call(tool, "{}")).await
    }

    /// Calls a tool that must answer as a whole.
    pub(crate) async fn answer(&self, tool: &str) -> Value {
        self.call(tool).await.json()
    }

    pub(crate) async fn send(&self, message: &Message) -> Called {
        match self.vmcp.begin_call(message) {
            Ok(ticket) => self.send_with(ticket, message).await,
            Err(fault) => Called { answering: Err(fault), lent: None },
        }
    }

    /// Begins a call that others can tell to end before it is sent.
    pub(crate) fn begin(&self, message: &Message) -> (Ticket, Arc<UnderWay>) {
        let ticket = self.vmcp.begin_call(message).unwrap();
        let call = Arc::clone(ticket.call());
        (ticket, call)
    }

    pub(crate) async fn send_with(&self, ticket: Ticket, message: &Message) -> Called {
        let catalog = self.catalog();
        let lent = match self.era() {
            Era::Legacy => None,
            Era::Modern => Some(self.vmcp.lend(&self.view, self.borrower.clone(), self.level)),
        };
        let caller = self.caller(&catalog, lent.as_ref());
        let id = message.id().unwrap().key();
        let answering = match self.vmcp.resolve(&caller, message) {
            Ok(resolved) => self.vmcp.call(&caller, &resolved, &id, ticket).await,
            Err(fault) => Err(fault),
        };
        match (&lent, &answering) {
            (Some(lent), Ok(Answering::Whole(_))) => lent.answered(),
            (Some(lent), Err(_)) => lent.failed(),
            (Some(_), Ok(Answering::Relay(_) | Answering::Stream(_))) | (None, _) => {}
        }
        Called { answering, lent }
    }

    /// Where a request of this client leads.
    pub(crate) fn resolved<T>(
        &self,
        message: &Message,
        read: impl FnOnce(Result<Resolved<'_>, Fault>) -> T,
    ) -> T {
        let catalog = self.catalog();
        let caller = self.caller(&catalog, None);
        read(self.vmcp.resolve(&caller, message))
    }

    /// The name of the backend that a request leads to, `vmcp` for its own tools, or why it leads nowhere.
    pub(crate) fn leads_to(&self, method: &str, params: &str) -> Result<String, Fault> {
        self.resolved(&self.request(method, params), |resolved| {
            let resolved = resolved?;
            Ok(resolved.backend().map_or("vmcp".to_owned(), |backend| backend.id().to_string()))
        })
    }

    pub(crate) fn caller<'a>(
        &'a self,
        catalog: &'a Arc<Catalog>,
        lent: Option<&'a Lent>,
    ) -> Caller<'a> {
        Caller {
            identity: &self.identity,
            catalog,
            whole: catalog,
            grant: None,
            reach: self.reach,
            era: self.era(),
            log_level: self.level,
            parameters: &self.parameters,
            capabilities: self.view.capabilities(),
            sessions: match lent {
                Some(lent) => lent,
                None => &*self.sessions,
            },
        }
    }
}

impl Called {
    pub(crate) fn fault(self) -> Fault {
        match self.answering {
            Err(fault) => fault,
            Ok(_) => panic!("it was answered"),
        }
    }

    pub(crate) fn whole(self) -> Whole {
        match self.answering.unwrap() {
            Answering::Whole(whole) => whole,
            Answering::Relay(_) | Answering::Stream(_) => panic!("the answer is not whole"),
        }
    }

    /// A whole answer, or why there is none.
    pub(crate) fn answered(self) -> Result<Value, Fault> {
        match self.answering {
            Ok(_) => Ok(self.json()),
            Err(fault) => Err(fault),
        }
    }

    /// A whole answer.
    pub(crate) fn json(self) -> Value {
        serde_json::from_slice(&self.whole().text).unwrap()
    }

    pub(crate) fn relay(self) -> Relay {
        match self.answering.unwrap() {
            Answering::Relay(relay) => relay,
            Answering::Whole(_) | Answering::Stream(_) => panic!("the answer is no relay"),
        }
    }

    /// A streamed answer, and what has been borrowed for it.
    pub(crate) fn stream(self) -> (CallStream, Option<Lent>) {
        match self.answering.unwrap() {
            Answering::Stream(stream) => (stream, self.lent),
            Answering::Whole(_) | Answering::Relay(_) => panic!("the answer is no stream"),
        }
    }
}

impl OwnSessions {
    fn new(client: ClientView) -> Self {
        Self {
            client,
            open: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            renewals: AtomicUsize::new(0),
            handed: Mutex::default(),
            alias: None,
        }
    }

    /// Sessions on which the client's requests go by this name.
    pub(crate) fn under(&self, alias: Alias) -> Self {
        Self { alias: Some(alias), ..Self::new(self.client.clone()) }
    }

    /// How often one was opened in the place of another.
    pub(crate) fn renewals(&self) -> usize {
        self.renewals.load(Ordering::Relaxed)
    }

    /// The session on a backend, opened if need be.
    pub(crate) async fn on(&self, backend: &Arc<Backend>) -> Result<Session, Error> {
        let _turn = self.opening.lock().await;
        if let Some(open) = self.open(backend) {
            return Ok(open);
        }
        let opened = backend.open_for(&self.client, CLIENT_INFO).await?;
        if !opened.is_stateless() {
            self.open.lock().unwrap().insert(backend.id().clone(), opened.clone());
        }
        Ok(opened)
    }

    async fn instead_of(&self, backend: &Arc<Backend>, lost: &Session) -> Result<Session, Error> {
        {
            let mut open = self.open.lock().unwrap();
            if open.get(backend.id()).is_some_and(|found| found.id() == lost.id()) {
                open.remove(backend.id());
                self.renewals.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.on(backend).await
    }
}

impl BackendSessions for OwnSessions {
    fn open(&self, backend: &Backend) -> Option<Session> {
        let known = self.open.lock().unwrap().get(backend.id()).cloned();
        known.or_else(|| backend.stateless(&self.client))
    }

    fn obtain<'a>(&'a self, backend: &'a Arc<Backend>) -> Pending<'a, Result<Session, Error>> {
        Box::pin(self.on(backend))
    }

    fn renew<'a>(
        &'a self,
        backend: &'a Arc<Backend>,
        lost: &'a Session,
    ) -> Pending<'a, Result<Session, Error>> {
        Box::pin(self.instead_of(backend, lost))
    }

    fn owner_of(&self, uri: &str) -> Option<BackendId> {
        self.handed.lock().unwrap().get(uri).cloned()
    }

    fn alias(&self) -> Option<&Alias> {
        self.alias.as_ref()
    }
}

fn joined(members: [&str; 2]) -> String {
    members.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",")
}

pub(crate) fn message(text: &str) -> Message {
    Message::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// The text of a tool's result.
pub(crate) fn text_of(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"].as_str().unwrap()
}

/// What a call brings next: nothing within this moment is `Pending`.
pub(crate) async fn next_piece(relay: &mut Relay) -> Option<Result<Bytes, Fault>> {
    std::future::poll_fn(|context| relay.poll_next(context)).await
}

/// Reads a relay to its end.
pub(crate) async fn all_of(relay: &mut Relay) -> Result<usize, Fault> {
    let mut read = 0;
    while let Some(piece) = next_piece(relay).await {
        read += piece?.len();
    }
    Ok(read)
}

/// Whether a relay has to end though its reader takes nothing.
pub(crate) async fn is_over(relay: &mut Relay) -> Option<Fault> {
    std::future::poll_fn(|context| {
        Poll::Ready(match relay.poll_over(context) {
            Poll::Ready(fault) => Some(fault),
            Poll::Pending => None,
        })
    })
    .await
}

/// Reads a stream to its answer: how many notices came before it, and the answer.
pub(crate) async fn end_of(stream: &mut CallStream) -> Result<(usize, Value), Fault> {
    let mut notices = 0;
    loop {
        match stream.next().await? {
            CallEvent::Notice(_) => notices += 1,
            CallEvent::ListChanged => {}
            CallEvent::Asks(question) => panic!("it asks for {}", question.method_name),
            CallEvent::Answered(whole) => {
                return Ok((notices, serde_json::from_slice(&whole.text).unwrap()));
            }
        }
    }
}
