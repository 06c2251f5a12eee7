//! What all streamed answers of this process may hold in memory.
//!
//! An event is counted from when it is made until the last piece of it has been let go, whoever holds it:
//! a stream's log, a queue, or a connection whose client does not read.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;

/// The bytes of events that this process may hold.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
}

/// An event that is counted.
struct Counted {
    event: Bytes,
    budget: Arc<Budget>,
}

impl Budget {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    /// Counts an event for as long as a piece of it is held. An event that is larger than all there may be
    /// is taken if nothing else is held.
    ///
    /// # Errors
    /// If there is no room for it; it is given back.
    pub fn count(self: &Arc<Self>, event: impl Into<Bytes>) -> Result<Bytes, Bytes> {
        let event = event.into();
        let length = event.len();
        let before = self.used.fetch_add(length, Ordering::Relaxed);
        if before > 0 && before + length > self.limit {
            self.used.fetch_sub(length, Ordering::Relaxed);
            return Err(event);
        }
        Ok(Bytes::from_owner(Counted { event, budget: Arc::clone(self) }))
    }

    /// The bytes that are held now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// The bytes that may be held.
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.event
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.event.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_counts_until_its_last_piece_is_gone() {
        let budget = Budget::new(10);
        let event = budget.count(b"12345678".to_vec()).unwrap();
        assert_eq!(budget.count(b"123".to_vec()), Err(Bytes::from_static(b"123")));
        let piece = event.slice(2..4);
        drop(event);
        assert_eq!(budget.used(), 8);
        drop(piece);
        assert_eq!(budget.used(), 0);
        let large = budget.count(vec![0; 20]).unwrap();
        assert!(budget.count(vec![0]).is_err());
        drop(large);
        assert!(budget.count(vec![0]).is_ok());
    }
}
