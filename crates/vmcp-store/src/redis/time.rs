//! The time that all replicas go by.
//!
//! The system's time of one replica, or of Redis, may be wrong, and may jump: a deadline that is judged by
//! it would end the sessions of everybody. So replicas agree on one time. Whoever is first takes that of
//! Redis; from then on each counts by its own monotonic clock, which nothing sets, and keeps writing in
//! Redis what it counts. Whoever comes later takes it up from there. Where two differ all the same, the one
//! that is behind is right: a session lives a little longer by it.

use std::{
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use redis::Value;
use tokio::time::Instant;

use super::dial::Connection;
use crate::{
    clock::{Clock, system},
    record::Timestamp,
};

/// How often a replica writes what it counts.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// For how long what is written is taken up as it stands, in milliseconds. When it is older, either no
/// replica is there, or the time of Redis has jumped.
const FRESH: u64 = 2000;

/// How long is waited then for a replica that writes.
pub(super) const WAIT: Duration = Duration::from_millis(1200);

/// By how much others may be behind before they are followed, in milliseconds.
const APART: u64 = 1000;

/// From which difference on it is told that the system's time is not the one that counts, in milliseconds.
const TOLD: u64 = 30_000;

/// How long after the time has been set nobody's session is ended for being old.
const SETTLING: Duration = Duration::from_secs(5);

/// Writes what a replica counts, if it counts already, and gives the time of Redis with what was written
/// before: what somebody counted, and when by Redis. Arguments: what the replica counts or nothing, and the
/// time of Redis when it did this last or nothing. One that was away, and is behind others that were not,
/// was stopped with its machine: it writes nothing.
const TELL: &str = "local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local counted = redis.call('HGET', KEYS[1], 'counted') or ''
    local at = redis.call('HGET', KEYS[1], 'at') or ''
    local told = string.format('%.0f', now)
    local mine, last = tonumber(ARGV[1]), tonumber(ARGV[2])
    local theirs = tonumber(counted)
    if mine and last and theirs and now - last > 2000 then
        local age = now - tonumber(at)
        if age >= 0 and age <= 2000 and theirs + age > mine + 1000 then return {told, counted, at, 0} end
    end
    if mine then redis.call('HSET', KEYS[1], 'counted', ARGV[1], 'at', told) end
    return {told, counted, at, 1}";

/// The agreed time.
pub(super) struct AgreedTime {
    key: String,
    clock: Clock,
    is_agreed: AtomicBool,
    /// What Redis' time is ahead by, in milliseconds.
    ahead: AtomicI64,
    /// Redis' time when it was told last what is counted here.
    told: AtomicU64,
    set: std::sync::Mutex<Option<Instant>>,
    warned: AtomicBool,
    /// This user of Redis may not ask for the time.
    is_refused: AtomicBool,
}

/// What is written in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Written {
    counted: u64,
    /// By the time of Redis.
    at: u64,
}

/// What Redis says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Told {
    now: u64,
    written: Option<Written>,
    /// Nothing was written: this replica was stopped for a while.
    was_away: bool,
}

impl Told {
    /// What others count now, if they have written it a moment ago.
    fn fresh(self) -> Option<u64> {
        let written = self.written?;
        let age = self.now.checked_sub(written.at).filter(|age| *age <= FRESH)?;
        Some(written.counted + age)
    }

    /// What is counted now if nobody has counted since.
    fn continued(self) -> u64 {
        self.written
            .map_or(self.now, |written| written.counted + self.now.saturating_sub(written.at))
    }
}

