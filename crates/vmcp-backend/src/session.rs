//! The session that a legacy backend gave vmcp, or what takes its place on a modern one.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;
use http::HeaderValue;
use tokio::time::Instant;
use vmcp_credentials::Unavailable;
use vmcp_model::{
    BackendId, Era, Identity, LeftOut, ProtocolVersion, declared,
    raw::{self, Edit, Members},
};
use vmcp_wire::{Introduction, ServerHello, task};

use crate::{Error, backend::Backend, far::Carrier, freshness::Freshness, subject::Subject};

/// What a backend can tell its callers apart by: what it is told about the client that a session serves,
/// and whose credential it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientView {
    /// The revision that the client speaks.
    version: ProtocolVersion,
    /// The client's `capabilities` object, in the client's bytes.
    capabilities: Bytes,
    /// The same for backends of the other era, where nothing can be asked of the client.
    across: Bytes,
    /// Whose credentials backends are shown; `None` if they are shown the same for every caller.
    subject: Option<Subject>,
}

/// Missing backends that are kept of what another vmcp names.
const MISSING: usize = 64;

/// How vmcp introduces itself to backends: an `Implementation` object (JSON text).
pub const CLIENT_INFO: &[u8] =
    concat!(r#"{"name":"vmcp","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#).as_bytes();

/// A backend session; of a modern backend, which has none, what is told with every request. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct Session {
    /// The `Mcp-Session-Id`; a backend need not give one.
    pub(crate) id: Option<HeaderValue>,
    pub(crate) version: ProtocolVersion,
    pub(crate) facts: Arc<Facts>,
    /// What a modern backend is told with each request that the client can do (JSON text). A legacy
    /// one has been told once.
    pub(crate) capabilities: Bytes,
    /// When it was opened, if this process has opened it.
    pub(crate) opened: Option<Instant>,
    /// On whose behalf it is used, if the backend is shown credentials of the callers' own.
    pub(crate) subject: Option<Subject>,
    /// What leads to its link, where another replica holds that.
    pub(crate) far: Option<Arc<dyn Carrier>>,
}

/// What a backend said about itself when a session was opened. Shared by the sessions to which it
/// said the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The `capabilities` object, in the backend's bytes, without what some clients would refuse.
    pub capabilities: Bytes,
    /// What that is.
    pub left_out: Vec<LeftOut>,
    pub instructions: Option<Box<str>>,
    /// Which capabilities are there.
    pub has: Has,
    /// How long a modern backend says that this may be taken for true.
    pub freshness: Freshness,
    /// The backends that are missing behind it, if it is a vmcp and says so.
    pub missing: Box<[BackendId]>,
}

/// Which capabilities a backend has that decide what may be sent to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "a set of independent facts")]
pub struct Has {
    pub tools: bool,
    pub resources: bool,
    pub prompts: bool,
    pub logging: bool,
    pub tasks: bool,
    /// Any list that changes is announced.
    pub list_changes: bool,
}

impl ClientView {
    /// What is told of a client that speaks this revision and has these capabilities (a JSON object).
    /// Backends are shown the same credentials for it as for everybody.
    pub fn new(version: ProtocolVersion, capabilities: Bytes) -> Self {
        let across = crossing(&capabilities);
        Self { version, capabilities, across, subject: None }
    }

    /// The same for callers whose own credentials backends are shown.
    pub fn shown(self, subject: Option<Subject>) -> Self {
        Self { subject, ..self }
    }

    /// A client of the legacy era that can do nothing: what is told where no client stands behind it.
    pub fn nobody() -> Self {
        Self::new(ProtocolVersion::LATEST_LEGACY, Bytes::from_static(b"{}"))
    }

    /// A client of the modern era that can do nothing.
    pub fn modern_nobody() -> Self {
        Self::new(ProtocolVersion::MODERN, Bytes::from_static(b"{}"))
    }

    /// Whether it is that of a client that can do nothing.
    pub fn is_base(&self) -> bool {
        [Self::nobody(), Self::modern_nobody()].contains(&self.clone().shown(None))
    }

    /// Of whom a client sees what this one sees, as far as is known: of a client of its era that can do
    /// nothing, and of that in turn of one of the legacy era. Callers with credentials of their own share what
    /// backends list that are shown the same for everybody.
    pub fn base(&self) -> Option<Self> {
        let of_era = match self.version.era() {
            Era::Legacy => Self::nobody(),
            Era::Modern => Self::modern_nobody(),
        };
        match (self.is_base(), &self.subject) {
            (false, subject) => Some(of_era.shown(subject.clone())),
            (true, Some(_)) => Some(of_era),
            (true, None) if self.version.era() == Era::Modern => Some(Self::nobody()),
            (true, None) => None,
        }
    }

