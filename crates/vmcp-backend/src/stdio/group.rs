//! The process group of a child, which ends as a whole.

use std::time::Duration;

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, getpid, kill_process_group, waitpgid},
};
use tokio::process::Child;

/// How often, and how long apart, the processes of a killed group are waited for.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// The group that a child leads. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Group(Pid);

impl Group {
    /// The group of a child that was started as the leader of one.
    pub(super) fn of(child: &Child) -> Option<Self> {
        let id = child.id().and_then(|id| i32::try_from(id).ok())?;
        Pid::from_raw(id).map(Self)
    }

    /// Sends a signal to whatever is left of the group.
    pub(super) fn signal(&self, signal: Signal) {
        match kill_process_group(self.0, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => tracing::warn!(%error, ?signal, "could not signal a process group"),
        }
    }

    /// Ends whatever is left of it. Where vmcp is the first process, as in a container, what has lost
    /// its parent is vmcp's to wait for.
    pub(super) async fn kill(self) {
        let group = self.0;
        drop(self);
        if !getpid().is_init() {
            return;
        }
        for _ in 0..ATTEMPTS {
            match waitpgid(group, WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => tokio::time::sleep(PAUSE).await,
                Err(_none_left) => return,
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
