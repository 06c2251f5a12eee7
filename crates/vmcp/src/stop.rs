//! The signals by which the process is told to stop.

use std::{fs, time::Duration};

use anyhow::bail;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::sleep,
};

/// Signals that come so soon after another are the same: some programs that start others pass on what the
/// terminal has sent to both.
const SAME: Duration = Duration::from_millis(250);

/// What SIGHUP means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// The terminal is gone: whatever was started ends with it.
    Stops,
    /// There is a file to be read again, by somebody else.
    Reloads,
}

/// Hears the signals that stop the process. From its making on, none of them ends it by itself.
#[derive(Debug)]
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hangup: Option<Signal>,
}

impl Stop {
    /// Begins to listen.
    pub(crate) fn listen(hangup: Hangup) -> anyhow::Result<Self> {
        let stops = hangup == Hangup::Stops && !ignores_hangup();
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hangup: stops.then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// Completes when the process is told to stop.
    pub(crate) async fn told(&mut self) {
        let hung_up = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.quit.recv() => {}
            _ = hung_up => {}
        }
    }

    /// Completes when the process, which has just been told to stop, is told so once more.
    pub(crate) async fn told_again(&mut self) {
        let settled = sleep(SAME);
        tokio::pin!(settled);
        loop {
            tokio::select! {
                biased;
                () = self.told() => if settled.is_elapsed() { return },
                () = &mut settled, if !settled.is_elapsed() => {}
            }
        }
    }

    /// Does work that people may lose patience with.
    pub(crate) async fn unless<T>(
        &mut self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        tokio::select! {
            done = work => done,
            () = self.told() => bail!("interrupted"),
        }
    }
}

/// Whether whoever started this process wants it to survive its terminal, as nohup does. Known on
/// Linux only.
fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is the first signal.
    ignored.is_some_and(|mask| mask & 1 == 1)
}
