//! The end of everything that was put together: in its time, or in a hurry.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use vmcp_core::{Background, Vmcp};

use super::Running;

/// How long background work has to end.
const FAREWELL: Duration = Duration::from_secs(3);

/// How long it has in a hurry, and calls that are cut off have to say so before programs are ended.
const HURRIED: Duration = Duration::from_millis(300);

/// How long calls are still taken after readiness has ended, so that those are not lost which are
/// sent before everybody knows.
const LAME_DUCK: Duration = Duration::from_millis(500);

impl Running {
    /// How many calls are under way.
    pub(crate) fn calls(&self) -> usize {
        self.sessions.usage().calls
    }

    /// Ends everything: no new work, what is in flight has its time or until `hurry` is there, the rest is
    /// cut off. Gives how many calls that were.
    pub(crate) async fn stop(self, hurry: impl Future<Output = ()>) -> anyhow::Result<usize> {
        self.stop_after(LAME_DUCK, hurry).await
    }

    /// The same for a server whose only client is done.
    pub(crate) async fn stop_at_once(
        self,
        hurry: impl Future<Output = ()>,
    ) -> anyhow::Result<usize> {
        self.stop_after(Duration::ZERO, hurry).await
    }

    async fn stop_after(
        self,
        lame_duck: Duration,
        hurry: impl Future<Output = ()>,
    ) -> anyhow::Result<usize> {
        let vmcp = Arc::clone(self.vmcp());
        let Self { edge, sessions, serving, background, view, shared, observers, .. } = self;
        let stopped = async |hurried: CancellationToken| {
            tracing::info!(calls = sessions.usage().calls, "shutting down");
            edge.begin_drain();
            // Probes and clients that come meanwhile are told; what a client has sent is not lost.
            let _sooner = hurried.run_until_cancelled(sleep(lame_duck)).await;
            // A proxy keeps connections for requests to come, and would send them in vain.
            serving.retire();
            if shared.is_some() {
                // It tries another replica where it cannot connect, and none where it is refused.
                serving.stop_accepting();
            }
            // A call under way may need its client's answer, which comes on a connection of its own, if need
            // be to another replica.
            let cut_off = sessions.drain(&hurried).await;
            serving.stop_accepting();
            tokio::task::spawn_blocking(|| serving.close()).await.context("the workers")?;
            drop(view);
            end_all(&background, &vmcp, &hurried).await;
            // What was done last is told, too.
            observers.end().await?;
            Ok(cut_off)
        };
        unless_hurried(&vmcp, hurry, stopped).await
    }
}

/// Ends a core that nobody is served by.
pub(crate) async fn end(background: &Background, vmcp: &Vmcp, hurry: impl Future<Output = ()>) {
    let ended = async |hurried| end_all(background, vmcp, &hurried).await;
    unless_hurried(vmcp, hurry, ended).await;
}

/// Ends something, and lets it know once there is a hurry.
async fn unless_hurried<T>(
    vmcp: &Vmcp,
    hurry: impl Future<Output = ()>,
    end: impl AsyncFnOnce(CancellationToken) -> T,
) -> T {
    let hurried = CancellationToken::new();
    let hurry = async {
        hurry.await;
        hurried.cancel();
        sleep(HURRIED).await;
        vmcp.hurry();
        std::future::pending().await
    };
    tokio::select! {
        ended = end(hurried.clone()) => ended,
        never = hurry => never,
    }
}

/// Ends background work and waits for it, bounded; then what it has left.
async fn end_all(background: &Background, vmcp: &Vmcp, hurried: &CancellationToken) {
    background.stop().cancel();
    background.tasks().close();
    let sooner = async {
        hurried.cancelled().await;
        sleep(HURRIED).await;
    };
    tokio::select! {
        () = background.tasks().wait() => {}
        () = sleep(FAREWELL) => {
            tracing::warn!(tasks = background.tasks().len(), "background work did not end in time");
        }
        () = sooner => {}
    }
    vmcp.shutdown().await;
}
