//! Who calls, and with what.

use std::{future::Future, pin::Pin, sync::Arc};

use http::{HeaderName, HeaderValue};
use vmcp_backend::{Backend, Error, Session};
use vmcp_catalog::{Catalog, Reach, Route};
use vmcp_model::{BackendId, Era, Identity, Kind, LogLevel, Topic, raw::Members};
use vmcp_wire::task;

use crate::{kept::Alias, rights::Grant};

/// One caller, as every method of [`Vmcp`](crate::Vmcp) takes it.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// Who it is, as this very request has proved it.
    pub identity: &'a Identity,
    /// The caller's catalog: nothing else can be called.
    pub catalog: &'a Arc<Catalog>,
    /// All that there is, the caller's or not.
    pub whole: &'a Arc<Catalog>,
    /// What judges single uses, where policies say what callers may do.
    pub grant: Option<&'a Grant>,
    /// How far into it this request reaches: that of a client, to what is listed.
    pub reach: Reach,
    /// The era that the caller speaks.
    pub era: Era,
    /// The least severe log message that a legacy caller wants. A modern one says it in its request.
    pub log_level: Option<LogLevel>,
    /// What a modern caller repeats of a tool's parameters: all its `Mcp-Param-*` headers.
    pub parameters: &'a [(HeaderName, HeaderValue)],
    pub capabilities: ClientCapabilities,
    /// The backend sessions to use.
    pub sessions: &'a dyn BackendSessions,
}

impl<'a> Caller<'a> {
    /// Where an entry of the caller's catalog leads, if the request reaches it.
    pub(crate) fn find(&self, kind: Kind, key: &str) -> Option<&'a Route> {
        self.catalog.find(kind, key, self.reach)
    }

    /// Whether the tasks of a backend can be the caller's: whoever may call none of its tools has made none.
    pub(crate) fn may_have_tasks_of(&self, backend: &BackendId) -> bool {
        self.grant.is_none() || self.catalog.count_of(Kind::Tool, backend) > 0
    }

    /// What the request is called on this session, if not by its own id.
    pub(crate) fn alias(&self, session: &Session) -> Option<&'a Alias> {
        (!session.is_stateless()).then(|| self.sessions.alias()).flatten()
    }
}

/// An answer that is not there yet.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The backend sessions of one caller. Who keeps them, and for how long, is the caller's business:
/// a legacy client's session has its own, a client without sessions uses kept ones.
pub trait BackendSessions: Send + Sync {
    /// The session that is open already.
    fn open(&self, backend: &Backend) -> Option<Session>;

    /// The session that is open, or a new one; opened once however many ask.
    fn obtain<'a>(&'a self, backend: &'a Arc<Backend>) -> Pending<'a, Result<Session, Error>>;

    /// A session instead of one that the backend has lost; opened once however many ask.
    fn renew<'a>(
        &'a self,
        backend: &'a Arc<Backend>,
        lost: &'a Session,
    ) -> Pending<'a, Result<Session, Error>>;

    /// The backend that has given the caller a URI that no list has.
    fn owner_of(&self, _uri: &str) -> Option<BackendId> {
        None
    }

    /// What the caller's request is called on a session of a legacy backend, if others use that too, or
    /// another request under way there has the same id.
    fn alias(&self) -> Option<&Alias> {
        None
    }
}

/// What a client can do, as far as it decides what may be asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "a set of independent facts")]
pub struct ClientCapabilities {
    pub sampling: bool,
    pub elicitation: bool,
    pub roots: bool,
    pub tasks: bool,
}

impl ClientCapabilities {
    /// Reads the client's `capabilities` object. Text that is no object counts as none.
    pub fn parse(capabilities: &[u8]) -> Self {
        let Some(members) = Members::parse(capabilities) else { return Self::default() };
        let has = |name| members.span(name).is_some();
        Self {
            sampling: has("sampling"),
            elicitation: has("elicitation"),
            roots: has("roots"),
            tasks: has("tasks"),
        }
    }

    /// Reads the capabilities that a modern client declares with a request.
    pub fn parse_modern(capabilities: &[u8]) -> Self {
        let extensions = Members::parse(capabilities)
            .and_then(|members| members.value(capabilities, "extensions").and_then(Members::parse));
        let tasks = extensions.is_some_and(|extensions| extensions.span(task::EXTENSION).is_some());
        Self { tasks, ..Self::parse(capabilities) }
    }

    /// Whether the client may be asked about this. What vmcp has never heard of is the client's to refuse.
    pub(crate) fn allow(self, topic: Topic) -> bool {
        match topic {
            Topic::Sampling => self.sampling,
            Topic::Elicitation => self.elicitation,
            Topic::Roots => self.roots,
            Topic::Tasks => self.tasks,
            Topic::Other => true,
        }
    }
}