    /// The revision that the client speaks.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// What a backend of this era is told that the client can do.
    pub fn capabilities_for(&self, era: Era) -> &Bytes {
        if era == self.version.era() { &self.capabilities } else { &self.across }
    }

    /// Whether a legacy backend is told that it may ask for the client's roots.
    pub(crate) fn has_roots(&self) -> bool {
        let told = self.capabilities_for(Era::Legacy);
        Members::parse(told).is_some_and(|members| members.span("roots").is_some())
    }

    /// The newest revision to ask a legacy backend for.
    pub(crate) fn legacy_version(&self) -> ProtocolVersion {
        match self.version.era() {
            Era::Legacy => self.version,
            Era::Modern => ProtocolVersion::LATEST_LEGACY,
        }
    }

    /// Whose credentials backends are shown; `None` if they are shown the same for every caller.
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// What names it where the revision and the capabilities alone would not do.
    pub fn parts(&self) -> [&[u8]; 3] {
        let subject =
            self.subject.as_ref().map_or(&[][..], |subject| &subject.key().as_bytes()[..]);
        [self.version.name().as_bytes(), &self.capabilities, subject]
    }
}

/// A client's capabilities without those by which a backend would ask it something in mid-call, and
/// without tasks: the eras have them in different ways.
fn crossing(capabilities: &[u8]) -> Bytes {
    let plain = raw::without(capabilities, |name| {
        matches!(name, "sampling" | "elicitation" | "roots" | "tasks")
    });
    let Some(span) = Members::parse(&plain).and_then(|members| members.span("extensions")) else {
        return plain;
    };
    let extensions = raw::without(&plain[span.clone()], |name| name == task::EXTENSION);
    raw::splice(&plain, vec![Edit { span, with: extensions }])
}

impl Session {
    /// What takes the place of a session on a modern backend that has said this about itself, for clients
    /// of this view.
    pub(crate) fn stateless(view: &ClientView, facts: Arc<Facts>) -> Self {
        let capabilities = view.capabilities_for(Era::Modern).clone();
        let (version, subject) = (ProtocolVersion::MODERN, view.subject.clone());
        Self { id: None, version, facts, capabilities, opened: None, subject, far: None }
    }

    /// What asks a modern backend about itself where this one was refused: with the same credential, and of
    /// a client that can do nothing if it is of the legacy era.
    pub(crate) fn asker(&self) -> Self {
        let capabilities = match self.version.era() {
            Era::Legacy => Bytes::from_static(b"{}"),
            Era::Modern => self.capabilities.clone(),
        };
        let nobody = Self::stateless(&ClientView::modern_nobody(), Arc::default());
        Self { capabilities, subject: self.subject.clone(), ..nobody }
    }

    /// A session that was opened before, from what was kept of it. It is used on nobody's behalf.
    pub fn resumed(id: Option<&str>, version: ProtocolVersion, facts: Arc<Facts>) -> Option<Self> {
        let id = id.map(|id| HeaderValue::from_str(id).ok()).map_or(Some(None), |id| id.map(Some));
        let capabilities = Bytes::new();
        let (subject, far) = (None, None);
        id.map(|id| Self { id, version, facts, capabilities, opened: None, subject, far })
    }

    /// The same, used on behalf of a caller of this view.
    pub fn of_view(self, view: &ClientView) -> Self {
        Self { subject: view.subject.clone(), ..self }
    }

    /// The same, on a link that another replica holds.
    pub fn held_at(self, carrier: Arc<dyn Carrier>) -> Self {
        Self { far: Some(carrier), ..self }
    }

    /// The replica that holds its link, if it is another one.
    pub fn holder(&self) -> Option<&str> {
        self.far.as_ref().map(|carrier| carrier.holder())
    }

