//! Where the replicas of a server say that they live, if they share such a place.

use std::{future::Future, pin::Pin, time::Duration};

/// A place that all replicas of a server share, as a Redis is: they say there that they live, and need not write
/// their lines anew to show it.
pub trait Register: Send + Sync {
    /// Says that a replica lives, for so long.
    fn enter(&self, replica: &str, holds: Duration) -> Answer<'_, ()>;

    /// Whether a replica lives, by what it said. `None` if the place cannot be asked now.
    fn has(&self, replica: &str) -> Answer<'_, Option<bool>>;
}

/// What a register answers, some time later.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
