//! Waits to the microsecond.
//!
//! The runtime's timer has ticks of a millisecond, many times what a call takes, and to spin until
//! the time has come would take a core from what is measured. A timer of the kernel does neither.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::Instant,
};

const ZERO: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A timer of the kernel, for one task.
#[derive(Debug)]
pub(super) struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    pub(super) fn new() -> Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, flags).context("cannot make a timer")?;
        #[expect(
            deprecated,
            reason = "its successor is not safe, and what speaks against it does not hold for an \
                      OwnedFd, which is one descriptor as long as it lives"
        )]
        Ok(Self(AsyncFd::with_interest(timer, Interest::READABLE)?))
    }

    /// Waits until this time; tells whether there was anything to wait for.
    pub(super) async fn until(&self, time: Instant) -> Result<bool> {
        let left = time.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let it_value = Timespec::try_from(left).context("a time too far away")?;
        let once = Itimerspec { it_interval: ZERO, it_value };
        timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        loop {
            let mut ready = self.0.readable().await?;
            let mut expirations = [0; 8];
            let read = |timer: &AsyncFd<OwnedFd>| Ok(rustix::io::read(timer, &mut expirations)?);
            if let Ok(read) = ready.try_io(read) {
                read.context("cannot read a timer")?;
                // It runs once, so that there is nothing more to read until it is set again.
                ready.clear_ready();
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Instant, Timer};

    #[tokio::test]
    async fn what_is_past_is_not_waited_for() {
        let timer = Timer::new().unwrap();
        assert!(!timer.until(Instant::now()).await.unwrap());
    }

    #[tokio::test]
    async fn it_waits_again_and_again_and_never_too_short() {
        let timer = Timer::new().unwrap();
        for _ in 0..5 {
            let time = Instant::now() + Duration::from_micros(300);
            assert!(timer.until(time).await.unwrap());
            assert!(Instant::now() >= time);
        }
    }
}
