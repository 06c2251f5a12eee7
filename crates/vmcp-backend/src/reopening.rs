//! How long to wait before a stream that is listened to is opened again.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait behind a failure, and behind a stream that the backend has ended without a word:
/// that one works, and has nothing to say.
const FAILED: Duration = Duration::from_secs(30);
const QUIET: Duration = Duration::from_secs(300);

/// How long a stream must have been open to count as one that works.
const LASTED: Duration = Duration::from_secs(30);

/// The waits between the streams of one listener: longer each time, until one has brought something.
#[derive(Debug, Default)]
pub struct Reopening {
    times: u32,
}

impl Reopening {
    /// The wait behind a stream that has ended after this time; `has_brought` says that something came.
    pub fn ended(&mut self, lasted: Duration, has_brought: bool) -> Duration {
        self.wait(lasted, has_brought, FIRST, QUIET)
    }

    /// The same where the backend says how long to wait at least.
    pub(crate) fn ended_with(&mut self, retry: Duration, has_brought: bool) -> Duration {
        self.wait(Duration::ZERO, has_brought, retry.max(FIRST), QUIET)
    }

    /// The wait behind a stream that has failed, or could not be opened.
    pub fn failed(&mut self, lasted: Duration, has_brought: bool) -> Duration {
        self.wait(lasted, has_brought, FIRST, FAILED)
    }

    fn wait(
        &mut self,
        lasted: Duration,
        has_brought: bool,
        first: Duration,
        longest: Duration,
    ) -> Duration {
        if has_brought || lasted > LASTED {
            self.times = 0;
        }
        let wait = first.saturating_mul(1 << self.times.min(16)).min(longest.max(first));
        self.times += 1;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_stream_is_opened_ever_less_often_until_it_brings_something() {
        let (mut reopening, now) = (Reopening::default(), Duration::ZERO);
        let waits: Vec<_> = (0..10).map(|_| reopening.ended(now, false).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(reopening.ended(now, true), FIRST);
        assert_eq!(reopening.ended(now, false), 2 * FIRST);
        assert_eq!(reopening.ended(Duration::from_secs(60), false), FIRST);
        let waits: Vec<_> = (0..6).map(|_| reopening.failed(now, false).as_secs()).collect();
        assert_eq!(waits, [2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn what_the_backend_says_is_the_least() {
        for (retry, expected) in [(0, [1000, 2000]), (500, [1000, 2000]), (7000, [7000, 14000])] {
            let mut reopening = Reopening::default();
            let retry = Duration::from_millis(retry);
            let waits = [(); 2].map(|()| reopening.ended_with(retry, false).as_millis());
            assert_eq!(waits, expected);
        }
    }
}
