//! Where session records live.
//!
//! A record is what any replica needs to serve a session. Every change of one is conditional on
//! its existence, so that a session that has ended never comes back. Times are passed in, of the clock
//! that the store gives: replicas that share one go by the same time.

mod bus;
mod clock;
mod hearing;
mod memory;
mod record;
mod redis;
mod traffic;

#[cfg(test)]
mod contract;

use std::{future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;
use vmcp_model::{BackendId, Digest};

/// Part of the store's interface.
pub use vmcp_keys::{Key, KeyRing};

pub use bus::{Confidence, News, Subscription};
pub use clock::Clock;
pub use hearing::{Hearing, Sender, beats};
pub use memory::Memory;
pub use record::{
    Announced, BackendRecord, Change, ClientProfile, Handed, Place, Record, SessionKey, Timestamp,
    Tombstone,
};
pub use redis::{Address, Password, Redis, Servers, Settings, Tls, Validation};
pub use traffic::{BusTraffic, Traffic};

/// What a store answers with, some time later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// A store could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It cannot be reached, or not in time; whether the change happened is unknown.
    #[error("the session store cannot be reached: {0}")]
    Unavailable(String),
    /// What it holds cannot be read.
    #[error("the session store holds something unreadable: {0}")]
    Corrupt(String),
}

/// What became of an attempt to enter a backend session into a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Swap {
    /// The record holds the new one now.
    Done,
    /// Somebody else was first; this is what the record holds. The caller closes its own.
    Lost(BackendRecord),
    /// There is no such record. The caller closes its own.
    Gone,
}

/// A place for session records, catalogs and keys.
///
/// A record is a *placeholder* when it is created, *live* once it is filled, and a *tombstone* from
/// its end until somebody has closed its backend sessions. Only a live record can be loaded.
pub trait Store: Send + Sync {
    /// Whether the records are still there when this process is gone.
    fn outlives_process(&self) -> bool;

    /// Creates a placeholder. `false`, and no change, if the key is taken in any state.
    fn create(&self, key: SessionKey, deadline: Timestamp) -> Answer<'_, bool>;

    /// Makes a placeholder live. `false` if it does not stand any more.
    fn fill(&self, key: SessionKey, record: Record) -> Answer<'_, bool>;

    /// A live record whose deadline has not passed.
    fn load(&self, key: SessionKey, now: Timestamp) -> Answer<'_, Option<Record>>;

    /// Changes a live record. `false` if there is none, or if the change's own condition fails.
    fn change(&self, key: SessionKey, change: Change) -> Answer<'_, bool>;

    /// Enters a backend session into a live record, if the record's present one has the session id
    /// `expected` (`None`: if there is none).
    fn swap_backend(
        &self,
        key: SessionKey,
        backend: BackendId,
        expected: Option<BackendRecord>,
        new: BackendRecord,
    ) -> Answer<'_, Swap>;

    /// Moves deadlines. For each key, whether its live record still stands.
    fn refresh(&self, keys: Vec<SessionKey>, deadline: Timestamp) -> Answer<'_, Vec<bool>>;

    /// Ends a record, whatever its state: it becomes a tombstone that is due at once. `false` if
    /// there was none, or it had ended.
    fn end(&self, key: SessionKey, now: Timestamp) -> Answer<'_, bool>;

    /// Keys that need a claim: tombstones, and records whose deadline has passed; at most `limit`.
    /// There may be some among them that do not need one yet: a claim finds that out.
    fn due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<SessionKey>>;

    /// Claims what is due until a time, so that one caller closes its backend sessions. A record
    /// whose deadline has passed becomes a tombstone by this. `None` if it is not due, or claimed
    /// by somebody else.
    fn claim(
        &self,
        key: SessionKey,
        now: Timestamp,
        until: Timestamp,
    ) -> Answer<'_, Option<Tombstone>>;

    /// Removes a tombstone whose backend sessions are closed.
    fn remove(&self, key: SessionKey) -> Answer<'_, ()>;

    /// Keeps a catalog, or a session's own offer, under its digest until a time, or longer if it is
    /// kept longer already.
    fn put_catalog(&self, digest: Digest, catalog: Bytes, until: Timestamp) -> Answer<'_, ()>;

    /// Whether what was put under a digest is still there, as far as this process can tell without asking anybody; it is
    /// for a while longer then. Only memory lets go early what no record names.
    fn still_holds(&self, _digest: Digest) -> bool {
        true
    }

    /// A catalog or an own offer by its digest. It is what was put there: the caller need not check it.
    fn catalog(&self, digest: Digest, now: Timestamp) -> Answer<'_, Option<Bytes>>;

    /// The backend session that a live record holds now. The outer `None` says that there is no such
    /// record.
    fn backend(
        &self,
        key: SessionKey,
        backend: BackendId,
    ) -> Answer<'_, Option<Option<BackendRecord>>>;

    /// Enters a question that the client has been asked into a live record, so that its answer is
    /// taken once, by whichever replica gets it. `false` if there is no such record.
    fn ask(&self, key: SessionKey, question: Digest) -> Answer<'_, bool>;

    /// Takes a question out of a live record. `false` if it is not there: it has been answered.
    fn answer(&self, key: SessionKey, question: Digest) -> Answer<'_, bool>;

    /// The keys that all replicas share. [`Error::Unavailable`] before the store was reached for the
    /// first time.
    fn keys(&self) -> Result<Arc<KeyRing>, Error>;

    /// Says that a replica lives, until a time, and where (`host:port`) it listens to the others, if it does.
    fn announce_replica(
        &self,
        replica: String,
        address: Option<Box<str>>,
        until: Timestamp,
    ) -> Answer<'_, ()>;

    /// What a replica has said of itself. `None` if it does not live.
    fn replica(&self, replica: String, now: Timestamp) -> Answer<'_, Option<Announced>>;

    /// How many records there are, in any state.
    fn records(&self) -> Answer<'_, usize>;

    /// Tells the other replicas.
    fn publish(&self, news: News) -> Answer<'_, ()>;

    /// What the other replicas tell from now on.
    fn subscribe(&self) -> Subscription;

    /// How far what is known of records can be relied upon.
    fn confidence(&self) -> Arc<Confidence>;

    /// Whether the store can be reached, as far as is known.
    fn reach(&self) -> Reach;

    /// What has gone to it over the network. `None` if it is not asked over one.
    fn traffic(&self) -> Option<Traffic> {
        None
    }

    /// How many catalogs and own offers it holds, if that takes memory of this process.
    fn held_catalogs(&self) -> Option<usize> {
        None
    }

    /// The clock that times are of.
    fn clock(&self) -> Clock {
        Clock::of_system()
    }
}

/// Whether a store can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It has never been reached.
    Never,
    Good,
    /// It was reached before.
    Lost,
}
