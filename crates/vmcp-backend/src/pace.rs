//! How fast one backend may talk on one stream.

use std::time::Duration;

use tokio::time::Instant;

/// Messages that one stream may bring in a tenth of a second, and bytes: 50 MiB a second. What comes
/// faster waits at the backend: reading a flood would take the time of everybody else's calls.
const PACE: u32 = 200;
const BYTES: usize = 5 << 20;

/// See [`PACE`].
const TICK: Duration = Duration::from_millis(100);

/// Bytes that are read before others get their turn.
const TURN: usize = 256 << 10;

/// What a piece and a line count at least: small ones cost no less.
const PIECE: usize = 64;

/// Holds one stream to its pace.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When the present tick began, and what has come since.
    tick: Instant,
    messages: u32,
    bytes: usize,
    /// Bytes since others had their turn.
    turn: usize,
    /// When more may be read, if not at once.
    until: Option<Instant>,
}

impl Pace {
    /// Notes one message.
    pub(crate) fn count(&mut self) {
        self.messages += 1;
    }

    /// Notes that a piece of so many bytes and lines was read.
    pub(crate) fn read(&mut self, bytes: usize, lines: usize) {
        let bytes = bytes.max(PIECE * lines.max(1));
        self.bytes += bytes;
        self.turn += bytes;
    }

    /// Has the stream rest, if there is a time until which it should.
    pub(crate) fn rest(&mut self, until: Option<Instant>) {
        self.until = until.or(self.until);
    }

    /// Waits until more may be read.
    pub(crate) async fn keep(&mut self) {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
            self.until = None;
        }
        if self.messages >= PACE || self.bytes >= BYTES {
            tokio::time::sleep_until(self.tick + TICK).await;
            (self.messages, self.bytes) = (0, 0);
            self.tick = Instant::now();
        }
        if self.turn >= TURN {
            self.turn = 0;
            tokio::task::yield_now().await;
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self { tick: Instant::now(), messages: 0, bytes: 0, turn: 0, until: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long so many turns take, of which each does this.
    async fn took(turns: u32, each: impl Fn(&mut Pace)) -> Duration {
        let (mut pace, began) = (Pace::default(), Instant::now());
        for _turn in 0..turns {
            each(&mut pace);
            pace.keep().await;
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn messages_and_bytes_are_held_to_their_pace() {
        assert_eq!(took(2000, Pace::count).await, Duration::from_secs(1));
        let piece = |bytes| move |pace: &mut Pace| pace.read(bytes, 0);
        assert_eq!(took(1600, piece(64 << 10)).await, Duration::from_secs(2));
        // Pieces and lines of a byte cost more than a byte.
        assert_eq!(took(1_638_400, piece(1)).await, Duration::from_secs(2));
        let lines = |pace: &mut Pace| pace.read(1024, 1024);
        assert_eq!(took(1600, lines).await, Duration::from_secs(2));
        assert_eq!(took(40, piece(64 << 10)).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_stream_is_never_held() {
        let (mut pace, mut waited) = (Pace::default(), Duration::ZERO);
        for _second in 0..1000 {
            pace.count();
            pace.read(1 << 20, 10);
            let began = Instant::now();
            pace.keep().await;
            waited += began.elapsed();
            tokio::time::advance(Duration::from_millis(50)).await;
        }
        assert_eq!(waited, Duration::ZERO);
    }
}
