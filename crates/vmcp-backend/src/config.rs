//! What a backend needs to know about itself.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use vmcp_credentials::Config as Outgoing;
use vmcp_model::{BackendId, Digest};

use crate::memory::Network;

/// One backend, ready to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub id: BackendId,
    pub transport: Transport,
    pub timeouts: Timeouts,
    pub limits: Limits,
}

/// How a backend is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP (specification 2025-11-25, basic/transports).
    Http(Endpoint),
    /// HTTP with SSE, as revision 2024-11-05 has it.
    Sse(Endpoint),
    /// A child process that is spoken to on its standard input and output.
    Stdio(Program),
}

impl Config {
    /// A backend of this name that nothing is sent to, as something is wrong with what it was to be.
    #[must_use]
    pub fn out(&self, why: String) -> Self {
        let outgoing = Outgoing::Missing { why: why.into(), header: None };
        let nowhere = Endpoint { outgoing, ..Endpoint::nowhere() };
        Self { transport: Transport::Http(nowhere), ..self.clone() }
    }
}

impl Transport {
    /// Where the backend is, unless it is a program.
    pub fn url(&self) -> Option<&Uri> {
        match self {
            Self::Http(endpoint) | Self::Sse(endpoint) => Some(&endpoint.url),
            Self::Stdio(_) => None,
        }
    }
}

/// Where an HTTP backend is, and what it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `http` or `https`, with a host.
    pub url: Uri,
    /// What vmcp shows it about itself.
    pub outgoing: Outgoing,
    /// Fixed headers that every request carries besides.
    pub headers: HeaderMap,
    /// Headers of callers' requests that it is passed.
    pub passthrough: Arc<[HeaderName]>,
    /// A PEM bundle of the authorities that may vouch for it, instead of the system's.
    pub ca_bundle: Option<Arc<[u8]>>,
    /// What stands between it and vmcp.
    pub proxy: Option<Proxy>,
    pub network: Network,
}

/// A proxy that is spoken to in HTTP, without TLS: connections of TLS go through it (RFC 9110, section 9.3.6),
/// and requests in plain text are handed to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub host: String,
    pub port: u16,
    /// The value of `Proxy-Authorization`, a secret.
    pub authorization: Option<HeaderValue>,
}

/// Names where it is, and nothing that is secret.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// What is run for a stdio backend.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    /// A path, or a name that is looked up in `PATH`.
    pub command: String,
    pub args: Vec<String>,
    /// What of the arguments came out of variables, and so is perhaps secret.
    pub secrets: Vec<String>,
    /// What its environment holds that every program gets.
    pub inherited: BTreeMap<String, String>,
    /// What its environment holds besides, or instead. The values may be secrets.
    pub env: BTreeMap<String, String>,
    /// Its working directory; vmcp's own if there is none.
    pub directory: Option<PathBuf>,
    pub isolation: Isolation,
    /// How long a process lives that nobody uses. What it had in memory ends with it.
    pub idle: Duration,
}

/// Who shares a process of a stdio backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Each client session has a process of its own.
    Session,
    /// All sessions use one process, which is told of no client's capabilities.
    Shared,
}

/// How long one backend may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To accept a connection, TLS included.
    pub connect: Duration,
    /// To open a session.
    pub initialize: Duration,
    /// Without a sign of life during a call; progress starts it again.
    pub idle: Duration,
    /// For a call as a whole, whatever its progress.
    pub absolute: Duration,
}

/// How much one backend may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one response.
    pub response_bytes: usize,
    /// Bytes of one event of a stream.
    pub event_bytes: usize,
    /// Requests under way at once, streams not counted.
    pub in_flight: usize,
    /// GET streams open at once.
    pub streams: usize,
    /// Child processes, or connections of HTTP+SSE, at once.
    pub links: usize,
    /// Pages of one list that are followed.
    pub list_pages: usize,
    /// Items of one list that are kept.
    pub list_items: usize,
    /// Bytes of all lists of one reading, every page counted whole.
    pub list_bytes: usize,
}

impl Config {
    /// A Streamable HTTP backend that is shown nothing, with the default timeouts and limits.
    pub fn plain(id: BackendId, url: Uri) -> Self {
        let transport = Transport::Http(Endpoint::plain(url));
        Self { id, transport, timeouts: Timeouts::default(), limits: Limits::default() }
    }

    /// Whether sessions that were opened as `before` had it are good as this has it: at the same
    /// place, with the same credential, and held by nothing in this process.
    pub fn keeps_sessions_of(&self, before: &Self) -> bool {
        match &self.transport {
            Transport::Http(_) => self.transport == before.transport,
            // The links go on, with the limits that they were begun with.
            Transport::Sse(_) | Transport::Stdio(_) => {
                self.transport == before.transport && self.limits == before.limits
            }
        }
    }
}

impl Endpoint {
    /// Where a backend would be of which that is not known. Nobody has such a name (RFC 2606, section 2).
    pub const NOWHERE: &str = "http://unknown.invalid/";

    /// One there.
    pub fn nowhere() -> Self {
        Self::plain(Uri::from_static(Self::NOWHERE))
    }

    /// What its sessions are good for, as [`Config::keeps_sessions_of`] says, for comparison between
    /// processes. It is made from secrets too, so it must not be shown to anybody.
    pub fn identity(&self) -> Digest {
        let url = self.url.to_string();
        let mut parts = vec![b"vmcp endpoint".as_slice(), url.as_bytes()];
        let shown = self.outgoing.parts();
        parts.extend(shown.iter().map(Vec::as_slice));
        let mut headers: Vec<_> = self.headers.iter().collect();
        headers.sort_by_key(|(name, value)| (name.as_str(), value.as_bytes().to_vec()));
        for (name, value) in headers {
            parts.extend([b"fixed".as_slice(), name.as_str().as_bytes(), value.as_bytes()]);
        }
        if let Some(bundle) = &self.ca_bundle {
            parts.extend([b"authorities".as_slice(), bundle]);
        }
        Digest::of_parts(parts)
    }

    /// An endpoint that is shown nothing, and reached directly.
    pub fn plain(url: Uri) -> Self {
        let (outgoing, headers) = (Outgoing::Unauthenticated, HeaderMap::new());
        Self {
            url,
            outgoing,
            headers,
            passthrough: Arc::default(),
            ca_bundle: None,
            proxy: None,
            network: Network::Tcp,
        }
    }
}

impl Program {
    /// What its environment holds under a name.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.get(name).or_else(|| self.inherited.get(name)).map(String::as_str)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments and values may be secrets.
        f.debug_struct("Program")
            .field("command", &self.command)
            .field("args", &self.args.len())
            .field("inherited", &self.inherited.keys())
            .field("env", &self.env.keys())
            .field("directory", &self.directory)
            .field("isolation", &self.isolation)
            .field("idle", &self.idle)
            .finish()
    }
}

/// Why a backend cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    #[error("the URL needs the scheme http or https and a host")]
    Url,
    #[error("the CA bundle cannot be used: {0}")]
    CaBundle(String),
    #[error("the system has no usable CA certificates: {0}")]
    SystemRoots(String),
    #[error("a server in memory is reached without TLS: its URL needs the scheme http")]
    TlsInMemory,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            initialize: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            absolute: Duration::from_secs(3600),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            response_bytes: 100 << 20,
            event_bytes: 16 << 20,
            in_flight: 1024,
            streams: 10_000,
            links: 256,
            list_pages: 1000,
            list_items: 100_000,
            list_bytes: 32 << 20,
        }
    }
}
