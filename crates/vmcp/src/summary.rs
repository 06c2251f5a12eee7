//! Says in the log now and then how the backends fare.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use vmcp_core::{Background, Vmcp};

/// Says it as often as configuration wants.
#[derive(Debug)]
pub(crate) struct Reporter {
    interval: watch::Sender<Duration>,
}

impl Reporter {
    /// Begins to report.
    pub(crate) fn start(vmcp: Arc<Vmcp>, interval: Duration, background: &Background) -> Self {
        let (interval, changes) = watch::channel(interval);
        background.spawn_until_stop(report(vmcp, changes));
        Self { interval }
    }

    /// Reports as often as this from now on.
    pub(crate) fn set_interval(&self, interval: Duration) {
        self.interval.send_if_modified(|present| std::mem::replace(present, interval) != interval);
    }
}

async fn report(vmcp: Arc<Vmcp>, mut interval: watch::Receiver<Duration>) {
    let mut last = String::new();
    loop {
        let wait = *interval.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            changed = interval.changed() => match changed {
                Ok(()) => continue,
                Err(_closed) => return,
            },
        }
        let backends = summary(&vmcp);
        if backends == last {
            tracing::debug!(backends, "the backends are as they were");
        } else {
            tracing::info!(backends, "how the backends are");
        }
        last = backends;
    }
}

fn summary(vmcp: &Vmcp) -> String {
    let one = |backend: &Arc<vmcp_backend::Backend>| {
        format!("{} {}", backend.id(), backend.health().state.name())
    };
    vmcp.backends().iter().map(one).collect::<Vec<_>>().join(", ")
}
