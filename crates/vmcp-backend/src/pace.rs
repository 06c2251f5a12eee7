//! How fast one backend may talk.

use std::time::Duration;

use tokio::time::Instant;

/// Messages that one stream may bring in a tenth of a second. What comes faster waits at the backend:
/// reading a flood would take the time of everybody else's calls.
const PACE: u32 = 200;

/// See [`PACE`].
const TICK: Duration = Duration::from_millis(100);

/// Holds one stream to its pace.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When the present tick began, and what it has brought.
    tick: Instant,
    in_tick: u32,
}

impl Pace {
    /// Notes one message.
    pub(crate) fn count(&mut self) {
        self.in_tick += 1;
    }

    /// Waits for the next tick if this one has brought as much as it may.
    pub(crate) async fn keep(&mut self) {
        if self.in_tick >= PACE {
            tokio::time::sleep_until(self.tick + TICK).await;
        }
        if self.tick.elapsed() >= TICK {
            self.tick = Instant::now();
            self.in_tick = 0;
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self { tick: Instant::now(), in_tick: 0 }
    }
}
