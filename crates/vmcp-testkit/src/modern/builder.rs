//! Puts a modern server together.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    sync::Arc,
};

use super::{
    VERSION,
    call::{Handler, fixed},
    running::{Running, Server},
    serve,
    state::{Knobs, Shared, Speaks},
};
use crate::{
    host::{Host, InMemory, Life},
    raw::{Answer, Form, Kind, Offer, RawServer},
};

/// A modern server that is not running yet.
#[derive(Clone)]
pub struct ModernServer {
    knobs: Knobs,
    legacy: RawServer,
    port: u16,
}

impl ModernServer {
    /// An empty server that speaks the modern era alone, answers JSON, and lets everybody keep its
    /// lists for a minute.
    pub fn builder() -> Self {
        let minute = (String::new(), (60_000, "public".to_owned()));
        Self {
            knobs: Knobs {
                speaks: Speaks::Modern,
                form: Form::Json,
                page_size: usize::MAX,
                supported: vec![VERSION.to_owned()],
                capabilities: None,
                instructions: None,
                cache: BTreeMap::from([minute]),
                scripts: BTreeMap::new(),
                next: VecDeque::new(),
                offer: Offer::default(),
                declared: BTreeSet::new(),
                deaf_to_updates: false,
            },
            legacy: RawServer::builder(),
            port: 0,
        }
    }

    /// The port to listen on; by default any that is free.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The server that it is in the legacy era, if it is ever made to speak that.
    #[must_use]
    pub fn legacy(mut self, server: RawServer) -> Self {
        self.legacy = server;
        self
    }

    /// Which eras it speaks at first.
    #[must_use]
    pub fn speaks(mut self, speaks: Speaks) -> Self {
        self.knobs.speaks = speaks;
        self
    }

    /// How answers travel when nothing was sent before them.
    #[must_use]
    pub fn form(mut self, form: Form) -> Self {
        self.knobs.form = form;
        self
    }

    /// How many entries a page of a list has.
    #[must_use]
    pub fn page_size(mut self, size: usize) -> Self {
        self.knobs.page_size = size;
        self
    }

    /// `capabilities`, as literal JSON; by default what the offer implies.
    #[must_use]
    pub fn capabilities(mut self, json: &str) -> Self {
        self.knobs.capabilities = Some(json.to_owned());
        self
    }

    /// `instructions`.
    #[must_use]
    pub fn instructions(mut self, text: &str) -> Self {
        self.knobs.instructions = Some(text.to_owned());
        self
    }

    /// For how long, and by whom, results of this method may be kept; the empty method stands for
    /// all that have nothing of their own.
    #[must_use]
    pub fn cache(mut self, method: &str, ttl_ms: u64, scope: &str) -> Self {
        self.knobs.cache.insert(method.to_owned(), (ttl_ms, scope.to_owned()));
        self
    }

    /// Grants no subscription to a resource.
    #[must_use]
    pub fn deaf_to_updates(mut self) -> Self {
        self.knobs.deaf_to_updates = true;
        self
    }

    /// Offers a tool that always gives the same answer. `definition` is literal JSON.
    #[must_use]
    pub fn tool(self, definition: &str, answer: impl Into<Answer>) -> Self {
        self.offer(Kind::Tools, definition, fixed(answer))
    }

    /// Offers a resource that always reads the same. `definition` is literal JSON.
    #[must_use]
    pub fn resource(self, definition: &str, answer: impl Into<Answer>) -> Self {
        self.offer(Kind::Resources, definition, fixed(answer))
    }

    /// Offers a prompt that is always the same. `definition` is literal JSON.
    #[must_use]
    pub fn prompt(self, definition: &str, answer: impl Into<Answer>) -> Self {
        self.offer(Kind::Prompts, definition, fixed(answer))
    }

    /// Offers something with code behind it. `definition` is literal JSON.
    #[must_use]
    pub fn offer(mut self, kind: Kind, definition: &str, handler: Handler) -> Self {
        self.knobs.add(kind, definition, handler);
        self
    }

    /// Answers a method in place of the server's own code. `on` is a method, or a method, a space
    /// and the name or URI that the request must name: `tools/list`, `tools/call add`.
    #[must_use]
    pub fn script(mut self, on: &str, handler: Handler) -> Self {
        self.knobs.scripts.insert(on.to_owned(), handler);
        self
    }

    /// Starts listening on loopback.
    pub async fn start(self) -> io::Result<Running> {
        let port = self.port;
        let shared = self.into_shared();
        let serving = Arc::clone(&shared);
        let respond = move |request| serve::respond(Arc::clone(&serving), request);
        let host = Host::http(port, shared.life.clone(), respond).await?;
        Ok(Running::new(shared, host))
    }

    /// Starts without a socket.
    pub fn start_in_memory(self) -> InMemory<Server> {
        let shared = self.into_shared();
        let (serving, life) = (Arc::clone(&shared), shared.life.clone());
        let respond = move |request| serve::respond(Arc::clone(&serving), request);
        InMemory::http(Server::new(shared), life, respond)
    }

    fn into_shared(self) -> Arc<Shared> {
        let life = Life::default();
        let legacy = self.legacy.into_shared(life.clone());
        Arc::new(Shared::new(self.knobs, life, legacy))
    }
}
