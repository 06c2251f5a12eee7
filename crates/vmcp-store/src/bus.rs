//! What replicas tell each other, and how far that can be relied upon.
//!
//! The bus may lose messages; whoever listens must notice that something may have been lost.
//! [`Confidence`] says so: what was known at one generation holds until the generation changes, or
//! nothing is known for certain.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::{sync::broadcast, time::Instant};
use vmcp_model::Digest;

use crate::record::SessionKey;

/// Messages that wait for whoever listens. Who falls behind further has missed something.
const BACKLOG: usize = 4096;

/// Something that happened to a session on one replica and matters to the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It has ended.
    Ended(SessionKey),
    /// Its record has changed.
    Changed(SessionKey),
    /// Its client cancels a request that is not under way where the notification came in. The text
    /// is the whole notification.
    Cancelled { key: SessionKey, text: Bytes },
    /// Its client has answered a question.
    Answered { key: SessionKey, question: Digest },
}

/// How far what a replica knows of records can be relied upon.
#[derive(Debug)]
pub struct Confidence {
    origin: Instant,
    generation: AtomicU64,
    /// Milliseconds since the origin.
    until: AtomicU64,
}

impl Confidence {
    /// For a store that only this process changes.
    pub(crate) fn complete() -> Self {
        Self::lasting(u64::MAX)
    }

    /// For a store of which nothing is known yet.
    pub(crate) fn none() -> Self {
        Self::lasting(0)
    }

    fn lasting(until: u64) -> Self {
        Self { origin: Instant::now(), generation: AtomicU64::new(0), until: AtomicU64::new(until) }
    }

    /// The present generation: what was known when it was the same holds now. `None`: nothing is
    /// certain, and the store must be asked.
    pub fn generation(&self) -> Option<u64> {
        let until = self.until.load(Ordering::Acquire);
        let certain = until == u64::MAX || self.now() < until;
        certain.then(|| self.generation.load(Ordering::Acquire))
    }

    /// A number to note before the store is asked: what it says is known at this generation.
    pub fn mark(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Notes that something may have been missed.
    pub(crate) fn doubt(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Notes that nothing has been missed up to a time and that this is good until another.
    pub(crate) fn extend(&self, until: Instant) {
        let until = until.saturating_duration_since(self.origin).as_millis();
        let until = u64::try_from(until).unwrap_or(u64::MAX - 1);
        self.until.fetch_max(until, Ordering::AcqRel);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// What other replicas tell.
#[derive(Debug)]
pub struct Subscription {
    receiver: broadcast::Receiver<News>,
    confidence: std::sync::Arc<Confidence>,
}

impl Subscription {
    /// The next piece of news; `None` when the store is gone.
    pub async fn next(&mut self) -> Option<News> {
        loop {
            match self.receiver.recv().await {
                Ok(news) => return Some(news),
                Err(broadcast::error::RecvError::Lagged(_)) => self.confidence.doubt(),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// Hands news to all who listen in this process.
#[derive(Debug)]
pub(crate) struct Local {
    sender: broadcast::Sender<News>,
    confidence: std::sync::Arc<Confidence>,
}

impl Local {
    pub(crate) fn new(confidence: Confidence) -> Self {
        Self {
            sender: broadcast::Sender::new(BACKLOG),
            confidence: std::sync::Arc::new(confidence),
        }
    }

    pub(crate) fn tell(&self, news: News) {
        // Nobody may listen.
        let _listeners = self.sender.send(news);
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        let confidence = std::sync::Arc::clone(&self.confidence);
        Subscription { receiver: self.sender.subscribe(), confidence }
    }

    pub(crate) fn confidence(&self) -> &std::sync::Arc<Confidence> {
        &self.confidence
    }
}
