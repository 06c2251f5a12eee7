//! Counts what is under way at one backend, and what is open to it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::error::Error;

/// Counts what is under way, up to a bound.
#[derive(Debug)]
pub(crate) struct Gauge {
    count: Arc<AtomicUsize>,
    what: &'static str,
    /// The configuration key of the bound.
    key: &'static str,
    limit: usize,
}

/// How much vmcp has under way at a backend on its own account.
const ERRANDS: usize = 1024;

/// Counts what is open, without a bound.
#[derive(Debug, Default)]
pub(crate) struct Open(Arc<AtomicUsize>);

/// One unit of what is counted; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<AtomicUsize>);

impl Gauge {
    /// `what` says in an error what there is too much of, and `key` where that is configured.
    pub(crate) fn new(what: &'static str, key: &'static str, limit: usize) -> Self {
        Self { count: Arc::default(), what, key, limit }
    }

    /// Of what clients ask.
    pub(crate) fn calls(limit: usize) -> Self {
        Self::new("requests under way", "limits.callsPerBackend", limit)
    }

    /// Of what vmcp asks and tells on its own account.
    pub(crate) fn errands() -> Self {
        Self::new("errands under way", "a bound of vmcp's own", ERRANDS)
    }

    pub(crate) fn enter(&self) -> Result<Permit, Error> {
        let permit = Permit(Arc::clone(&self.count));
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.limit {
            return Err(Error::Busy { what: self.what, key: self.key, limit: self.limit });
        }
        Ok(permit)
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Open {
    pub(crate) fn enter(&self) -> Permit {
        self.0.fetch_add(1, Ordering::Relaxed);
        Permit(Arc::clone(&self.0))
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
