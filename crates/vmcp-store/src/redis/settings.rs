//! Where a Redis is, and how it is used.

use std::{fmt, sync::Arc, time::Duration};

use vmcp_keys::KeyRing;

/// Where a Redis is, and how it is used.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    pub servers: Servers,
    /// The logical database; always 0 in a cluster.
    pub db: u32,
    pub username: Option<String>,
    pub password: Option<Password>,
    pub tls: Option<Tls>,
    /// What every key begins with.
    pub prefix: String,
    /// How long a connection may take to be made.
    pub dial_timeout: Duration,
    /// How long a command may take.
    pub command_timeout: Duration,
    pub validation: Validation,
    /// Given by configuration; otherwise one is made and kept in Redis.
    pub keys: Option<KeyRing>,
}

/// Which servers there are.
#[derive(Clone, PartialEq, Eq)]
pub enum Servers {
    Single(Address),
    /// The master is the one that Sentinels name.
    Sentinel {
        sentinels: Vec<Address>,
        master: String,
        username: Option<String>,
        password: Option<Password>,
    },
    /// Some nodes of a cluster, by which the others are found.
    Cluster(Vec<Address>),
}

impl Servers {
    /// Those that are known beforehand.
    pub fn addresses(&self) -> Vec<(String, u16)> {
        let known = match self {
            Self::Single(address) => std::slice::from_ref(address),
            Self::Sentinel { sentinels: known, .. } | Self::Cluster(known) => known,
        };
        known.iter().map(|address| (address.host.clone(), address.port)).collect()
    }
}

/// A password. It is asked for anew for each connection, so that whoever keeps it can exchange it.
#[derive(Clone)]
pub struct Password {
    /// Where it comes from: one from another place is another one.
    origin: Arc<str>,
    now: Arc<dyn Fn() -> String + Send + Sync>,
}

/// A host, by name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

/// How servers prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The authorities that vouch for them, in PEM form; the system's if absent.
    pub authorities: Option<Vec<u8>>,
}

/// When the store is asked whether a session that is live here still stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validation {
    /// When the bus has been silent for so long, or may have lost something.
    Bus { max_staleness: Duration },
    /// Before every use.
    PerRequest,
}

impl Password {
    /// One that is kept elsewhere: at this place, where it is read whenever it is needed.
    pub fn kept(origin: &str, now: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self { origin: origin.into(), now: Arc::new(now) }
    }

    /// What it is now.
    pub fn now(&self) -> String {
        (self.now)()
    }
}

/// One that stays as it is.
impl From<String> for Password {
    fn from(text: String) -> Self {
        Self { origin: text.as_str().into(), now: Arc::new(move || text.clone()) }
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.origin == other.origin
    }
}

impl Eq for Password {}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither passwords nor keys.
        f.debug_struct("Settings")
            .field("servers", &self.servers)
            .field("db", &self.db)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the Sentinels' password.
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |addresses: &[Address]| {
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Single(address) => write!(f, "Redis at {address}"),
            Self::Sentinel { sentinels, master, .. } => {
                write!(f, "Redis {master:?} by Sentinels at {}", list(sentinels))
            }
            Self::Cluster(nodes) => write!(f, "Redis cluster at {}", list(nodes)),
        }
    }
}
