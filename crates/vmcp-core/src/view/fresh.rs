//! For how long the lists of a view may be taken for true, and who has asked for them since.
//!
//! Read with every list that is shown, so it costs no lock; written when a backend's lists have been
//! read.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{sync::Notify, time::Instant};
use vmcp_backend::{Advertised, Freshness};
use vmcp_model::Kind;

const KINDS: usize = Kind::ALL.len();

/// Until when each list may be taken for true, and whether by everybody, in the order of [`Kind::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms([Term; KINDS]);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Term {
    until: Instant,
    is_public: bool,
}

/// The terms of a view as a whole.
#[derive(Debug)]
pub(crate) struct Fresh {
    terms: ArcSwap<Terms>,
    origin: Instant,
    /// Milliseconds since the origin when a list was asked for last.
    asked: AtomicU64,
    /// How many wait until a list is asked for.
    waiting: AtomicUsize,
    wanted: Notify,
}

impl Terms {
    /// Of a backend that is not known to offer anything, or was never asked.
    pub(crate) fn unknown() -> Self {
        Self([Term { until: Instant::now(), is_public: false }; KINDS])
    }

    pub(crate) fn of(advertised: &Advertised) -> Self {
        Self(Kind::ALL.map(|kind| {
            let Freshness { ttl, is_public } = advertised.freshness(kind);
            Term { until: advertised.read + ttl, is_public }
        }))
    }

    /// When each list is over.
    pub(crate) fn ends(&self) -> impl Iterator<Item = Instant> {
        self.0.iter().map(|term| term.until)
    }

    fn and(&self, other: &Self) -> Self {
        let mut both = *self;
        for (term, other) in both.0.iter_mut().zip(other.0) {
            term.until = term.until.min(other.until);
            term.is_public &= other.is_public;
        }
        both
    }

    fn freshness(&self, kind: Kind) -> Freshness {
        let Term { until, is_public } = self.0[kind as usize];
        Freshness { ttl: until.saturating_duration_since(Instant::now()), is_public }
    }
}

impl Fresh {
    pub(super) fn new() -> Self {
        Self {
            terms: ArcSwap::from_pointee(Terms::unknown()),
            origin: Instant::now(),
            asked: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            wanted: Notify::new(),
        }
    }

    /// What is shown from now on is made of what has these terms.
    pub(super) fn set(&self, all: impl Iterator<Item = Terms>) {
        let merged = all.reduce(|one, other| one.and(&other));
        self.terms.store(std::sync::Arc::new(merged.unwrap_or_else(Terms::unknown)));
    }

    pub(super) fn of(&self, kind: Kind) -> Freshness {
        self.terms.load().freshness(kind)
    }

    /// Notes that somebody is shown a list.
    pub(super) fn ask(&self) {
        // In this order here and the other way round there, so that one of both sees the other.
        self.asked.store(self.milliseconds(Instant::now()), Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.wanted.notify_waiters();
        }
    }

    /// How long ago somebody was shown a list, if ever.
    pub(crate) fn since_asked(&self) -> Option<Duration> {
        let asked = self.asked.load(Ordering::SeqCst);
        let now = self.milliseconds(Instant::now());
        (asked > 0).then(|| Duration::from_millis(now.saturating_sub(asked)))
    }

    /// Whether somebody was shown a list not longer ago than this.
    pub(crate) fn was_asked_within(&self, limit: Duration) -> bool {
        self.since_asked().is_some_and(|since| since <= limit)
    }

    /// Waits until somebody is shown a list at that time or later.
    pub(crate) async fn asked_since(&self, time: Instant) {
        tokio::time::sleep_until(time).await;
        let since = self.milliseconds(time);
        let _waiting = Waiting::enter(&self.waiting);
        loop {
            let wanted = self.wanted.notified();
            tokio::pin!(wanted);
            wanted.as_mut().enable();
            let asked = self.asked.load(Ordering::SeqCst);
            if asked > 0 && asked >= since {
                return;
            }
            wanted.await;
        }
    }

    /// 0 is before everything.
    fn milliseconds(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.origin).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// One who waits until a list is asked for.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
