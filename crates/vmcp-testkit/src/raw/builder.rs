//! Puts a raw server together.

use std::{io, sync::Arc};

use super::{
    call::{Answer, Handler, fixed},
    offer::{Kind, Offer},
    running::{Running, Server},
    serve,
    state::{Form, Identity, Knobs, Lost, Shared},
};
use crate::host::{Host, InMemory, Life};

/// A raw server that is not running yet.
#[derive(Clone)]
pub struct RawServer {
    identity: Identity,
    knobs: Knobs,
    port: u16,
}

impl RawServer {
    /// An empty server that speaks all legacy revisions and answers JSON.
    pub fn builder() -> Self {
        let versions = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
        Self {
            identity: Identity {
                server_info: r#"{"name":"raw","version":"1"}"#.to_owned(),
                capabilities: None,
                instructions: None,
                versions: versions.map(str::to_owned).to_vec(),
                sessionless: false,
            },
            knobs: Knobs {
                form: Form::Json,
                lost: Lost::NotFound,
                page_size: usize::MAX,
                one_stream: false,
                flooded_streams: false,
                refused_answers: None,
                scripts: std::collections::BTreeMap::new(),
                offer: Offer::default(),
            },
            port: 0,
        }
    }

    /// The port to listen on; by default any that is free.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// `serverInfo`, as literal JSON.
    #[must_use]
    pub fn server_info(mut self, json: &str) -> Self {
        json.clone_into(&mut self.identity.server_info);
        self
    }

    /// `capabilities`, as literal JSON; by default what the offer implies.
    #[must_use]
    pub fn capabilities(mut self, json: &str) -> Self {
        self.identity.capabilities = Some(json.to_owned());
        self
    }

    /// `instructions`.
    #[must_use]
    pub fn instructions(mut self, text: &str) -> Self {
        self.identity.instructions = Some(text.to_owned());
        self
    }

    /// The revisions spoken, oldest first.
    #[must_use]
    pub fn versions(mut self, versions: &[&str]) -> Self {
        assert!(!versions.is_empty(), "a server speaks at least one revision");
        self.identity.versions = versions.iter().map(|&version| version.to_owned()).collect();
        self
    }

    /// Gives out no session ids.
    #[must_use]
    pub fn sessionless(mut self) -> Self {
        self.identity.sessionless = true;
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

    /// Refuses a second GET stream with 409 instead of letting it take over.
    #[must_use]
    pub fn one_stream(mut self) -> Self {
        self.knobs.one_stream = true;
        self
    }

    /// Refuses answers to its questions with 400 and this text.
    #[must_use]
    pub fn refuses_answers(mut self, text: &'static str) -> Self {
        self.knobs.refused_answers = Some(text);
        self
    }

    /// Floods GET streams with log notifications.
    #[must_use]
    pub fn flooded_streams(mut self) -> Self {
        self.knobs.flooded_streams = true;
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
        self.knobs.offer.add(kind, definition, handler);
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
        let shared = self.into_shared(Life::default());
        let serving = Arc::clone(&shared);
        let respond = move |request| serve::respond(Arc::clone(&serving), request);
        let host = Host::http(port, shared.life.clone(), respond).await?;
        Ok(Running::new(shared, host))
    }

    /// Starts without a socket.
    pub fn start_in_memory(self) -> InMemory<Server> {
        let shared = self.into_shared(Life::default());
        let (serving, life) = (Arc::clone(&shared), shared.life.clone());
        let respond = move |request| serve::respond(Arc::clone(&serving), request);
        InMemory::http(Server::new(shared), life, respond)
    }

    /// The server without a socket, for a peer that has one already.
    pub(crate) fn into_shared(self, life: Life) -> Arc<Shared> {
        Arc::new(Shared::new(self.identity, self.knobs, life))
    }
}