impl AgreedTime {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            key: format!("{prefix}time"),
            clock: Clock::of_system(),
            is_agreed: AtomicBool::new(false),
            ahead: AtomicI64::new(0),
            told: AtomicU64::new(0),
            set: std::sync::Mutex::new(None),
            warned: AtomicBool::new(false),
            is_refused: AtomicBool::new(false),
        }
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A time as Redis' own clock has it, for what Redis itself lets go.
    pub(super) fn in_redis(&self, time: Timestamp) -> Timestamp {
        Timestamp(time.0.saturating_add_signed(self.ahead.load(Ordering::Relaxed)))
    }

    /// Whether the time was set a moment ago. What seems to be over then may not be.
    pub(super) fn is_settling(&self) -> bool {
        let set = self.set.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        set.is_some_and(|set| set.elapsed() < SETTLING)
    }

    /// Takes up the time that others count, or begins to count. To be called before anything is judged.
    pub(super) async fn agree(&self, connection: &mut Connection) -> Result<(), String> {
        if self.is_agreed.load(Ordering::Relaxed) {
            return self.tell(connection).await;
        }
        let Some(first) = self.ask(connection, None).await? else { return Ok(()) };
        let mut last = first;
        let until = Instant::now() + WAIT;
        let others = loop {
            if let Some(counted) = last.fresh() {
                break Some(counted);
            }
            if last.written.is_none() && first.written.is_none() || Instant::now() >= until {
                break None;
            }
            tokio::time::sleep(PAUSE / 4).await;
            let Some(told) = self.ask(connection, None).await? else { return Ok(()) };
            // Whatever Redis takes for the time: somebody has just written.
            if told.written != last.written
                && let Some(written) = told.written
            {
                break Some(written.counted);
            }
            last = told;
        };
        self.set(others.unwrap_or_else(|| last.continued()));
        if others.is_none() {
            // Nobody's sessions were in use until now: those that are over may go.
            *self.set.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        }
        self.is_agreed.store(true, Ordering::Relaxed);
        self.tell(connection).await
    }

    /// Writes what is counted here, and follows others who are behind.
    pub(super) async fn tell(&self, connection: &mut Connection) -> Result<(), String> {
        let mine = self.clock.now().0;
        let Some(told) = self.ask(connection, Some(mine)).await? else { return Ok(()) };
        self.told.store(told.now, Ordering::Relaxed);
        if let Some(theirs) = told.fresh()
            && (told.was_away || mine.saturating_sub(theirs) > APART)
        {
            tracing::warn!(
                milliseconds = mine.abs_diff(theirs),
                "follows the time that other replicas count"
            );
            self.set(theirs);
        }
        let difference = system().0.abs_diff(self.clock.now().0);
        if difference > TOLD && !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                seconds = difference / 1000,
                "the system's time is not that of the other replicas; sessions go by theirs, but tokens are judged by the system's: set this machine's clock right"
            );
        }
        Ok(())
    }

    fn set(&self, now: u64) {
        self.clock.set(Timestamp(now));
        *self.set.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
    }

    /// `None` if this user of Redis may not ask; then the system's time counts.
    async fn ask(
        &self,
        connection: &mut Connection,
        mine: Option<u64>,
    ) -> Result<Option<Told>, String> {
        if self.is_refused.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut command = redis::cmd("EVAL");
        let mine = mine.map(|mine| mine.to_string()).unwrap_or_default();
        let last = Some(self.told.load(Ordering::Relaxed)).filter(|last| *last > 0);
        let last = last.map(|last| last.to_string()).unwrap_or_default();
        command.arg(TELL).arg(1).arg(&self.key).arg(mine).arg(last);
        let told = match connection.send(&command).await {
            Ok(told) => told,
            Err(error) if may_not(&error) => {
                self.is_refused.store(true, Ordering::Relaxed);
                tracing::warn!(%error, "the store's user may not ask for its time: every replica goes by its own system's, and one whose time is wrong ends the sessions of others; allow the command TIME");
                return Ok(None);
            }
            Err(error) => return Err(error.to_string()),
        };
        let told = read(told).ok_or("its time cannot be read")?;
        let ahead = i128::from(told.now) - i128::from(self.clock.now().0);
        if self.is_agreed.load(Ordering::Relaxed) {
            self.ahead.store(i64::try_from(ahead).unwrap_or_default(), Ordering::Relaxed);
        }
        Ok(Some(told))
    }
}

/// Whether a user lacks a right: to run scripts, or a command within one.
fn may_not(error: &redis::RedisError) -> bool {
    let why = error.to_string();
    ["NOPERM", "can't run this command", "ACL failure"].iter().any(|said| why.contains(said))
}

fn read(told: Value) -> Option<Told> {
    let [now, counted, at, wrote]: [String; 4] =
        redis::from_redis_value::<Vec<String>>(told).ok()?.try_into().ok()?;
    let written = counted.parse().ok().zip(at.parse().ok());
    let written = written.map(|(counted, at)| Written { counted, at });
    Some(Told { now: now.parse().ok()?, written, was_away: wrote == "0" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_or_of_the_future_is_not_taken_up_as_it_stands() {
        let told = |now, counted, at| {
            let written = Some(Written { counted, at });
            Told { now, written, was_away: false }
        };
        for (told, fresh, continued) in [
            (told(5000, 100, 4500), Some(600), 600),
            (told(9000, 100, 4500), None, 4600),
            (told(4000, 100, 4500), None, 100),
            (Told { now: 7, written: None, was_away: false }, None, 7),
        ] {
            assert_eq!((told.fresh(), told.continued()), (fresh, continued), "{told:?}");
        }
    }
}
