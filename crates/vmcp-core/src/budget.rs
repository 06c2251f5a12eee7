//! What all streamed answers of this process, or all requests, may hold in memory.
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

/// Room that is taken, until it is dropped.
#[derive(Debug)]
pub struct Reserved {
    budget: Arc<Budget>,
    bytes: usize,
}

/// An event that is counted.
struct Counted {
    event: Bytes,
    _room: Reserved,
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
        let (event, mut room) = (event.into(), self.reserve());
        if room.grow(event.len()) { Ok(room.hold(event)) } else { Err(event) }
    }

    /// Room for something that grows, none to begin with.
    pub fn reserve(self: &Arc<Self>) -> Reserved {
        Reserved { budget: Arc::clone(self), bytes: 0 }
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

impl Reserved {
    /// Takes room for so many bytes more. `false` if there is none, unless nothing else is held.
    pub fn grow(&mut self, by: usize) -> bool {
        let before = self.budget.used.fetch_add(by, Ordering::Relaxed);
        if before > self.bytes && before + by > self.budget.limit {
            self.budget.used.fetch_sub(by, Ordering::Relaxed);
            return false;
        }
        self.bytes += by;
        true
    }

    /// Keeps the room for as long as a piece of this is held, which is what it was taken for.
    pub fn hold(self, whole: impl Into<Bytes>) -> Bytes {
        Bytes::from_owner(Counted { event: whole.into(), _room: self })
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.event
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
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

    #[test]
    fn what_grows_takes_room_as_it_does() {
        let budget = Budget::new(10);
        let (mut one, mut other) = (budget.reserve(), budget.reserve());
        assert!(one.grow(6) && other.grow(4) && !one.grow(1));
        drop(other);
        assert!(one.grow(40), "nothing else is held");
        let whole = one.hold(vec![0; 46]);
        assert_eq!(budget.used(), 46);
        drop(whole);
        assert_eq!(budget.used(), 0);
    }
}
