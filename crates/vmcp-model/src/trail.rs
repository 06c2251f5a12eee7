//! What is known of one request of a client, from when it comes in until its answer has ended: the one source
//! of metrics, audit and traces.
//!
//! A [`Trail`] goes with its message. Whoever comes to know something of it notes it there; when the last of
//! those who hold it lets it go, it is handed to its [`Observer`], once.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use crate::{
    BackendId, Era, Identity, Kind, Method, ProtocolVersion, raw,
    trace::{Parent, Trace},
};

/// Takes what is known of requests when they have ended.
pub trait Observer: fmt::Debug + Send + Sync {
    /// The time since a moment that is always the same.
    fn now(&self) -> Duration;

    /// What is to be noted.
    fn wants(&self) -> Wants;

    /// Begins a request's part of the trace of its parent, if it has one. `state` is what others have added to it.
    fn trace(&self, parent: Option<Parent>, state: Option<&str>) -> Option<Trace>;

    /// Takes a trail that has ended, and for how long it went on. It is called once for each, on any thread, and
    /// must not wait.
    fn take(&self, trail: &Trail, took: Duration);
}

/// What an observer wants to be noted beyond what costs next to nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wants {
    /// Each request is followed; otherwise those only that belong to a trace.
    pub all: bool,
    /// [`Details`] of each; those that are recorded in a trace have them anyway.
    pub details: bool,
    /// Where requests stand in traces.
    pub traces: bool,
    /// So many bytes of what a request says in its `params`, and of what it is answered with.
    pub request_bytes: usize,
    pub response_bytes: usize,
}

/// One request, notification or answer of a client, or a stream that it opens.
pub struct Trail {
    observer: Arc<dyn Observer>,
    began: Duration,
    asked: Asked,
    target: OnceLock<Target>,
    client: OnceLock<Arc<Client>>,
    end: OnceLock<End>,
    /// The HTTP status of the answer; 0 before there is one.
    status: AtomicU16,
    /// When it was sent to its backend, and when that began to answer, in nanoseconds of the observer's time.
    sent: AtomicU64,
    answered: AtomicU64,
    /// Bytes of its answer.
    bytes: AtomicU64,
    /// The beginning of its answer.
    response: Mutex<Vec<u8>>,
    version: OnceLock<ProtocolVersion>,
    session: OnceLock<Box<str>>,
    is_streamed: AtomicBool,
}

/// What is known from the beginning.
#[derive(Debug, Clone)]
pub struct Asked {
    pub via: Via,
    /// `None` if there is no message, or it has none.
    pub method: Option<Method>,
    pub era: Era,
    /// `None` of who was not let in.
    pub identity: Option<Identity>,
    pub address: IpAddr,
    pub trace: Option<Trace>,
    /// Where the observer wants them.
    pub details: Option<Box<Details>>,
}

/// By what HTTP method it came, which says what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// A message.
    Post,
    /// A stream of whatever the server has to say.
    Get,
    /// The end of a session.
    Delete,
}

/// What is long, or told by the client about itself.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// The name of a method that is [`Method::Other`].
    pub method_name: Option<Box<str>>,
    /// The id of a request (JSON text).
    pub id: Option<Box<str>>,
    pub user_agent: Option<Box<str>>,
    /// What the client or a proxy calls it, in the header `X-Request-Id`.
    pub request_id: Option<Box<str>>,
    /// The id of its session, which is a secret.
    pub session: Option<Box<str>>,
    /// What it names, as the client writes it: a tool, a prompt, a URI.
    pub name: Option<Box<str>>,
    /// The beginning of its `params` (JSON text).
    pub params: Option<Bytes>,
}

/// The client, as it calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub name: Box<str>,
    pub version: Box<str>,
}

impl Client {
    /// Reads an `Implementation` object (JSON text). `None` if it has no name.
    pub fn parse(info: &[u8]) -> Option<Arc<Self>> {
        let members = raw::Members::parse(info)?;
        let text = |name: &str| {
            let text = members.value(info, name).and_then(raw::as_string)?;
            Some(text[..text.floor_char_boundary(MAX_CLIENT)].into())
        };
        let version = text("version").unwrap_or_default();
        Some(Arc::new(Self { name: text("name")?, version }))
    }
}

/// Bytes of the name and of the version of a client that are kept.
const MAX_CLIENT: usize = 128;

/// What a request leads to, once that is known: it exists, and its caller may use it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `None` for what is vmcp's own.
    pub backend: Option<BackendId>,
    /// What is used, as clients know it. Resources are told by what they are templates of, or not at all: there is
    /// no end of URIs.
    pub capability: Option<(Kind, Arc<str>)>,
}

/// How a request has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Answered,
    /// With a result that says that the tool has failed (`isError`).
    ToolError,
    /// With an error of JSON-RPC, by its backend.
    Error {
        code: i64,
        message: Box<str>,
    },
    /// By vmcp.
    Failed {
        why: Why,
        code: i64,
        message: Box<str>,
    },
}

/// Why vmcp did not give an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Who calls was not shown, or not proved.
    Unauthenticated,
    /// The caller may not do this.
    Denied,
    /// It cannot be understood, or names nothing that is there.
    Invalid,
    /// It would be more than a bound allows.
    OverBound,
    /// vmcp has no room, ends, or cannot reach its store.
    Unavailable,
    /// The backend is out, or could not be used.
    Backend,
    /// The backend took too long.
    Timeout,
    /// The client has cancelled it.
    Cancelled,
    /// Something is wrong in vmcp.
    Internal,
}

