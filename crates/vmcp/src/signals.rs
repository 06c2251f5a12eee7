//! The signals by which a server is told something without being stopped.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{compose::Running, logging::Threshold};

/// Hears them. From its making on, none of them ends the process.
pub(crate) struct Signals {
    /// Everything is to be logged, or no more.
    debug: Signal,
    /// The audit log was renamed.
    reopen: Signal,
}

impl Signals {
    /// Begins to listen to SIGUSR1 and SIGUSR2.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            debug: signal(SignalKind::user_defined1()).context("SIGUSR1 cannot be received")?,
            reopen: signal(SignalKind::user_defined2()).context("SIGUSR2 cannot be received")?,
        })
    }

    /// Does what they say, for ever.
    pub(crate) async fn heed(&mut self, running: &Running, threshold: &Threshold) {
        loop {
            tokio::select! {
                Some(()) = self.debug.recv() => match threshold.toggle_debug() {
                    true => tracing::info!("everything is logged from now on, until SIGUSR1 comes again"),
                    false => tracing::info!("no more is logged than before SIGUSR1 came first"),
                },
                Some(()) = self.reopen.recv() => running.reopen_audit_log(),
                else => std::future::pending().await,
            }
        }
    }
}
