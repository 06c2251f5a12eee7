//! What a raw server was asked, as numbers.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Counts since the server started, except where something is said to be open.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) requests: Mutex<BTreeMap<String, u64>>,
    pub(super) calls: Mutex<BTreeMap<String, u64>>,
    pub(super) deletes: AtomicU64,
    pub(super) streams: AtomicU64,
    pub(super) open_streams: AtomicU64,
    pub(super) stray_answers: AtomicU64,
    pub(super) refusals: AtomicU64,
}

impl Counters {
    /// Requests and notifications received with this method.
    pub fn requests(&self, method: &str) -> u64 {
        read(&self.requests, method)
    }

    /// `initialize` requests received.
    pub fn initializes(&self) -> u64 {
        self.requests("initialize")
    }

    /// Calls of one tool.
    pub fn calls(&self, tool: &str) -> u64 {
        read(&self.calls, tool)
    }

    /// DELETE requests that ended a session.
    pub fn deletes(&self) -> u64 {
        self.deletes.load(Relaxed)
    }

    /// GET streams opened.
    pub fn streams(&self) -> u64 {
        self.streams.load(Relaxed)
    }

    /// GET streams open now.
    pub fn open_streams(&self) -> u64 {
        self.open_streams.load(Relaxed)
    }

    /// Answers received to questions that were never asked or already answered.
    pub fn stray_answers(&self) -> u64 {
        self.stray_answers.load(Relaxed)
    }

    /// Requests refused for breaking a rule of the transport; unknown sessions do not count.
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Relaxed)
    }

    pub(super) fn add(map: &Mutex<BTreeMap<String, u64>>, key: &str) {
        let mut map = map.lock().expect("no code panics while it counts");
        *map.entry(key.to_owned()).or_default() += 1;
    }
}

fn read(map: &Mutex<BTreeMap<String, u64>>, key: &str) -> u64 {
    map.lock().expect("no code panics while it counts").get(key).copied().unwrap_or(0)
}
