//! What is counted, and what stands.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::error::{Error, Failure};

/// What has gone over the channel since the start, and what is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// Every connection, those that were dialled first.
    pub connections: Vec<ConnectionStatus>,
    /// Requests of this replica to others.
    pub asked: u64,
    /// Requests of others that reached the handler here.
    pub served: u64,
    /// Connections that were dialled, or tried to.
    pub dialled: u64,
    /// Connections that were taken: their diallers have shown a key of the ring and said their names.
    pub taken: u64,
    /// Connections that were not taken, by reason.
    pub refused: Vec<(&'static str, u64)>,
    /// Requests of this replica that failed, by reason.
    pub failed: Vec<(&'static str, u64)>,
}

/// One connection between this replica and another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// The name of the other replica.
    pub name: String,
    pub epoch: u64,
    pub address: SocketAddr,
    pub direction: Direction,
    pub state: State,
    /// Streams that are open.
    pub streams: usize,
    /// How long it has been in the table.
    pub age: Duration,
}

/// Who asks on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// This replica.
    Dialled,
    /// The other one.
    Taken,
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Dialling,
    Open,
    /// It ends with what is open on it.
    Closing,
}

/// Why a connection was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusedFor {
    /// There are as many as there may be.
    Full,
    /// The keys are not known yet.
    NotReady,
    /// It made room for a newer one.
    Displaced,
    /// It took too long.
    Slow,
    /// It was closed or lost before anything was said.
    Lost,
    /// It does not speak TLS as it must, or shows no key of the ring.
    Tls,
    /// Its first words make no sense.
    Nonsense,
    OtherProtocol,
    /// It means another replica.
    NotIt,
    /// This replica is about to end.
    Ending,
}

impl RefusedFor {
    /// The names of all, in the order of the enum.
    const NAMES: [&str; 10] = [
        "full",
        "not_ready",
        "displaced",
        "slow",
        "lost",
        "tls",
        "nonsense",
        "other_protocol",
        "not_it",
        "ending",
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    asked: AtomicU64,
    served: AtomicU64,
    dialled: AtomicU64,
    taken: AtomicU64,
    refused: [AtomicU64; RefusedFor::NAMES.len()],
    failed: [AtomicU64; Failure::NAMES.len()],
}

impl Counters {
    pub(crate) fn note_asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_served(&self) {
        self.served.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_dialled(&self) {
        self.dialled.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_refused(&self, why: RefusedFor) {
        self.refused[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_failed(&self, error: &Error) {
        self.failed[error.reason() as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// All counts, with the connections that stand.
    pub(crate) fn traffic(&self, connections: Vec<ConnectionStatus>) -> Traffic {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let named = |names: &[&'static str], counts: &[AtomicU64]| {
            names.iter().copied().zip(counts.iter().map(read)).collect()
        };
        Traffic {
            connections,
            asked: read(&self.asked),
            served: read(&self.served),
            dialled: read(&self.dialled),
            taken: read(&self.taken),
            refused: named(&RefusedFor::NAMES, &self.refused),
            failed: named(&Failure::NAMES, &self.failed),
        }
    }
}
