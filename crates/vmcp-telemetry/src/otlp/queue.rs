//! What waits to be sent, within bounds of number and of bytes.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    time::sleep,
};

use super::LogRecord;
use crate::spans::{Attribute, AttributeValue, Span};

/// Items that are sent at once, and bytes, but for the last item of a batch.
pub(super) const BATCH: usize = 512;
const BATCH_BYTES: usize = 4 << 20;

/// The most items for which there can be room.
const MAX_ITEMS: usize = 1 << 20;

/// Bytes that wait at most.
const MAX_BYTES: usize = 16 << 20;

/// What takes up so much memory.
pub(super) trait Weighed {
    fn weight(&self) -> usize;
}

pub(super) struct Queue<T> {
    sender: mpsc::Sender<(T, usize)>,
    receiver: Mutex<mpsc::Receiver<(T, usize)>>,
    bytes: AtomicUsize,
    /// A batch is full.
    full: Notify,
    batch: usize,
}

impl<T: Weighed> Queue<T> {
    pub(super) fn new(most: usize) -> Self {
        let most = most.clamp(1, MAX_ITEMS);
        let (sender, receiver) = mpsc::channel(most);
        Self {
            sender,
            receiver: Mutex::new(receiver),
            bytes: AtomicUsize::new(0),
            full: Notify::new(),
            batch: most.min(BATCH),
        }
    }

    /// Takes an item, and says whether there was room for it. It never waits.
    pub(super) fn push(&self, item: T) -> bool {
        let weight = item.weight();
        if self.bytes.fetch_add(weight, Ordering::Relaxed) + weight > MAX_BYTES
            || self.sender.try_send((item, weight)).is_err()
        {
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
            return false;
        }
        // Nobody is woken for less: that would cost more than the item.
        if self.has_batch() {
            self.full.notify_one();
        }
        true
    }

    /// Waits until a batch is full, or this long.
    pub(super) async fn wait(&self, longest: Duration) {
        tokio::select! {
            () = self.full.notified() => {}
            () = sleep(longest) => {}
        }
    }

    /// Takes a batch out.
    pub(super) fn pop(&self) -> Vec<T> {
        let mut receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        let mut items = Vec::new();
        let mut bytes = 0;
        while items.len() < BATCH
            && bytes < BATCH_BYTES
            && let Ok((item, weight)) = receiver.try_recv()
        {
            items.push(item);
            bytes += weight;
        }
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        items
    }

    /// Takes nothing any more, and says how much is thrown away.
    pub(super) fn close(&self) -> u64 {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).close();
        let mut thrown = 0;
        loop {
            match self.pop().len() {
                0 => return thrown,
                count => thrown += count as u64,
            }
        }
    }

    /// Whether a batch is full.
    pub(super) fn has_batch(&self) -> bool {
        self.len() >= self.batch
    }

    pub(super) fn len(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }
}

impl Weighed for Span {
    fn weight(&self) -> usize {
        let state = self.state.as_ref().map_or(0, |state| state.len());
        let error = self.error.as_ref().map_or(0, String::len);
        size_of::<Self>() + self.name.len() + state + error + weight_of(&self.attributes)
    }
}

impl Weighed for LogRecord {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.body.len() + weight_of(&self.attributes)
    }
}

fn weight_of(attributes: &[Attribute]) -> usize {
    let texts = attributes.iter().map(|(_, value)| match value {
        AttributeValue::Text(text) => text.len(),
        AttributeValue::Name(_) | AttributeValue::Int(_) => 0,
    });
    size_of_val(attributes) + texts.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Item(usize);

    impl Weighed for Item {
        fn weight(&self) -> usize {
            self.0
        }
    }

    #[test]
    fn both_bounds_hold_and_room_comes_back() {
        let queue = Queue::new(1000);
        let taken = (0..1500).filter(|_| queue.push(Item(1))).count();
        assert_eq!((taken, queue.len()), (1000, 1000));
        assert_eq!(queue.pop().len(), BATCH);
        assert!(queue.push(Item(MAX_BYTES / 2)));
        assert!(!queue.push(Item(MAX_BYTES / 2)));
        while !queue.pop().is_empty() {}
        assert!(queue.push(Item(MAX_BYTES)));
        assert!(!queue.push(Item(MAX_BYTES + 1)));
    }

    #[test]
    fn a_batch_of_large_items_is_a_small_one() {
        let queue = Queue::new(1000);
        assert!((0..8).all(|_| queue.push(Item(BATCH_BYTES / 2 + 1))) || queue.len() == 7);
        assert_eq!(queue.pop().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_batch_does_not_wait() {
        let queue = Queue::new(1000);
        let begun = tokio::time::Instant::now();
        assert!((0..BATCH).all(|_| queue.push(Item(1))));
        queue.wait(Duration::from_secs(5)).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        queue.wait(Duration::from_secs(5)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
    }

    #[test]
    fn what_comes_after_the_end_is_not_taken() {
        let queue = Queue::new(10);
        assert!(queue.push(Item(1)) && queue.push(Item(1)));
        assert_eq!(queue.close(), 2);
        assert!(!queue.push(Item(1)));
        assert_eq!(queue.len(), 0);
    }
}
