//! What is kept of a session.

use std::sync::Arc;

use bytes::Bytes;
use vmcp_model::{BackendId, Digest, Era, LogLevel, ProtocolVersion};

/// The key of a record: a digest of the session id, so that the store never holds the id itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(Digest);

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// What a client said about itself. Shared by the sessions of clients that said the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientProfile {
    /// The revision that was negotiated.
    pub version: ProtocolVersion,
    /// The `capabilities` object, in the client's bytes.
    pub capabilities: Bytes,
    /// The `clientInfo` object, in the client's bytes.
    pub info: Bytes,
}

/// A session, as any replica can take it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub created: Timestamp,
    pub deadline: Timestamp,
    pub client: Arc<ClientProfile>,
    /// A keyed hash of the principal that the session belongs to.
    pub owner: Digest,
    /// The catalog that the client was given.
    pub catalog: Digest,
    pub log_level: Option<LogLevel>,
    /// URIs in no particular order.
    pub subscriptions: Vec<Box<str>>,
    /// Counts the GET streams: the newest one owns the session's messages.
    pub stream_epoch: u64,
    /// In the order of the backends' names.
    pub backends: Vec<(BackendId, BackendRecord)>,
    /// The backends whose offer is the session's own, and its digest. In the order of their names.
    pub own_offers: Vec<(BackendId, Digest)>,
    pub handed: Handed,
}

/// Which backend has given the client a URI that no list may have. Bounded: the oldest go first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handed(Vec<(Digest, BackendId)>);

/// A backend session, as any replica can take it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendRecord {
    /// The backend's `Mcp-Session-Id`, if it gave one.
    pub session_id: Option<Box<str>>,
    pub version: ProtocolVersion,
    pub era: Era,
    pub place: Place,
}

/// What a replica says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Where it listens to the others (`host:port`), if it does.
    pub address: Option<Box<str>>,
}

/// Where a backend session can be used from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// From any replica that has a backend of this address (a digest of its URL).
    Address(Digest),
    /// From the replica of this name only, which holds the process or the connection.
    Replica(Box<str>),
}

/// A change of a live record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    LogLevel(LogLevel),
    Subscribe(Box<str>),
    Unsubscribe(Box<str>),
    /// Only if the record still holds the first of the two.
    Catalog {
        from: Digest,
        to: Digest,
    },
    /// Only if the record holds the first of the two for this backend, or nothing.
    OwnOffer {
        backend: BackendId,
        from: Option<Digest>,
        to: Option<Digest>,
    },
    /// Only if the record's epoch is smaller.
    StreamEpoch(u64),
    /// URIs, by their digests, that a backend has given the client.
    HandOut {
        backend: BackendId,
        uris: Vec<Digest>,
    },
}

/// What is left of a session that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tombstone {
    pub backends: Vec<(BackendId, BackendRecord)>,
}

impl SessionKey {
    /// The key for a session id.
    pub fn of(session_id: &str) -> Self {
        Self(Digest::of_parts([b"vmcp session".as_slice(), session_id.as_bytes()]))
    }

    /// The key that has these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Digest::from_bytes(bytes))
    }

    /// What it is compared by.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl Timestamp {
    /// This time plus a span.
    pub fn after(self, span: std::time::Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// This time less a span.
    pub fn before(self, span: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }
}

impl Handed {
    /// URIs that are remembered.
    pub const MOST: usize = 256;

    /// Enters URIs that a backend has given the client last.
    pub fn note(&mut self, backend: &BackendId, uris: &[Digest]) {
        for uri in uris {
            self.0.retain(|(other, _)| other != uri);
            if self.0.len() == Self::MOST {
                self.0.remove(0);
            }
            self.0.push((*uri, backend.clone()));
        }
    }

    /// The backend that has given the client a URI.
    pub fn owner(&self, uri: &Digest) -> Option<&BackendId> {
        self.0.iter().find(|(other, _)| other == uri).map(|(_, backend)| backend)
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &(Digest, BackendId)> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Record {
    /// The record's session on a backend.
    pub fn backend(&self, id: &BackendId) -> Option<&BackendRecord> {
        let at = self.backends.binary_search_by(|(other, _)| other.cmp(id)).ok()?;
        Some(&self.backends[at].1)
    }

    /// Enters a session on a backend.
    pub(crate) fn set_backend(&mut self, id: BackendId, session: BackendRecord) {
        match self.backends.binary_search_by(|(other, _)| other.cmp(&id)) {
            Ok(at) => self.backends[at].1 = session,
            Err(at) => {
                self.backends.reserve_exact(1);
                self.backends.insert(at, (id, session));
            }
        }
    }

    /// Enters the session's own offer of a backend, or takes it out.
    fn set_own_offer(
        &mut self,
        backend: BackendId,
        from: Option<Digest>,
        to: Option<Digest>,
    ) -> bool {
        match (self.own_offers.binary_search_by(|(other, _)| other.cmp(&backend)), to) {
            (Ok(at), _) if Some(self.own_offers[at].1) != from => return false,
            (Ok(at), Some(to)) => self.own_offers[at].1 = to,
            (Ok(at), None) => _ = self.own_offers.remove(at),
            (Err(at), Some(to)) => self.own_offers.insert(at, (backend, to)),
            (Err(_), None) => {}
        }
        true
    }

    /// Applies a change. `false`, and no change, if its condition fails.
    pub(crate) fn apply(&mut self, change: Change) -> bool {
        match change {
            Change::LogLevel(level) => self.log_level = Some(level),
            Change::Subscribe(uri) => {
                if !self.subscriptions.contains(&uri) {
                    self.subscriptions.push(uri);
                }
            }
            Change::Unsubscribe(uri) => self.subscriptions.retain(|other| *other != uri),
            Change::Catalog { from, to } => {
                if self.catalog != from {
                    return false;
                }
                self.catalog = to;
            }
            Change::OwnOffer { backend, from, to } => return self.set_own_offer(backend, from, to),
            Change::StreamEpoch(epoch) => {
                if self.stream_epoch >= epoch {
                    return false;
                }
                self.stream_epoch = epoch;
            }
            Change::HandOut { backend, uris } => self.handed.note(&backend, &uris),
        }
        true
    }
}