impl Why {
    /// As metrics and records have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::OverBound => "over_bound",
            Self::Unavailable => "unavailable",
            Self::Backend => "backend",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

impl Trail {
    /// Begins one.
    pub fn new(observer: Arc<dyn Observer>, asked: Asked) -> Arc<Self> {
        Arc::new(Self {
            began: observer.now(),
            observer,
            asked,
            target: OnceLock::new(),
            client: OnceLock::new(),
            end: OnceLock::new(),
            status: AtomicU16::new(0),
            sent: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            response: Mutex::default(),
            version: OnceLock::new(),
            session: OnceLock::new(),
            is_streamed: AtomicBool::new(false),
        })
    }

    /// What was known from the beginning.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// When it began, in the observer's time.
    pub fn began(&self) -> Duration {
        self.began
    }

    /// Notes what it leads to. What is noted first stands.
    pub fn note_target(&self, target: impl FnOnce() -> Target) {
        self.target.get_or_init(target);
    }

    /// What it leads to.
    pub fn target(&self) -> Option<&Target> {
        self.target.get()
    }

    /// Notes who the client says it is. What is noted first stands.
    pub fn note_client(&self, client: impl FnOnce() -> Option<Arc<Client>>) {
        if self.asked.details.is_some()
            && self.client.get().is_none()
            && let Some(client) = client()
        {
            self.client.get_or_init(|| client);
        }
    }

    /// Who the client says it is.
    pub fn client(&self) -> Option<&Client> {
        self.client.get().map(|client| &**client)
    }

    /// Notes how it has ended. What is noted first stands: it is closest to what has happened.
    pub fn note_end(&self, end: impl FnOnce() -> End) {
        self.end.get_or_init(end);
    }

    /// How it has ended. `None` if nobody waited for that.
    pub fn end(&self) -> Option<&End> {
        self.end.get()
    }

    /// Notes the HTTP status of its answer.
    pub fn note_status(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// The HTTP status of its answer, once there is one.
    pub fn status(&self) -> Option<u16> {
        Some(self.status.load(Ordering::Relaxed)).filter(|status| *status != 0)
    }

    /// Notes that it is being sent to its backend, for the last time so far.
    pub fn note_sent(&self) {
        self.sent.store(nanoseconds(self.observer.now()), Ordering::Relaxed);
    }

    /// Notes that it was not sent after all.
    pub fn note_unsent(&self) {
        self.sent.store(0, Ordering::Relaxed);
    }

    /// Notes that its backend begins to answer.
    pub fn note_answered(&self) {
        self.answered.store(nanoseconds(self.observer.now()), Ordering::Relaxed);
    }

    /// When it was sent to its backend, and when that began to answer, in the observer's time.
    pub fn at_backend(&self) -> (Option<Duration>, Option<Duration>) {
        let time = |nanoseconds: &AtomicU64| {
            let nanoseconds = nanoseconds.load(Ordering::Relaxed);
            (nanoseconds != 0).then(|| Duration::from_nanos(nanoseconds))
        };
        (time(&self.sent), time(&self.answered))
    }

    /// Notes what it is answered with, or the next piece of that.
    pub fn note_response(&self, text: &Bytes) {
        self.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
        let most = self.observer.wants().response_bytes;
        if most > 0 {
            let mut beginning = self.response.lock().unwrap_or_else(PoisonError::into_inner);
            let room = most.saturating_sub(beginning.len());
            beginning.extend_from_slice(&text[..text.len().min(room)]);
        }
    }

    /// Notes how many bytes its answer has, if nothing else is known of it.
    pub fn note_size(&self, bytes: u64) {
        if self.bytes() == 0 {
            self.bytes.store(bytes, Ordering::Relaxed);
        }
    }

    /// How many bytes its answer has so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The beginning of its answer, where the observer wants it.
    pub fn response(&self) -> Option<Bytes> {
        let beginning = self.response.lock().unwrap_or_else(PoisonError::into_inner);
        (!beginning.is_empty()).then(|| Bytes::copy_from_slice(&beginning))
    }

    /// Notes the revision that its session speaks. What is noted first stands.
    pub fn note_version(&self, version: ProtocolVersion) {
        self.version.get_or_init(|| version);
    }

    /// The revision that its client speaks, if that is known.
    pub fn version(&self) -> Option<ProtocolVersion> {
        match self.asked.era {
            Era::Modern => Some(ProtocolVersion::MODERN),
            Era::Legacy => self.version.get().copied(),
        }
    }

    /// Notes the session that it has begun.
    pub fn note_session(&self, id: &str) {
        if self.asked.details.is_some() {
            self.session.get_or_init(|| id.into());
        }
    }

    /// The id of its session, which is a secret, where the observer wants it.
    pub fn session(&self) -> Option<&str> {
        let shown = || self.asked.details.as_ref()?.session.as_deref();
        self.session.get().map(|id| &**id).or_else(shown)
    }

    /// Notes that it is answered by a stream.
    pub fn note_streamed(&self) {
        self.is_streamed.store(true, Ordering::Relaxed);
    }

    /// Whether it is answered by a stream.
    pub fn is_streamed(&self) -> bool {
        self.is_streamed.load(Ordering::Relaxed)
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        let observer = Arc::clone(&self.observer);
        let took = observer.now().saturating_sub(self.began);
        observer.take(self, took);
    }
}

/// Without what the client said, which may be secret.
impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trail")
            .field("method", &self.asked.method)
            .field("target", &self.target)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

fn nanoseconds(time: Duration) -> u64 {
    // Zero stands for never.
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests;
