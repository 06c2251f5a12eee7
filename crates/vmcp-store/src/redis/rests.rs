//! Parts of a cluster that are out of reach, and are left alone for a while: the others serve.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// How long a part is left alone.
const REST: Duration = Duration::from_millis(500);

/// A run of slots. A node has whole runs, as a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Part(u16);

/// Which parts are left alone.
#[derive(Debug, Default)]
pub(super) struct Rests {
    any: AtomicBool,
    of: Mutex<BTreeMap<Part, Rest>>,
}

#[derive(Debug)]
struct Rest {
    until: Instant,
    why: String,
}

impl Part {
    /// The part that a key is in
    /// (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>).
    pub(super) fn of(key: &[u8]) -> Self {
        Self((crc16::State::<crc16::XMODEM>::calculate(key) % 16384) >> 8)
    }
}

impl Rests {
    /// Whether a part may be tried. Whoever may holds others off until `deadline`.
    pub(super) fn check(&self, part: Part, deadline: Instant) -> Result<(), String> {
        if !self.any.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut rests = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(rest) = rests.get_mut(&part) else { return Ok(()) };
        if Instant::now() < rest.until {
            return Err(rest.why.clone());
        }
        rest.until = deadline;
        Ok(())
    }

    /// Leaves a part alone from now on.
    pub(super) fn begin(&self, part: Part, why: String) {
        let mut rests = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        rests.insert(part, Rest { until: Instant::now() + REST, why });
        self.any.store(true, Ordering::Relaxed);
    }

    /// Notes that a part can be reached. `true` if it could not be before, and now all can.
    pub(super) fn end(&self, part: Part) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let mut rests = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let last = rests.remove(&part).is_some() && rests.is_empty();
        if last {
            self.any.store(false, Ordering::Relaxed);
        }
        last
    }
}
