//! The process group of a child, which ends as a whole.

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process_group},
};
use tokio::process::Child;

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

    /// Ends whatever is left of it.
    pub(super) fn kill(self) {
        drop(self);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
