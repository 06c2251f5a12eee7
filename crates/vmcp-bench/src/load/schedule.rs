//! When calls are due that are sent at a fixed rate; pure.

use std::time::Duration;

use tokio::time::Instant;

/// When one connection's calls are due. The calls of all connections together are evenly spaced, and
/// each connection has every so-manieth of them.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    began: Instant,
    /// Calls a second on all connections.
    rate: f64,
    connections: usize,
    /// The next call's place among those of all connections.
    next: usize,
}

impl Schedule {
    /// Of connection `number` of so many.
    pub(super) fn new(began: Instant, rate: f64, number: usize, connections: usize) -> Self {
        Self { began, rate, connections, next: number }
    }
}

impl Iterator for Schedule {
    type Item = Instant;

    /// Counted from the beginning each time, so that errors do not add up.
    fn next(&mut self) -> Option<Instant> {
        #[expect(clippy::cast_precision_loss, reason = "calls of some seconds fit")]
        let seconds = self.next as f64 / self.rate;
        self.next += self.connections;
        self.began.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
    }
}

#[cfg(test)]
mod tests;
