//! Counts what is under way at one backend.

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
    limit: usize,
}

/// One unit of what is under way; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<AtomicUsize>);

impl Gauge {
    /// `what` says in an error what there is too much of.
    pub(crate) fn new(what: &'static str, limit: usize) -> Self {
        Self { count: Arc::default(), what, limit }
    }

    pub(crate) fn enter(&self) -> Result<Permit, Error> {
        let permit = Permit(Arc::clone(&self.count));
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.limit {
            return Err(Error::Busy { what: self.what, limit: self.limit });
        }
        Ok(permit)
    }

    /// Enters whatever the bound says.
    pub(crate) fn enter_over(&self) -> Permit {
        self.count.fetch_add(1, Ordering::Relaxed);
        Permit(Arc::clone(&self.count))
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
