//! Work that is done once, however many wait for what comes of it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use vmcp_model::Digest;

use crate::authenticator::Spawn;

/// Pieces of work that are under way at once.
const MOST: usize = 4096;

/// Work under way, by what it is about.
pub(crate) struct Flights<V> {
    under_way: Mutex<Table<V>>,
}

type Table<V> = HashMap<Digest, watch::Receiver<Option<V>>>;

/// The end of a piece of work.
pub(crate) struct Ending<V>(watch::Receiver<Option<V>>);

/// Takes a piece of work off the table when it has ended, in whatever way.
struct UnderWay<V> {
    flights: Arc<Flights<V>>,
    about: Digest,
}

impl<V: Clone + Send + Sync + 'static> Flights<V> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { under_way: Mutex::default() })
    }

    /// Begins the work about this, unless it is under way. `None` if there is no room for it.
    pub(crate) fn join<W>(
        self: &Arc<Self>,
        about: Digest,
        spawn: &Spawn,
        work: impl FnOnce() -> W,
    ) -> Option<Ending<V>>
    where
        W: Future<Output = V> + Send + 'static,
    {
        let mut under_way = self.lock();
        if let Some(ending) = under_way.get(&about) {
            return Some(Ending(ending.clone()));
        }
        if under_way.len() >= MOST {
            return None;
        }
        let (end, ending) = watch::channel(None);
        under_way.insert(about, ending.clone());
        drop(under_way);
        let (entry, work) = (UnderWay { flights: Arc::clone(self), about }, work());
        spawn(Box::pin(async move {
            let outcome = work.await;
            // Whoever comes from now on finds what came of it elsewhere.
            drop(entry);
            end.send_replace(Some(outcome));
        }));
        Some(Ending(ending))
    }

    fn lock(&self) -> MutexGuard<'_, Table<V>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V: Clone> Ending<V> {
    /// What came of it; `None` if it broke off.
    pub(crate) async fn outcome(mut self) -> Option<V> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

impl<V> Drop for UnderWay<V> {
    fn drop(&mut self) {
        let mut table = self.flights.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        table.remove(&self.about);
    }
}
