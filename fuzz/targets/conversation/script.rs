//! What the fuzzer's bytes say: how the world is set up, what the client does, and how the hostile
//! peer answers each kind of request.
//!
//! Two bytes of setup, then records: a category, a length, and so many bytes. Requests of one category
//! take its records in order, whatever comes between them, so that a script means the same however
//! the tasks run. A request without a record is answered honestly, so short scripts get far.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// What a record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Category {
    Discover,
    Initialize,
    Tools,
    Lists,
    Call,
    /// A notification or an answer of the client's, or what is nothing known.
    Other,
    Stream,
    Delete,
    /// What the client does.
    Client,
}

const CATEGORIES: usize = Category::Client as usize + 1;

/// One execution's script.
#[derive(Debug)]
pub struct Script {
    pub setup: Setup,
    records: Mutex<[VecDeque<Vec<u8>>; CATEGORIES]>,
}

/// What holds for a whole execution.
#[derive(Debug, Clone, Copy)]
pub struct Setup(u8, u8);

/// Bytes that are used up one by one; zeros follow them.
#[derive(Debug, Clone, Default)]
pub struct Feed {
    bytes: Vec<u8>,
    at: usize,
}

impl Script {
    pub fn parse(bytes: &[u8]) -> Self {
        let mut feed = Feed::new(bytes.to_vec());
        let setup = Setup(feed.next(), feed.next());
        let mut records: [VecDeque<Vec<u8>>; CATEGORIES] = Default::default();
        while !feed.is_over() {
            let category = usize::from(feed.next()) % CATEGORIES;
            let length = feed.next();
            records[category].push_back(feed.take(length.into()));
        }
        Self { setup, records: Mutex::new(records) }
    }

    /// The next record for this.
    pub fn next(&self, category: Category) -> Option<Feed> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records[category as usize].pop_front().map(Feed::new)
    }
}

impl Setup {
    pub fn client_is_modern(self) -> bool {
        self.0 & 1 != 0
    }
    /// Whether the hostile peer has a modern side.
    pub fn peer_is_modern(self) -> bool {
        self.0 & 2 != 0
    }
    /// Whether the hostile peer speaks HTTP+SSE.
    pub fn is_sse(self) -> bool {
        self.0 & 0x1c == 0x1c
    }
    /// Whether an unknown method is refused with status 400.
    pub fn refuses_by_status(self) -> bool {
        self.0 & 0x20 != 0
    }
    pub fn is_eager(self) -> bool {
        self.0 & 0x40 != 0
    }
    /// Whether the peer gives out sessions.
    pub fn has_session(self) -> bool {
        self.0 & 0x80 == 0
    }
    /// Whether the client can be asked.
    pub fn is_capable(self) -> bool {
        self.1 & 1 != 0
    }
    /// Whether it answers with errors.
    pub fn declines(self) -> bool {
        self.1 & 2 != 0
    }
    pub fn reuse(self) -> vmcp_core::Reuse {
        match self.1 >> 2 & 3 {
            0 | 1 => vmcp_core::Reuse::Principal,
            2 => vmcp_core::Reuse::All,
            _ => vmcp_core::Reuse::Never,
        }
    }
}

impl Feed {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, at: 0 }
    }
    pub fn is_over(&self) -> bool {
        self.at >= self.bytes.len()
    }
    pub fn next(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        byte
    }
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest[..count.min(rest.len())].to_vec();
        self.at += count;
        taken
    }
    /// Takes some bytes whose number comes first.
    pub fn some(&mut self) -> Vec<u8> {
        let count = self.next();
        self.take(count.into())
    }
    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[usize::from(self.next()) % from.len()]
    }
}