    /// The session for one request of a caller, which is made with the token that it came with.
    ///
    /// # Errors
    /// If it cannot be made with that: over HTTP+SSE all goes by the token of the session, and this one stands
    /// for another role.
    pub fn on_behalf_of(mut self, backend: &Backend, caller: &Identity) -> Result<Self, Error> {
        match &mut self.subject {
            Some(subject) if subject.is(caller) => {}
            Some(subject)
                if backend.goes_by_sessions() && !backend.shows_alike(subject, caller) =>
            {
                let why = "is that of another role than the session began in, and a backend of HTTP+SSE knows one \
                           role a session; begin a new session";
                return Err(Error::NoCredential(Unavailable::Caller(why.into())));
            }
            Some(subject) => *subject = subject.with(caller),
            // The backend may be shown something else since the session was opened.
            none => *none = backend.subject(caller).map(|key| Subject::new(key, caller)),
        }
        Ok(self)
    }

    /// On whose behalf it is used.
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_ref()
    }

    /// The session, with what the backend has said meanwhile if nothing was known of it.
    pub fn informed(mut self, backend: &Backend) -> Self {
        if self.facts.capabilities.is_empty() {
            self.facts = backend.facts();
        }
        self
    }

    /// The `Mcp-Session-Id`, if the backend gave one.
    pub fn id(&self) -> Option<&str> {
        self.id.as_ref().and_then(|id| id.to_str().ok())
    }

    /// The revision that was negotiated.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// What is told to a modern backend with each request.
    pub fn introduction(&self) -> Introduction<'_> {
        Introduction { client_info: CLIENT_INFO, capabilities: &self.capabilities, log_level: None }
    }

    /// Whether the backend keeps nothing between requests.
    pub fn is_stateless(&self) -> bool {
        self.version.era() == Era::Modern
    }

    /// What a modern backend is told with each request that the client can do (JSON text).
    pub fn capabilities(&self) -> &Bytes {
        &self.capabilities
    }

    pub fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }
}

impl Facts {
    /// Takes what the backend said.
    pub(crate) fn new(hello: ServerHello) -> Self {
        let missing = hello.missing.iter().filter_map(|name| BackendId::new(name).ok());
        let missing = missing.take(MISSING).collect();
        let instructions = hello.instructions.map(String::into_boxed_str);
        Self { missing, ..Self::of(&hello.capabilities, instructions) }
    }

    /// Every session keeps them, so nothing of the message is kept in which they came.
    pub(crate) fn of(capabilities: &[u8], instructions: Option<Box<str>>) -> Self {
        let (capabilities, mut left_out) = declared::fitted(capabilities);
        let instructions = instructions.map(|text| {
            let Cow::Owned(cut) = declared::bounded_instructions(&text) else { return text };
            let why = format!("what is longer than {} bytes is cut", declared::MAX_INSTRUCTIONS);
            left_out.push(LeftOut::new(None, "instructions", &why));
            cut.into_boxed_str()
        });
        let (has, freshness) = (Has::of(&capabilities), Freshness::default());
        Self { capabilities, left_out, instructions, has, freshness, missing: Box::default() }
    }

    /// Whether the backend announces changes of this list: `tools`, `resources` or `prompts`.
    pub(crate) fn announces(&self, list: &str) -> bool {
        Members::parse(&self.capabilities)
            .is_some_and(|members| announces(&members, &self.capabilities, list))
    }

    /// The same for a backend that serves many clients without knowing it: what it would have to
    /// tell them apart for is left out.
    pub(crate) fn of_many(one: &Self) -> Self {
        let capabilities =
            raw::without(&one.capabilities, |name| matches!(name, "logging" | "tasks"));
        let resources = Members::parse(&capabilities).and_then(|members| {
            let span = members.span("resources")?;
            let with = raw::without(&capabilities[span.clone()], |name| name == "subscribe");
            Some(Edit { span, with })
        });
        let capabilities = raw::splice(&capabilities, resources.into_iter().collect());
        Self::of(&capabilities, one.instructions.clone())
    }
}

impl Has {
    fn of(capabilities: &[u8]) -> Self {
        let Some(members) = Members::parse(capabilities) else { return Self::default() };
        let has = |name| members.span(name).is_some();
        let list_changes = ["tools", "resources", "prompts"]
            .into_iter()
            .any(|name| announces(&members, capabilities, name));
        Self {
            tools: has("tools"),
            resources: has("resources"),
            prompts: has("prompts"),
            logging: has("logging"),
            tasks: has("tasks"),
            list_changes,
        }
    }
}

/// Whether a capability says that changes of its list are announced.
fn announces(members: &Members, capabilities: &[u8], name: &str) -> bool {
    let Some(value) = members.value(capabilities, name) else { return false };
    Members::parse(value).is_some_and(|inner| inner.value(value, "listChanged") == Some(b"true"))
}
