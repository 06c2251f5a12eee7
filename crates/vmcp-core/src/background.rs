//! The owner of work that no request waits for.

use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Where background work runs, who counts it, and what ends it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Background {
    runtime: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Background {
    /// Work that runs on a runtime of the caller's.
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, tasks: TaskTracker::new(), stop: CancellationToken::new() }
    }

    /// Starts work that ends by itself; shutdown waits for it.
    pub fn spawn<F>(&self, work: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn_on(work, &self.runtime)
    }

    /// Starts work that would go on for ever; shutdown ends it where it waits.
    pub fn spawn_until_stop<F>(&self, work: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.spawn(async move {
            stop.run_until_cancelled(work).await;
        })
    }

    /// Where the work runs.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Counts the tasks; to be handed to whoever starts some on other runtimes.
    pub fn tasks(&self) -> &TaskTracker {
        &self.tasks
    }

    /// Is cancelled when shutdown begins to end things.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }
}
